// The limits of a request's body: where it is refused, and what becomes of the app's connection.
#include "proxy_fixture.h"

#include <gmock/gmock.h>

namespace hasp::passon::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr std::size_t most = 10'000;

Settings with_body_max(std::size_t bytes) {
    Settings settings;
    settings.body_bytes_max = bytes;
    return settings;
}

std::string post_to(const std::string& app, const std::string& fields) {
    return "POST /apps/" + app + "/ HTTP/1.1\r\nHost: localhost\r\n" + fields + "\r\n";
}

std::string chunk_of(std::size_t bytes) {
    char size[24];
    std::snprintf(size, sizeof size, "%zx\r\n", bytes);
    return size + std::string(bytes, 'x') + "\r\n";
}

class BodyMax : public Proxy {
  protected:
    explicit BodyMax(std::function<void(Backend::Peer&)> serve = echo_body(),
                     const Settings& settings = with_body_max(most))
        : Proxy(std::move(serve), settings) {}
};

TEST_F(BodyMax, ALengthBeyondItIsRefusedBeforeAnythingIsDialled) {
    for (const char* expect : {"", "Expect: 100-continue\r\n"}) {
        Client client(tier_.port());
        client.send(post_to("wiki", cookie + expect + "Content-Length: 10001\r\n"));
        const Answer answer = client.read(true);
        EXPECT_EQ(answer.status, 413);
        EXPECT_EQ(answer.header("connection"), "close");
        EXPECT_TRUE(client.closed());
    }
    EXPECT_EQ(backend_.connections, 0);
    EXPECT_THAT(tier_.usage(), IsEmpty()) << "no app has served it";
    EXPECT_THAT(tier_.access_log(), HasSubstr("\"status\":413"));
    Client client(tier_.port());
    client.send(post_to("open", "Content-Length: 10000\r\n") + std::string(most, 'x'));
    EXPECT_EQ(client.read().body.size(), most);
}

TEST_F(BodyMax, WhoMayNotUseAnAppDoesNotLearnOfItsLimits) {
    Client client(tier_.port());
    client.send(post_to("wiki", "Content-Length: 10001\r\n"));
    EXPECT_EQ(client.read().status, 401);
}

TEST_F(BodyMax, AChunkedBodyIsRefusedWithTheFirstByteThatIsTooMany) {
    const std::string head = post_to("wiki", cookie + "Transfer-Encoding: chunked\r\n");
    Client whole(tier_.port());
    whole.send(head + chunk_of(most / 2) + chunk_of(most / 2) + "0\r\n\r\n");
    EXPECT_EQ(whole.read().body.size(), most);
    ASSERT_EQ(backend_.connections, 1);
    ASSERT_EQ(tier_.usage().size(), 1U);
    Client client(tier_.port());
    client.send(head + chunk_of(most / 2) + chunk_of(most / 2) + "1\r\nx");
    const Answer answer = client.read(true);
    EXPECT_EQ(answer.status, 413);
    EXPECT_TRUE(client.closed());
    EXPECT_EQ(tier_.usage().size(), 1U);
    EXPECT_EQ(whole.get("/apps/open/").status, 200);
    EXPECT_EQ(backend_.connections, 2) << "the connection with a part of it was not used again";
}

// Answers before it has read the body, and then reads it.
void answer_early(Backend::Peer& peer) {
    std::string head;
    while (peer.head(head)) {
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nearly");
        char byte = 0;
        while (::recv(peer.fd, &byte, 1, 0) > 0) {
        }
    }
}

class EarlyAnswer : public BodyMax {
  protected:
    EarlyAnswer() : BodyMax(answer_early) {}
};

TEST_F(EarlyAnswer, AnAnswerThatHasBegunIsCutAndNeverTakenForAWholeOne) {
    Client client(tier_.port());
    client.send(post_to("open", "Transfer-Encoding: chunked\r\n") + chunk_of(most));
    ASSERT_EQ(client.read(true).status, 200);
    EXPECT_EQ(client.read_bytes(5), "early");
    client.send("1\r\nx");
    EXPECT_TRUE(client.closed());
    EXPECT_THAT(tier_.access_log(), HasSubstr("the body of the request is too long"));
}

class NoBodyMax : public BodyMax {
  protected:
    NoBodyMax() : BodyMax(echo_body(), with_body_max(0)) {}
};

TEST_F(NoBodyMax, AnAppsOwnLimitHoldsWhereTheTierHasNone) {
    constexpr std::size_t mib = std::size_t{1} << 20;
    tier_.spec.apps[1].body_mib_max = 1;
    tier_.publish();
    Client longer(tier_.port());
    longer.send(post_to("open", "Content-Length: 1048577\r\n"));
    EXPECT_EQ(longer.read().status, 413);
    Client chunked(tier_.port());
    std::thread sender([&] {
        chunked.send(post_to("open", "Transfer-Encoding: chunked\r\n") + chunk_of(mib));
        chunked.send("1\r\nx");
    });
    EXPECT_EQ(chunked.read().status, 413);
    sender.join();
    Client other(tier_.port());
    std::thread whole([&] {
        other.send(post_to("wiki", cookie + "Content-Length: 1048577\r\n") +
                   std::string(mib + 1, 'x'));
    });
    EXPECT_EQ(other.read().body.size(), mib + 1) << "the other app has none";
    whole.join();
}

// A tier whose neighbour above takes less than it does itself.
class SmallerAbove : public ::testing::Test {
  protected:
    SmallerAbove()
        : backend_(echo_body()), center_("center", with_body_max(most), &realm_),
          tokyo_("tokyo", with_body_max(10 * most), &realm_) {
        tokyo_.spec.has_parent = true;
        center_.add_upstream("all", backend_.port(), registry::Access::open);
        for (Tier* tier : {&center_, &tokyo_}) {
            tier->publish();
        }
        tokyo_.join(center_.link_port());
        EXPECT_TRUE(tokyo_.keeper.wait([](FakeKeeper& k) { return k.up(); }));
    }
    TestRealm realm_;
    Backend backend_;
    Tier center_;
    Tier tokyo_;
};

TEST_F(SmallerAbove, ItsRefusalComesThroughAndTheLinkServesTheNext) {
    Client length(tokyo_.port());
    length.send(post_to("all", "Content-Length: 10001\r\n"));
    const Answer refused = length.read();
    EXPECT_EQ(refused.status, 413);
    EXPECT_THAT(refused.body, HasSubstr("413"));
    Client chunked(tokyo_.port());
    chunked.send(post_to("all", "Transfer-Encoding: chunked\r\n") + chunk_of(most) + chunk_of(1));
    EXPECT_EQ(chunked.read().status, 413);
    EXPECT_EQ(Client(tokyo_.port()).get("/apps/all/").status, 200);
    EXPECT_THAT(tokyo_.access_log(), Not(HasSubstr("unreachable")));
}

} // namespace
} // namespace hasp::passon::testing

// Every case of tests/hostile/cases.txt through a real engine: what the client gets, whether the
// connection stays, and what has reached the other side.
#include "harness.h"

#include "base/text.h"
#include "hostile/cases.h"
#include "net/websocket.h"

#include <gtest/gtest.h>

#include <array>
#include <sstream>

namespace hasp::passon::testing {
namespace {

using hostile::Case;
using hostile::Side;

// What hasp itself writes, with the value that it has here; an empty one is new each time.
constexpr std::array<std::pair<std::string_view, std::string_view>, 8> standing{{
    {"x-request-id", ""},
    {"traceparent", ""},
    {"cdn-loop", "tokyo"},
    {"via", "1.1 tokyo"},
    {"x-forwarded-for", "127.0.0.1"},
    {"x-forwarded-proto", "http"},
    {"x-forwarded-host", "a"},
    {"date", ""},
}};

// The lines of a head as the file shows them, without the standing fields. One that is there twice,
// or with another value, is no standing field.
std::string lines_of(const std::string& head, const std::string& backend, bool with_date) {
    std::vector<std::pair<std::string, std::string>> lines; // lower-case name, line
    std::istringstream in(head);
    for (std::string line; std::getline(in, line);) {
        line.pop_back(); // CR
        lines.emplace_back(to_lower(line.substr(0, line.find(':'))), line);
    }
    std::string out;
    for (const auto& [name, line] : lines) {
        const auto times = std::count_if(lines.begin(), lines.end(),
                                         [&](const auto& one) { return one.first == name; });
        const std::string value = line.size() > name.size() + 2 ? line.substr(name.size() + 2) : "";
        const auto at = std::find_if(standing.begin(), standing.end(),
                                     [&](const auto& one) { return one.first == name; });
        if (times == 1 && ((at != standing.end() && (at->second.empty() || at->second == value) &&
                            !(with_date && name == "date")) ||
                           (name == "host" && value == backend))) {
            continue;
        }
        out += hostile::shown(line) + "\n";
    }
    return out;
}

// The app of the requests: it writes down what comes and answers "ok".
struct Witness {
    std::mutex mutex;
    std::vector<std::string> heads;
    std::vector<std::string> contents;
    std::string asked_key;

    void clear() {
        const std::lock_guard lock(mutex);
        heads.clear();
        contents.clear();
    }
    void serve(Backend::Peer& peer) {
        std::string head;
        std::string body;
        while (peer.request(head, body)) {
            if (!head.starts_with("GET /probe-of-the-test ")) {
                const std::lock_guard lock(mutex);
                heads.push_back(head);
                contents.push_back(body);
            }
            const std::size_t key = head.find("Sec-WebSocket-Key: ");
            if (head.find("Upgrade: websocket\r\n") != std::string::npos) {
                const std::string accept = key == std::string::npos
                                               ? std::string()
                                               : net::websocket_accept(head.substr(key + 19, 24));
                peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "
                          "websocket\r\nSec-WebSocket-Accept: " +
                          accept + "\r\n\r\n");
                return;
            }
            peer.send(std::string("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n") +
                      (head.starts_with("HEAD ") ? "" : "ok"));
        }
    }
};

// What happened, in the file's own form, so that it can be compared and copied.
std::string block(const std::string& words, const std::vector<std::string>& heads,
                  const std::vector<std::string>& contents) {
    std::string out = "= " + words + "\n";
    for (std::size_t i = 0; i < heads.size(); ++i) {
        out += i == 0 ? "" : "<<\n";
        std::istringstream in(heads[i]);
        for (std::string line; std::getline(in, line);) {
            out += "< " + line + "\n";
        }
        if (!contents[i].empty()) {
            out += "<- " + hostile::shown(contents[i]) + "\n";
        }
    }
    return out;
}

std::string joined(const std::vector<std::string>& words) {
    std::string out;
    for (const std::string& word : words) {
        // By whom a request is refused is the parser's test to look at.
        if (word != "late" && word != "body") {
            out += (out.empty() ? "" : " ") + word;
        }
    }
    return out;
}

void add_apps(Tier& tier, int backend_port) {
    tier.add_upstream("open", backend_port, registry::Access::open).hosts = {"a"};
    tier.add_upstream("wiki", backend_port, registry::Access::users).hosts = {"w"};
    tier.add_upstream("hosted", backend_port, registry::Access::open).mount = registry::Mount::host;
    registry::AppSpec& mapped = tier.add_upstream("mapped", backend_port, registry::Access::open);
    mapped.identity.user = "X-Staff-Id";
    mapped.identity.name = "Priority";
    tier.keeper.know("cookie:secret", person("anna", {"wiki"}));
    tier.publish();
}

bool stays_open(Client& client) {
    return client.try_send("GET /probe-of-the-test HTTP/1.1\r\nHost: a\r\n\r\n") &&
           client.read().status == 200;
}

std::string outcome_of_request(const Case& one, Tier& tier, Witness& witness,
                               const std::string& backend) {
    witness.clear();
    Client client(tier.port());
    client.try_send(one.bytes);
    const std::vector<int> statuses = one.statuses();
    if (one.closes || statuses.empty()) {
        client.end_writing();
    }
    std::string words;
    bool cut = false;
    for (std::size_t i = 0; i < std::max<std::size_t>(statuses.size(), 1) && !cut; ++i) {
        const Answer answer = client.read(one.bytes.starts_with("HEAD "));
        cut = answer.status == 0;
        if (!cut) {
            words += (words.empty() ? "" : " ") + std::to_string(answer.status);
        }
    }
    if (cut && words.empty()) {
        words = "waits";
    } else if (one.has("open") && !cut) {
        words += stays_open(client) ? " open" : " close";
    } else {
        words += client.closed() ? " close" : " open";
    }
    const std::lock_guard lock(witness.mutex);
    std::vector<std::string> heads;
    for (const std::string& head : witness.heads) {
        heads.push_back(lines_of(head, backend, false));
    }
    return block(words, heads, witness.contents);
}

TEST(HostileRequests, AreRefusedOrWrittenAnewAsTheirSectionSays) {
    Witness witness;
    Backend backend([&witness](Backend::Peer& peer) { witness.serve(peer); });
    Tier tier("tokyo");
    add_apps(tier, backend.port());
    const std::string address = "127.0.0.1:" + std::to_string(backend.port());
    std::size_t count = 0;
    for (const Case& one : hostile::cases()) {
        if (one.side == Side::request) {
            ++count;
            EXPECT_EQ(outcome_of_request(one, tier, witness, address),
                      block(joined(one.words), one.passed, one.contents))
                << one.told();
        }
    }
    EXPECT_EQ(Client(tier.port()).get("/", "", "a").status, 200) << "the tier lives";
    EXPECT_GE(hostile::cases().size(), 500U);
    EXPECT_GE(count, 300U);
}

// The app of the answers: to "/7" it says the seventh case.
void say_case(Backend::Peer& peer) {
    std::string head;
    while (peer.head(head)) {
        const std::string path =
            head.substr(head.find(' ') + 2, head.find(" HTTP/") - head.find(' ') - 2);
        if (path == "probe") {
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nprobe");
            continue;
        }
        const auto index = parse_u64(path);
        const Case* one = index ? &hostile::cases().at(static_cast<std::size_t>(*index)) : nullptr;
        peer.send(one == nullptr ? std::string("HTTP/1.1 400 Bad Request\r\n\r\n") : one->bytes);
        if (one == nullptr || one->closes) {
            return;
        }
    }
}

constexpr std::string_view handshake = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                                       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                       "Sec-WebSocket-Version: 13\r\n";

std::string outcome_of_answer(std::size_t index, const Case& one, Tier& tier) {
    const bool old = one.asked == "GET 1.0";
    const bool upgrade = one.asked == "upgrade";
    const std::string method = old || upgrade ? "GET" : one.asked;
    Client client(tier.port());
    client.send(method + " /" + std::to_string(index) + (old ? " HTTP/1.0" : " HTTP/1.1") +
                "\r\nHost: a\r\n" + std::string(upgrade ? handshake : "") + "\r\n");
    const Answer answer = client.read(method == "HEAD");
    std::string words;
    std::vector<std::string> heads;
    for (const std::string& interim : answer.interim) {
        words += interim.substr(9, 3) + " ";
        heads.push_back(lines_of(interim, {}, one.bytes.find("\r\nDate:") != std::string::npos));
    }
    std::vector<std::string> contents(heads.size());
    words += std::to_string(answer.status);
    // Hasp's own words about an answer that is none are not the app's.
    if (answer.status != 502) {
        heads.push_back(
            lines_of(answer.head, {}, one.bytes.find("\r\nDate:") != std::string::npos));
        contents.push_back(answer.body);
    }
    words += answer.closed ? " cut" : "";
    return block(words, heads, contents);
}

TEST(HostileAnswers, AreRefusedOrWrittenAnewAndLeaveNothingForTheNextRequest) {
    Backend backend(say_case);
    Settings settings;
    settings.compress = {}; // what it adds is not what is looked at here
    Tier tier("tokyo", settings);
    add_apps(tier, backend.port());
    std::size_t count = 0;
    for (std::size_t i = 0; i < hostile::cases().size(); ++i) {
        const Case& one = hostile::cases()[i];
        if (one.side != Side::answer) {
            continue;
        }
        ++count;
        EXPECT_EQ(outcome_of_answer(i, one, tier),
                  block(joined(one.words), one.passed, one.contents))
            << one.told();
        EXPECT_EQ(Client(tier.port()).get("/probe", "", "a").body, "probe") << one.told();
    }
    EXPECT_GE(count, 100U);
}

} // namespace
} // namespace hasp::passon::testing

#include "ipc/channel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <poll.h>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

namespace hasp::ipc {
namespace {

std::string encoded(std::string_view head, std::string_view body, std::size_t fds = 0) {
    std::string out;
    EXPECT_TRUE(encode_frame(out, head, body, fds).ok());
    return out;
}

struct Seen {
    std::vector<Frame> frames;
    std::vector<Error> closed;
    Channel::Callbacks callbacks() {
        return {.on_frame = [this](Frame&& f) { frames.push_back(std::move(f)); },
                .on_closed = [this](const Error& e) { closed.push_back(e); }};
    }
};

struct Pair {
    Fd a, b;
    Pair() {
        auto made = socket_pair();
        a = std::move(made->first);
        b = std::move(made->second);
    }
};

bool wait_readable(int fd) {
    pollfd one{fd, POLLIN, 0};
    return ::poll(&one, 1, 5000) == 1;
}

TEST(Frame, HasTheBytesOfTheProtocolPage) {
    EXPECT_EQ(encoded("{\"t\":\"ping\"}", "hi"),
              std::string("\x16\0\0\0\x0c\0\0\0{\"t\":\"ping\"}hi", 22));
}

TEST(Frame, DecodesWhateverTheCut) {
    const std::string bytes =
        encoded("{}", "") + encoded("", "") + encoded("{\"n\":2}", std::string(70000, 'x'));
    for (const std::size_t step :
         {std::size_t{1}, std::size_t{7}, std::size_t{4096}, bytes.size()}) {
        FrameDecoder decoder(false);
        std::vector<std::size_t> bodies;
        for (std::size_t at = 0; at < bytes.size(); at += step) {
            ASSERT_TRUE(decoder
                            .feed(std::string_view(bytes).substr(at, step),
                                  [&](Frame&& f, std::size_t) {
                                      bodies.push_back(f.body.size());
                                      return true;
                                  })
                            .ok());
        }
        EXPECT_THAT(bodies, testing::ElementsAre(0, 0, 70000));
        EXPECT_EQ(decoder.pending_bytes(), 0U);
    }
}

TEST(Frame, RefusesLengthsThatBreakABound) {
    const auto refused = [](std::string bytes, bool fds_allowed) {
        FrameDecoder decoder(fds_allowed);
        const Status status = decoder.feed(bytes, [](Frame&&, std::size_t) { return true; });
        return !status && status.error().code == Code::refused &&
               !decoder.feed("x", [](Frame&&, std::size_t) { return true; });
    };
    EXPECT_TRUE(refused(std::string("\x01\0\0\x01\0\0\0\0", 8), true)) << "over 16 MiB";
    EXPECT_TRUE(refused(std::string("\x07\0\0\0\0\0\0\0", 8), true)) << "below the prefix";
    EXPECT_TRUE(refused(std::string("\x0a\0\0\0\x03\0\0\0", 8), true)) << "head beyond the frame";
    EXPECT_TRUE(refused(std::string("\x08\0\0\0\0\0\0\x90", 8), true)) << "nine descriptors";
    EXPECT_TRUE(refused(std::string("\x08\0\0\0\0\0\0\x10", 8), false))
        << "descriptors between tiers";
}

TEST(Frame, MemoryGrowsOnlyWithBytesThatArrived) {
    FrameDecoder decoder(false);
    ASSERT_TRUE(decoder
                    .feed(std::string("\0\0\0\x01\0\0\0\0abc", 11),
                          [](Frame&&, std::size_t) { return true; })
                    .ok());
    EXPECT_EQ(decoder.pending_bytes(), 11U);
}

TEST(Frame, IsNotEncodedBeyondItsLimits) {
    std::string out;
    EXPECT_EQ(encode_frame(out, "", std::string(frame_bytes_max, 'x')).error().code, Code::usage);
    EXPECT_EQ(encode_frame(out, "", "", frame_fds_max + 1).error().code, Code::usage);
    EXPECT_TRUE(out.empty());
}

TEST(Channel, DescriptorsArriveWithTheFrameThatCarriedThem) {
    Pair pair;
    Seen seen;
    Channel left(std::move(pair.a), {});
    Channel right(std::move(pair.b), seen.callbacks());
    int pipe_fds[2];
    ASSERT_EQ(::pipe(pipe_fds), 0);
    const Fd read_end{pipe_fds[0]};
    const Fd write_end{pipe_fds[1]};
    ASSERT_TRUE(left.send("plain", std::string(100000, 'p')).ok());
    const int one[] = {write_end.get()};
    ASSERT_TRUE(left.send("carrier", "", one).ok());
    ASSERT_TRUE(left.send("plain again").ok());
    for (int turn = 0; turn < 1000 && seen.frames.size() < 3; ++turn) {
        left.on_ready();
        right.on_ready();
    }
    ASSERT_EQ(seen.frames.size(), 3U);
    EXPECT_TRUE(seen.frames[0].fds.empty());
    ASSERT_EQ(seen.frames[1].fds.size(), 1U);
    EXPECT_TRUE(seen.frames[2].fds.empty());
    ASSERT_EQ(::write(seen.frames[1].fds[0].get(), "!", 1), 1);
    char byte = 0;
    ASSERT_EQ(::read(read_end.get(), &byte, 1), 1);
    EXPECT_EQ(byte, '!');
}

TEST(Channel, RefusesToQueueWithoutEndForAPeerThatDoesNotRead) {
    Pair pair;
    Channel channel(std::move(pair.a), {}, true,
                    {.frame_bytes = frame_bytes_max, .queue_bytes = 1 << 20});
    Status status;
    for (int i = 0; i < 100 && status.ok(); ++i) {
        status = channel.send("{}", std::string(100000, 'x'));
    }
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.error().code, Code::try_later);
    EXPECT_LE(channel.queued_bytes(), std::size_t{1} << 20);
}

TEST(Channel, TellsOnceThatThePeerHasGoneAndDeliversWhatCameBefore) {
    Pair pair;
    Seen seen;
    Channel right(std::move(pair.b), seen.callbacks());
    {
        Channel left(std::move(pair.a), {});
        ASSERT_TRUE(left.send("last words").ok());
    }
    right.on_ready();
    right.on_ready();
    EXPECT_EQ(seen.frames.size(), 1U);
    ASSERT_EQ(seen.closed.size(), 1U);
    EXPECT_EQ(seen.closed[0].code, Code::unreachable);
    EXPECT_EQ(right.send("x").error().code, Code::unreachable);
}

TEST(Channel, ClosesWhenDescriptorsAreSentThatNoFrameClaims) {
    Pair pair;
    Seen seen;
    Channel right(std::move(pair.b), seen.callbacks(), false);
    const int one[] = {0};
    ASSERT_TRUE(send_frame(pair.a.get(), "{}", "", one, 1000).ok());
    right.on_ready();
    ASSERT_EQ(seen.closed.size(), 1U);
    EXPECT_EQ(seen.closed[0].code, Code::refused);
    EXPECT_TRUE(seen.frames.empty());
}

TEST(Channel, AFrameMayCloseItFromWithinItsCallback) {
    Pair pair;
    int frames = 0;
    Channel* self = nullptr;
    Channel right(std::move(pair.b), {.on_frame =
                                          [&](Frame&&) {
                                              ++frames;
                                              self->close();
                                          },
                                      .on_closed = nullptr});
    self = &right;
    Channel left(std::move(pair.a), {});
    ASSERT_TRUE(left.send("one").ok());
    ASSERT_TRUE(left.send("two").ok());
    right.on_ready();
    EXPECT_EQ(frames, 1);
    EXPECT_TRUE(right.closed());
}

class UnixSocket : public testing::Test {
  protected:
    void SetUp() override {
        char folder[] = "/tmp/hasp-ipc-XXXXXX";
        ASSERT_NE(::mkdtemp(folder), nullptr);
        folder_ = folder;
        path_ = folder_ + "/s.sock";
    }
    void TearDown() override {
        ::unlink(path_.c_str());
        ::rmdir(folder_.c_str());
    }
    std::string folder_, path_;
};

TEST_F(UnixSocket, ACommandCallsAndIsAnswered) {
    Result<Fd> listener = listen_unix(path_, 0600);
    ASSERT_TRUE(listener.ok());
    std::thread daemon([&] {
        ASSERT_TRUE(wait_readable(listener->get()));
        const Fd peer{::accept(listener->get(), nullptr, nullptr)};
        Result<Frame> asked = FrameReader(peer.get()).next(5000);
        ASSERT_TRUE(asked.ok());
        ASSERT_TRUE(send_frame(peer.get(), "answer to " + asked->head, asked->body, {}, 5000).ok());
    });
    Result<Frame> answer = call_unix(path_, "question", "body", 5000);
    daemon.join();
    ASSERT_TRUE(answer.ok());
    EXPECT_EQ(answer->head, "answer to question");
    EXPECT_EQ(answer->body, "body");
}

TEST_F(UnixSocket, NobodyListeningIsUnreachableWithAHint) {
    const Result<Frame> answer = call_unix(path_, "question", "", 1000);
    ASSERT_FALSE(answer.ok());
    EXPECT_EQ(answer.error().code, Code::unreachable);
    EXPECT_FALSE(answer.error().hint.empty());
}

TEST_F(UnixSocket, ASecondListenerIsAConflictAndAStaleFileIsNot) {
    Result<Fd> first = listen_unix(path_, 0600);
    ASSERT_TRUE(first.ok());
    EXPECT_EQ(listen_unix(path_, 0600).error().code, Code::conflict);
    first->reset();
    EXPECT_TRUE(listen_unix(path_, 0600).ok());
}

TEST_F(UnixSocket, ASilentDaemonTimesOut) {
    Result<Fd> listener = listen_unix(path_, 0600);
    ASSERT_TRUE(listener.ok());
    EXPECT_EQ(call_unix(path_, "question", "", 50).error().code, Code::timed_out);
}

TEST_F(UnixSocket, APathTooLongForTheSystemIsSaidSo) {
    EXPECT_EQ(listen_unix("/tmp/" + std::string(200, 'x'), 0600).error().code, Code::usage);
}

} // namespace
} // namespace hasp::ipc

// The supervisor's messages are those that PROTOCOL.md in this folder shows, to the byte.
#include "control.h"

#include "base/files.h"
#include "base/text.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <set>
#include <sys/socket.h>
#include <sys/stat.h>
#include <vector>

namespace hasp::cmd {
namespace {

struct Line {
    bool to_process = false;
    std::string text;
    bool with_fd = false;
};

std::vector<Line> examples() {
    auto file = read_file(HASP_CONTROL_PROTOCOL, 1 << 20);
    EXPECT_TRUE(file.ok());
    std::vector<Line> out;
    bool inside = false;
    const std::string text = file.ok() ? *file : "";
    for (const std::string_view line : split(text, '\n')) {
        if (line.starts_with("```")) {
            inside = line == "```control";
        } else if (inside) {
            const bool to_process = line.starts_with("→ ");
            EXPECT_TRUE(to_process || line.starts_with("← ")) << line;
            std::string rest(line.substr(std::string_view("→ ").size()));
            const bool with_fd = rest.ends_with(" +fd");
            rest.resize(rest.size() - (with_fd ? 4 : 0));
            out.push_back({to_process, rest, with_fd});
        }
    }
    return out;
}

struct Pair {
    Pair() {
        int ends[2];
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
        a.reset(ends[0]);
        b.reset(ends[1]);
    }
    Fd a;
    Fd b;
};

bool same_file(int a, int b) {
    struct stat left {};
    struct stat right {};
    return ::fstat(a, &left) == 0 && ::fstat(b, &right) == 0 && left.st_ino == right.st_ino &&
           left.st_dev == right.st_dev;
}

} // namespace

TEST(Control, EachExampleIsOnePacketOfExactlyThatTextAndArrivesAsItsVerbRestAndDescriptor) {
    const Fd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    for (const Line& example : examples()) {
        const Pair wire;
        ASSERT_TRUE(
            send_control(wire.a.get(), example.text, example.with_fd ? file.get() : -1).ok())
            << example.text;
        char bytes[control_message_bytes_max];
        const ssize_t n = ::recv(wire.b.get(), bytes, sizeof bytes, MSG_PEEK);
        EXPECT_EQ(std::string(bytes, static_cast<std::size_t>(n)), example.text);
        auto got = receive_control(wire.b.get());
        ASSERT_TRUE(got.ok() && *got) << example.text;
        EXPECT_EQ((*got)->verb + ((*got)->rest.empty() ? "" : " " + (*got)->rest), example.text);
        EXPECT_EQ((*got)->fd.get() >= 0, example.with_fd);
        if (example.with_fd) {
            EXPECT_TRUE(same_file((*got)->fd.get(), file.get()));
        }
    }
}

TEST(Control, TheExamplesShowEveryVerbAndNoOther) {
    std::set<std::string> shown;
    std::set<std::string> known;
    const auto key = [](std::string_view word, bool to_process, bool with_fd) {
        return std::string(to_process ? "→ " : "← ") + std::string(word) + (with_fd ? " +fd" : "");
    };
    for (const Line& example : examples()) {
        shown.insert(key(example.text.substr(0, example.text.find(' ')), example.to_process,
                         example.with_fd));
    }
    for (const ControlVerb& verb : control_verbs) {
        known.insert(key(verb.word, verb.to_process, verb.with_fd));
    }
    EXPECT_EQ(shown, known);
}

TEST(Control, WhatIsNoMessageIsNotSent) {
    const Pair wire;
    EXPECT_FALSE(send_control(wire.a.get(), "hello").ok());
    EXPECT_FALSE(send_control(wire.a.get(), "").ok());
    EXPECT_FALSE(send_control(wire.a.get(), "ring").ok()) << "a ring without its memory";
    EXPECT_FALSE(send_control(wire.a.get(), "start", wire.b.get()).ok());
    EXPECT_FALSE(
        send_control(wire.a.get(), "pids " + std::string(control_message_bytes_max, 'x')).ok());
    auto nothing = receive_control(wire.b.get());
    ASSERT_TRUE(nothing.ok());
    EXPECT_FALSE(nothing->has_value());
}

TEST(Control, AClosedSocketMeansThatTheOtherSideIsGone) {
    Pair wire;
    wire.a.reset();
    const auto got = receive_control(wire.b.get());
    ASSERT_FALSE(got.ok());
    EXPECT_EQ(got.error().code, Code::unreachable);
}

} // namespace hasp::cmd

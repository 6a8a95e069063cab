// Every case of tests/hostile/cases.txt through the pure parsers, whole and byte by byte, and the
// requests of HTTP/2 through its server.
#include "hostile/cases.h"

#include "http2_fixture.h"
#include "net/body.h"
#include "net/head.h"

#include <gtest/gtest.h>
#include <memory>
#include <sstream>

namespace hasp::net {
namespace {

using hostile::Case;
using hostile::Side;

// A copy without room behind it, so that ASan sees every read beyond the bytes.
struct Exact {
    explicit Exact(std::string_view text)
        : data(std::make_unique<char[]>(text.size() + (text.empty() ? 1 : 0))), size(text.size()) {
        text.copy(data.get(), size);
    }
    std::string_view view(std::size_t from, std::size_t to) const {
        return {data.get() + from, to - from};
    }
    std::unique_ptr<char[]> data;
    std::size_t size;
};

// What a reader of the whole connection makes of it: for each message 0 or the refusal's status,
// and "body" or "late" when it is not the head's.
struct Reading {
    std::vector<int> messages;
    bool in_body = false;
    bool waits = false; // more bytes are needed
    const char* reason = "";
};

// `step`: so many bytes more each time.
Reading read_requests(const Exact& bytes, std::size_t step) {
    Reading out;
    std::size_t at = 0;
    std::size_t have = std::min(step, bytes.size);
    std::size_t seen = 0;
    RequestHead head;
    BodyDecoder body;
    bool in_body = false;
    while (at < bytes.size) {
        std::size_t used = 0;
        if (!in_body) {
            const ParseResult parsed =
                parse_request_head(bytes.view(at, have), head, HeadLimits{}, seen);
            if (parsed.bad()) {
                out.messages.push_back(parsed.status);
                out.reason = parsed.reason;
                return out;
            }
            seen = have - at;
            if (parsed.done()) {
                used = parsed.consumed;
                seen = 0;
                body.start(head.framing, head.content_length);
                in_body = true;
            }
        }
        at += used;
        while (in_body && !body.done()) {
            const BodyDecoder::Step one = body.step(bytes.view(at, have));
            at += one.consumed;
            used += one.consumed;
            if (one.state == BodyDecoder::State::bad) {
                out.messages.push_back(400);
                out.in_body = true;
                out.reason = body.reason();
                return out;
            }
            if (one.consumed == 0) {
                break;
            }
        }
        if (in_body && body.done()) {
            out.messages.push_back(0);
            in_body = false;
            continue;
        }
        if (have == bytes.size && used == 0) {
            out.waits = true;
            return out;
        }
        have = std::min(have + step, bytes.size);
    }
    out.waits = in_body || bytes.size == 0;
    return out;
}

// Does the file say the same, as far as it is the parser's to say?
void compare(const Case& one, const Reading& got) {
    const std::vector<int> wanted = one.statuses();
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        const bool last = i + 1 == wanted.size();
        if (last && one.has("late") && got.waits) {
            return; // what is missing is missed when the sender has ended
        }
        const bool refused_here = last &&
                                  (wanted[i] == 400 || wanted[i] == 414 || wanted[i] == 417 ||
                                   wanted[i] == 431 || wanted[i] == 501 || wanted[i] == 505) &&
                                  !one.has("late");
        ASSERT_LT(i, got.messages.size()) << one.told() << ": " << got.reason;
        EXPECT_EQ(got.messages[i], refused_here ? wanted[i] : 0) << one.told() << got.reason;
        if (refused_here) {
            EXPECT_EQ(got.in_body, one.has("body")) << one.told() << ": " << got.reason;
        }
    }
    if (wanted.empty()) {
        EXPECT_TRUE(got.waits && got.messages.empty()) << one.told() << ": " << got.reason;
    }
}

TEST(HostileHeads, RequestsAreReadAsTheirSectionSaysHoweverTheyArrive) {
    for (const Case& one : hostile::cases()) {
        if (one.side == Side::request) {
            const Exact bytes{one.bytes};
            compare(one, read_requests(bytes, bytes.size));
            if (bytes.size < 20'000) {
                compare(one, read_requests(bytes, 1));
            }
            compare(one, read_requests(bytes, 7));
        }
    }
}

// The status of the last head; 502 for what is refused, with `cut` for a body that breaks off.
std::string read_answer(const Case& one, const Exact& bytes) {
    const AnswerTo to{one.asked == "HEAD", one.asked == "upgrade"};
    std::string out;
    std::size_t at = 0;
    for (;;) {
        AnswerHead head;
        const ParseResult parsed =
            parse_answer_head(bytes.view(at, bytes.size), head, to, HeadLimits{});
        if (!parsed.done()) {
            return out + "502";
        }
        at += parsed.consumed;
        if (head.interim) {
            const bool passed = head.status != 100 && one.asked != "GET 1.0";
            out += passed ? std::to_string(head.status) + " " : "";
            continue;
        }
        out += std::to_string(head.status);
        BodyDecoder body;
        body.start(head.framing, head.content_length);
        while (!body.done()) {
            const BodyDecoder::Step step = body.step(bytes.view(at, bytes.size));
            at += step.consumed;
            if (step.consumed == 0 || step.state == BodyDecoder::State::bad) {
                break;
            }
        }
        if (one.closes) {
            body.end();
        }
        return body.done() ? out : out + " cut";
    }
}

TEST(HostileHeads, AnswersAreReadAsTheirSectionSays) {
    for (const Case& one : hostile::cases()) {
        if (one.side != Side::answer) {
            continue;
        }
        std::string wanted;
        for (const std::string& word : one.words) {
            wanted += word == "late" ? "" : (wanted.empty() ? "" : " ") + word;
        }
        const std::string got = read_answer(one, Exact{one.bytes});
        if (one.has("late")) {
            EXPECT_NE(got, "502") << one.told();
        } else {
            EXPECT_EQ(got, wanted) << one.told();
        }
    }
}

// A client and a server of their own for each case.
struct Http2Pair : Http2Test {
    void TestBody() override {}
};

// In the file's form.
std::string http2_outcome(const Case& one) {
    Http2Pair pair;
    pair.SetUp();
    const auto id = pair.client.ask(one.fields, one.body, !one.body.empty(), true,
                                    NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE);
    pair.exchange();
    const bool reset = pair.client.seen[id].error != 0 || pair.client.gone_away;
    if (pair.peers.empty()) {
        return reset ? "= reset\n" : "= nothing\n";
    }
    const std::string text = pair.peer().received;
    RequestHead head;
    const ParseResult parsed = parse_request_head(text, head, HeadLimits{});
    if (!parsed.done()) {
        return "= " + std::to_string(parsed.status) + "\n";
    }
    std::string out = reset ? "= 200 reset\n" : "= 200\n";
    std::istringstream lines(text.substr(0, parsed.consumed - 2));
    for (std::string line; std::getline(lines, line);) {
        line.pop_back();
        // The key is new each time.
        const bool key = line.starts_with("Sec-WebSocket-Key: ");
        out += "< " + hostile::shown(key ? line.substr(0, 18) : line) + "\n";
    }
    return out;
}

TEST(HostileFields, OfHttp2MakeNoRequestOrTheTextThatTheirCaseShows) {
    std::size_t count = 0;
    for (const Case& one : hostile::cases()) {
        if (one.side != Side::http2) {
            continue;
        }
        ++count;
        std::string wanted = "=";
        for (const std::string& word : one.words) {
            wanted += " " + word;
        }
        wanted += "\n";
        std::istringstream lines(one.passed.empty() ? std::string() : one.passed.front());
        for (std::string line; std::getline(lines, line);) {
            wanted += "< " + line + "\n";
        }
        EXPECT_EQ(http2_outcome(one), wanted) << one.told();
    }
    EXPECT_GE(count, 50U);
}

} // namespace
} // namespace hasp::net

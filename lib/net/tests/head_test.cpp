#include "net/head.h"

#include "net/write_head.h"

#include <gtest/gtest.h>
#include <string>

namespace hasp::net {
namespace {

const HeadLimits limits;

ParseResult parse(std::string_view text, RequestHead& head) {
    return parse_request_head(text, head, limits);
}

TEST(RequestHead, ViewsTheBufferAndKnowsItsFields) {
    RequestHead head;
    const std::string text =
        "POST /a/b?c=d HTTP/1.1\r\nHost: Wiki.Example:8443\r\nUser-Agent: x\r\n"
        "COOKIE: s=1\r\nX-Own: 1\r\nX-Own: 2\r\nContent-Length: 7\r\n\r\npayload";
    const ParseResult result = parse(text, head);
    ASSERT_TRUE(result.done()) << result.reason;
    EXPECT_EQ(text.substr(result.consumed), "payload");
    EXPECT_EQ(head.method, Method::post);
    EXPECT_EQ(head.path, "/a/b");
    EXPECT_EQ(head.query, "c=d");
    EXPECT_TRUE(head.has_query);
    EXPECT_EQ(head.host, "Wiki.Example");
    EXPECT_EQ(head.authority, "Wiki.Example:8443");
    EXPECT_EQ(head.port, 8443);
    EXPECT_EQ(head.framing, Framing::length);
    EXPECT_EQ(head.content_length, 7U);
    EXPECT_TRUE(head.keep_alive);
    EXPECT_EQ(head.headers.value(Name::cookie), "s=1");
    EXPECT_EQ(head.headers.value(Name::user_agent), "x");
    EXPECT_EQ(head.headers.size(), 6U);
    EXPECT_EQ(head.headers[3].id, Name::other);
    EXPECT_EQ(head.headers.find("x-own")->value, "1");
    EXPECT_FALSE(head.headers.has(Name::upgrade));
}

TEST(RequestHead, OfAnAbsoluteTargetOverridesHost) {
    RequestHead head;
    ASSERT_TRUE(parse("GET http://b:81/x HTTP/1.1\r\nHost: a\r\n\r\n", head).done());
    EXPECT_EQ(head.form, TargetForm::absolute);
    EXPECT_EQ(head.host, "b");
    EXPECT_EQ(head.port, 81);
    EXPECT_EQ(head.path, "/x");
    ASSERT_TRUE(parse("GET http://b?q HTTP/1.1\r\nHost: a\r\n\r\n", head).done());
    EXPECT_EQ(head.path, "/");
    EXPECT_EQ(head.query, "q");
    ASSERT_TRUE(parse("OPTIONS http://b HTTP/1.1\r\nHost: b\r\n\r\n", head).done());
    EXPECT_EQ(head.form, TargetForm::asterisk);
    EXPECT_EQ(head.host, "b");
}

TEST(RequestHead, SaysWhetherTheConnectionStays) {
    RequestHead head;
    const auto keeps = [&head](const std::string& version, const std::string& options) {
        EXPECT_TRUE(
            parse("GET / HTTP/" + version + "\r\nHost: a\r\n" + options + "\r\n", head).done());
        return head.keep_alive;
    };
    EXPECT_TRUE(keeps("1.1", ""));
    EXPECT_FALSE(keeps("1.1", "Connection: Close\r\n"));
    EXPECT_FALSE(keeps("1.1", "Connection: x\r\nConnection: y, close\r\n"));
    EXPECT_FALSE(keeps("1.0", ""));
    EXPECT_TRUE(keeps("1.0", "Connection: keep-alive\r\n"));
    EXPECT_FALSE(keeps("1.0", "Connection: keep-alive, close\r\n"));
}

TEST(RequestHead, OffersAnUpgradeOnlyIn11AndIfNominated) {
    RequestHead head;
    ASSERT_TRUE(parse("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", head).done());
    EXPECT_FALSE(head.upgrade);
    ASSERT_TRUE(parse("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: "
                      "websocket\r\n\r\n",
                      head)
                    .done());
    EXPECT_TRUE(head.upgrade);
    ASSERT_TRUE(
        parse("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", head).done());
    EXPECT_FALSE(head.upgrade);
}

TEST(RequestHead, AboveALimitHasTheLimitsStatus) {
    RequestHead head;
    const std::string tail = " HTTP/1.1\r\nHost: a\r\n\r\n";
    EXPECT_TRUE(parse("GET /" + std::string(limits.target_max - 1, 'a') + tail, head).done());
    EXPECT_EQ(parse("GET /" + std::string(limits.target_max, 'a') + tail, head).status, 414);
    EXPECT_EQ(parse("GET /" + std::string(limits.target_max, 'a'), head).status, 414);
    EXPECT_EQ(parse("GET /?" + std::string(limits.target_max, 'a'), head).status, 414);
    EXPECT_EQ(parse(std::string(33, 'A'), head).status, 501);
    const std::string start = "GET / HTTP/1.1\r\nHost: a\r\n";
    EXPECT_EQ(parse(start + "X: " + std::string(limits.line_max, 'a'), head).status, 431);
    EXPECT_EQ(parse(start + std::string(limits.line_max + 1, 'a'), head).status, 431);
    std::string many = start;
    for (std::size_t i = 0; i + 1 < limits.headers_max; ++i) {
        many += "X: y\r\n";
    }
    EXPECT_TRUE(parse(many + "\r\n", head).done());
    EXPECT_EQ(parse(many + "X: y\r\n\r\n", head).status, 431);
    std::string large = start;
    while (large.size() <= limits.head_max) {
        large += "X: " + std::string(1000, 'a') + "\r\n";
    }
    EXPECT_EQ(parse(large, head).status, 431);
    EXPECT_EQ(parse(large + "\r\n", head).status, 431);
}

TEST(RequestHead, IsWrittenAnewInTheAllowedForm) {
    RequestHead head;
    ASSERT_TRUE(
        parse("GET /a|b%20?q={x}&p=100%&e=%41 HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n", head).done());
    char room[256];
    HeadWriter out{room};
    out.request_line(head.method_text, head.path, head.has_query, head.query);
    out.copy(head.headers[1]);
    out.framing(Framing::length, 12);
    out.end();
    EXPECT_FALSE(out.failed());
    EXPECT_EQ(
        out.text(),
        "GET /a%7Cb%20?q=%7Bx%7D&p=100%25&e=%41 HTTP/1.1\r\nX: y\r\nContent-Length: 12\r\n\r\n");
}

TEST(RequestHead, KnowsWhetherItsTargetMayGoOutAsItIs) {
    const auto clean = [](std::string_view target) {
        RequestHead head;
        const std::string text = "GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n\r\n";
        EXPECT_TRUE(parse_request_head(text, head, HeadLimits{}).done()) << target;
        return head.target_clean;
    };
    for (const char* target : {"/", "/a/b.c?d=e&f", "/%41", "http://a/b?c", "/a?"}) {
        EXPECT_TRUE(clean(target)) << target;
    }
    for (const char* target : {"/a|b", "/a?b={c}", "/a?50%", "/a?%41", "/[x]"}) {
        EXPECT_FALSE(clean(target)) << target;
    }
}

TEST(HeadWriter, RefusesWhatWouldSplitAHeadOrDoesNotFit) {
    char room[64];
    HeadWriter split{room};
    split.field("X", "a\r\nSet-Cookie: b");
    EXPECT_TRUE(split.failed());
    HeadWriter name{room};
    name.field("X\n", "a");
    EXPECT_TRUE(name.failed());
    HeadWriter full{std::span<char>(room, 20)};
    full.status_line(404);
    EXPECT_TRUE(full.failed());
    HeadWriter good{room};
    good.status_line(404);
    good.framing(Framing::chunked, 0);
    good.end();
    EXPECT_EQ(good.text(), "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n");
}

TEST(AnswerHead, TellsInterimSwitchedAndReuse) {
    AnswerHead head;
    ASSERT_TRUE(parse_answer_head("HTTP/1.1 103 x\r\n\r\n", head, {}, limits).done());
    EXPECT_TRUE(head.interim);
    ASSERT_TRUE(parse_answer_head("HTTP/1.1 101 x\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n",
                                  head, {false, true}, limits)
                    .done());
    EXPECT_TRUE(head.switched);
    EXPECT_FALSE(head.interim);
    ASSERT_TRUE(parse_answer_head("HTTP/1.1 200 x\r\n\r\n", head, {}, limits).done());
    EXPECT_FALSE(head.keep_alive);
    ASSERT_TRUE(parse_answer_head("HTTP/1.1 200 x\r\nContent-Length: 9\r\n\r\n", head,
                                  {true, false}, limits)
                    .done());
    EXPECT_TRUE(head.keep_alive);
    EXPECT_TRUE(head.has_length);
    EXPECT_EQ(head.content_length, 9U);
}

// A line with others behind it is taken by the parser's short way; the last one of a head is not.
TEST(RequestHead, TakesALineByTheSameRulesWhateverStandsBehindIt) {
    const std::string start = "GET / HTTP/1.1\r\nHost: a\r\n";
    const std::string more = "X-Behind: " + std::string(60, 'b') + "\r\n\r\n";
    RequestHead last;
    RequestHead followed;
    std::size_t taken = 0;
    for (const std::string_view line :
         {"Content-Length: 12\r\n", "Accept:*/*\r\n", "X-Own:  abc \r\n", "Range: x\r\n",
          "DNT: 1\r\n", "X:\r\n"}) {
        for (std::size_t at = 0; at < line.size(); ++at) {
            for (unsigned byte = 0; byte < 256; ++byte) {
                std::string one(line);
                one[at] = static_cast<char>(byte);
                const std::string short_text = start + one + "\r\n";
                const std::string long_text = start + one + more;
                const ParseResult a = parse(short_text, last);
                const ParseResult b = parse(long_text, followed);
                ASSERT_EQ(a.bad(), b.bad()) << one;
                if (a.bad()) {
                    ASSERT_EQ(a.status, b.status) << one;
                    ASSERT_STREQ(a.reason, b.reason) << one;
                }
                if (!a.done() || !b.done()) {
                    continue; // the last LF is gone, and what is behind makes it whole
                }
                ++taken;
                ASSERT_GE(followed.headers.size(), last.headers.size()) << one;
                for (std::size_t i = 0; i < last.headers.size(); ++i) {
                    ASSERT_EQ(last.headers[i].name, followed.headers[i].name) << one;
                    ASSERT_EQ(last.headers[i].value, followed.headers[i].value) << one;
                    ASSERT_EQ(last.headers[i].id, followed.headers[i].id) << one;
                }
            }
        }
    }
    EXPECT_GT(taken, 5'000U);
}

TEST(RequestHead, SaysWhichLinesStandAsTheyAreWritten) {
    RequestHead head;
    const std::string text = "GET / HTTP/1.1\r\nHost: a\r\nAccept:*/*\r\nX-Own: 1\r\nDNT:  1\r\n"
                             "Range: x \r\nReferer: c d\r\nX-Behind: " +
                             std::string(60, 'b') + "\r\n\r\n";
    ASSERT_TRUE(parse(text, head).done());
    std::string plain;
    for (const Header& field : head.headers) {
        if (field.as_written) {
            plain.append(field.name).append(",");
            const std::string line =
                std::string(field.name) + ": " + std::string(field.value) + "\r\n";
            EXPECT_EQ(
                text.substr(static_cast<std::size_t>(field.name.data() - text.data()), line.size()),
                line);
        }
    }
    EXPECT_EQ(plain, "Host,X-Own,Referer,X-Behind,");
}

TEST(FieldCopier, WritesWhatOneCopyALineWouldWrite) {
    RequestHead head;
    const std::string text = "GET / HTTP/1.1\r\nHost: a\r\nAccept:*/*\r\nX-Own: 1\r\nDNT: 1\r\n"
                             "Range: x \r\nReferer: c d\r\nX-Behind: " +
                             std::string(60, 'b') + "\r\n\r\n";
    ASSERT_TRUE(parse(text, head).done());
    for (unsigned left_out = 0; left_out < 128; ++left_out) {
        char one_room[512];
        char run_room[512];
        HeadWriter one{one_room};
        HeadWriter run{run_room};
        {
            FieldCopier lines(run);
            for (std::size_t i = 0; i < head.headers.size(); ++i) {
                if ((left_out >> i & 1U) == 0) {
                    one.copy(head.headers[i]);
                    lines.copy(head.headers[i]);
                }
            }
        }
        ASSERT_EQ(run.text(), one.text());
    }
    char little[20];
    HeadWriter full{little};
    {
        FieldCopier lines(full);
        for (const Header& field : head.headers) {
            lines.copy(field);
        }
    }
    EXPECT_TRUE(full.failed());
}

TEST(Names, AreFoundByAllTheirBytes) {
    for (std::size_t id = 1; id < names_known; ++id) {
        const std::string text{name_text(static_cast<Name>(id))};
        for (std::size_t at = 0; at < text.size(); ++at) {
            for (unsigned byte = 0; byte < 256; ++byte) {
                std::string other = text;
                other[at] = static_cast<char>(byte);
                const bool letter = text[at] >= 'a' && text[at] <= 'z';
                const bool same = other == text ||
                                  (letter && other[at] == static_cast<char>(text[at] - 'a' + 'A'));
                const Name found = name_id(other);
                ASSERT_EQ(found == static_cast<Name>(id), same) << text << ' ' << at << ' ' << byte;
            }
        }
    }
}

TEST(Names, AreFoundWithoutCaseAndEachHasItsId) {
    for (std::size_t id = 1; id < names_known; ++id) {
        std::string text{name_text(static_cast<Name>(id))};
        EXPECT_EQ(name_id(text), static_cast<Name>(id)) << text;
        text[0] = static_cast<char>(text[0] & ~0x20);
        EXPECT_EQ(name_id(text), static_cast<Name>(id)) << text;
        EXPECT_EQ(name_id(text + "x"), Name::other);
    }
    EXPECT_EQ(name_id("x"), Name::other);
    EXPECT_EQ(name_id("h_st"), Name::other);
}

} // namespace
} // namespace hasp::net

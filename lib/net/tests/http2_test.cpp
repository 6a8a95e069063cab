#include "http2_fixture.h"
#include "http2_stream.h"

#include <gmock/gmock.h>

namespace hasp::net {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

TEST_F(Http2Test, ARequestIsTextOfHttp1ToItsConn) {
    client.get("/a?b=c", {{"accept", "*/*"}, {"cookie", "a=1"}, {"cookie", "b=2"}});
    exchange();
    ASSERT_EQ(peers.size(), 1U);
    EXPECT_EQ(peer().received, "GET /a?b=c HTTP/1.1\r\nHost: wiki.test\r\naccept: */*\r\n"
                               "Cookie: a=1; b=2\r\n\r\n");
    EXPECT_EQ(client.settings[NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL], 1U);
    EXPECT_EQ(client.settings[NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS], 100U);
}

TEST_F(Http2Test, AnAnswerOfHttp1BecomesFieldsAndData) {
    const auto id = client.get("/");
    exchange();
    answer(peer(), "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
                   "Connection: keep-alive\r\nX-Name: Value\r\n\r\nhel");
    EXPECT_EQ(client.seen[id].interim, std::vector<std::string>{"100"});
    EXPECT_EQ(client.seen[id].field(":status"), "200");
    EXPECT_EQ(client.seen[id].field("x-name"), "Value");
    EXPECT_EQ(client.seen[id].field("connection"), "(none)");
    EXPECT_EQ(client.seen[id].body, "hel");
    EXPECT_FALSE(client.seen[id].ended);
    answer(peer(), "lo");
    EXPECT_EQ(client.seen[id].body, "hello");
    EXPECT_TRUE(client.seen[id].closed);
    EXPECT_EQ(client.seen[id].error, 0U);
    EXPECT_EQ(peer().last, Io::end) << "the Conn learns that there is no further request";
    EXPECT_EQ(server->streams(), 0U);
}

TEST_F(Http2Test, AChunkedAnswerLosesItsFraming) {
    const auto id = client.get("/");
    exchange();
    answer(peer(), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    EXPECT_EQ(client.seen[id].body, "abc") << "it is not held back until the end";
    answer(peer(), "2;x=y\r\nde\r\n0\r\n\r\n");
    EXPECT_EQ(client.seen[id].body, "abcde");
    EXPECT_EQ(client.seen[id].field("transfer-encoding"), "(none)");
    EXPECT_TRUE(client.seen[id].ended);
}

TEST_F(Http2Test, TrailersEndAnAnswer) {
    const auto id = client.get("/");
    exchange();
    answer(peer(), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "3\r\nabc\r\n0\r\nX-Sum: 6\r\nX-Empty:\r\n\r\n");
    EXPECT_EQ(client.seen[id].body, "abc");
    EXPECT_EQ(client.seen[id].field("x-sum"), "6");
    EXPECT_EQ(client.seen[id].field("x-empty"), "");
    EXPECT_TRUE(client.seen[id].ended);
    EXPECT_EQ(client.seen[id].error, 0U);
}

TEST_F(Http2Test, HeadAnd304EndWithTheirFields) {
    Fields fields{
        {":method", "HEAD"}, {":scheme", "https"}, {":path", "/"}, {":authority", "a.test"}};
    const auto head = client.ask(fields);
    const auto unchanged = client.get("/");
    exchange();
    answer(peer(0), "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n");
    answer(peer(1), "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n");
    EXPECT_TRUE(client.seen[head].ended && client.seen[unchanged].ended);
    EXPECT_EQ(client.seen[head].field("content-length"), "500");
}

TEST_F(Http2Test, ABodyWithoutALengthIsChunkedAndOneWithALengthIsNot) {
    const Fields post{
        {":method", "POST"}, {":scheme", "https"}, {":path", "/"}, {":authority", "a.test"}};
    client.ask(post, "hello");
    Fields sized = post;
    sized.emplace_back("content-length", "5");
    client.ask(sized, "hello");
    client.ask(post);
    exchange();
    EXPECT_THAT(peer(0).received,
                HasSubstr("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"));
    EXPECT_THAT(peer(1).received, HasSubstr("content-length: 5\r\n\r\nhello"));
    EXPECT_THAT(peer(2).received, HasSubstr("Content-Length: 0\r\n\r\n"));
    EXPECT_EQ(peer(0).last, Io::ok) << "the end of a request is not the end of its client";
}

TEST_F(Http2Test, ARequestWithALengthIsWholeOnlyWhenItsStreamEndsAndNeverIfMoreComes) {
    Fields post{
        {":method", "POST"}, {":scheme", "https"}, {":path", "/"}, {":authority", "a.test"}};
    post.emplace_back("content-length", "5");
    const auto good_one = client.ask(post, "hello", true, false);
    const auto long_one = client.ask(post, "hello", true, false);
    post.back().second = "0";
    const auto empty_one = client.ask(post, "", true, false);
    const auto not_empty = client.ask(post, "", true, false);
    exchange();
    for (std::size_t i : {0U, 1U}) {
        EXPECT_TRUE(peer(i).received.ends_with("content-length: 5\r\n\r\nhell")) << i;
    }
    for (std::size_t i : {2U, 3U}) {
        EXPECT_TRUE(peer(i).received.ends_with("content-length: 0\r\n\r")) << i;
    }
    client.more(good_one, "", true);
    client.more(empty_one, "", true);
    client.more(long_one, "!", true);
    client.more(not_empty, "!", true);
    exchange();
    EXPECT_TRUE(peer(0).received.ends_with("\r\n\r\nhello"));
    EXPECT_TRUE(peer(2).received.ends_with("\r\n\r\n"));
    for (const auto id : {long_one, not_empty}) {
        EXPECT_EQ(client.seen[id].error, NGHTTP2_PROTOCOL_ERROR);
    }
    EXPECT_TRUE(peer(1).received.ends_with("hell"));
    EXPECT_TRUE(peer(3).received.ends_with("\r\n\r"));
    EXPECT_EQ(peer(1).last, Io::failed);
}

TEST_F(Http2Test, AnUploadGetsNoFurtherThanItsReader) {
    limits.window = 65'535;
    make();
    const std::string big(500'000, 'x');
    const auto id = client.ask({{":method", "PUT"},
                                {":scheme", "https"},
                                {":path", "/"},
                                {":authority", "a.test"},
                                {"content-length", "500000"}},
                               big);
    // The head, and then nothing, is read.
    std::string out;
    server->produce(out, 1 << 20);
    client.give_bytes(out);
    good = server->receive(client.take(), now_ms);
    peers.push_back(std::make_unique<Peer>(*reactor));
    peer().reading = false;
    peer().conn.adopt(server->next_request(), Address{});
    exchange();
    EXPECT_EQ(client.seen[id].to_send.size(), big.size() - 65'535);
    peer().reading = true;
    peer().go();
    exchange();
    EXPECT_EQ(client.seen[id].to_send.size(), 0U);
    EXPECT_THAT(peer().received, testing::EndsWith(std::string(1000, 'x')));
}

TEST_F(Http2Test, AnAnswerGetsNoFurtherThanItsClientAndItsRoom) {
    Http2Client slow(false);
    const auto id = slow.get("/");
    std::string out;
    server->produce(out, 1 << 20);
    slow.give_bytes(out);
    server->receive(slow.take(), now_ms);
    peers.push_back(std::make_unique<Peer>(*reactor));
    peer().conn.adopt(server->next_request(), Address{});
    peer().to_send =
        "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + std::string(1'000'000, 'y');
    for (int i = 0; i < 20; ++i) {
        peer().go();
        out.clear();
        server->produce(out, 1 << 20);
        slow.give_bytes(out);
        server->deliver();
    }
    EXPECT_EQ(slow.seen[id].body.size(), 65'535U);
    EXPECT_LE(peer().sent, 65'535U + limits.answer_room + 100);
    EXPECT_TRUE(server->owes());
    peer().conn.close();
    server->produce(out, 1 << 20);
    slow.give_bytes(out);
    EXPECT_EQ(slow.seen[id].error, NGHTTP2_INTERNAL_ERROR) << "half an answer is not taken for one";
}

TEST_F(Http2Test, AResetReachesTheConn) {
    const auto id = client.get("/");
    exchange();
    EXPECT_FALSE(peer().conn.broken());
    client.reset(id);
    exchange();
    EXPECT_TRUE(peer().conn.broken());
    EXPECT_EQ(peer().last, Io::failed);
    EXPECT_EQ(peer().conn.write("HTTP/1.1 200 OK\r\n").state, Io::failed);
    EXPECT_TRUE(good);
}

TEST_F(Http2Test, AnAnswerBeforeTheRequestHasEndedEndsIt) {
    const auto id = client.ask(
        {{":method", "POST"}, {":scheme", "https"}, {":path", "/"}, {":authority", "a.test"}},
        "some", true, false);
    exchange();
    answer(peer(), "HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n");
    peer().conn.close();
    exchange();
    EXPECT_EQ(client.seen[id].field(":status"), "413");
    EXPECT_TRUE(client.seen[id].closed);
    EXPECT_EQ(client.seen[id].error, NGHTTP2_NO_ERROR);
}

TEST_F(Http2Test, AWebSocketIsAskedForByConnectAndTunnelled) {
    const auto id = client.ask({{":method", "CONNECT"},
                                {":protocol", "websocket"},
                                {":scheme", "https"},
                                {":path", "/chat"},
                                {":authority", "a.test"},
                                {"sec-websocket-version", "13"}},
                               {}, true, false);
    exchange();
    EXPECT_THAT(peer().received, StartsWith("GET /chat HTTP/1.1\r\nHost: a.test\r\n"));
    EXPECT_THAT(peer().received,
                HasSubstr("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: "));
    answer(peer(),
           "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
           "Sec-WebSocket-Accept: x\r\n\r\nfrom the app");
    EXPECT_EQ(client.seen[id].field(":status"), "200");
    EXPECT_EQ(client.seen[id].field("sec-websocket-accept"), "(none)");
    EXPECT_EQ(client.seen[id].body, "from the app");
    peer().received.clear();
    client.more(id, "from the user", false);
    exchange();
    EXPECT_EQ(peer().received, "from the user");
    client.more(id, "", true);
    exchange();
    EXPECT_EQ(peer().last, Io::end) << "a tunnel's end is told at once";
    peer().conn.shutdown_write();
    exchange();
    EXPECT_TRUE(client.seen[id].closed);
    EXPECT_EQ(client.seen[id].error, 0U);
}

TEST_F(Http2Test, FieldsThatCouldDivideARequestMakeNone) {
    const auto path = client.get("/a HTTP/1.1\r\nX-Evil: 1\r\n\r\nGET /b");
    const auto method = client.ask(
        {{":method", "GET /x"}, {":scheme", "https"}, {":path", "/"}, {":authority", "a.test"}});
    const auto two_hosts = client.get("/", {{"host", "other.test"}});
    const auto hop = client.get("/", {{"connection", "x-secret"}});
    const auto coded = client.get("/", {{"transfer-encoding", "chunked"}});
    const auto value = client.get("/", {{"x", "a\r\nb: c"}});
    const auto scheme = client.ask(
        {{":method", "GET"}, {":scheme", "ftp"}, {":path", "/"}, {":authority", "a.test"}});
    exchange();
    for (const auto id : {path, method, two_hosts, hop, coded, value, scheme}) {
        EXPECT_EQ(client.seen[id].error, NGHTTP2_PROTOCOL_ERROR) << id;
    }
    EXPECT_TRUE(peers.empty());
}

TEST_F(Http2Test, AHeadThatIsTooLongIsHandedOnCutSoThatItIsRefusedLikeAnyOther) {
    Fields many;
    for (int i = 0; i < 10; ++i) {
        many.emplace_back("x-" + std::to_string(i), std::string(5'000, 'v'));
    }
    client.get("/", many);
    exchange();
    ASSERT_EQ(peers.size(), 1U);
    EXPECT_GT(peer().received.size(), limits.head_max);
    EXPECT_LT(peer().received.size(), limits.head_max + 6'000);
}

TEST_F(Http2Test, AFloodOfFramesThatAskForNothingEndsTheConnection) {
    for (int i = 0; i < 100 && good; ++i) {
        for (int k = 0; k < 100; ++k) {
            nghttp2_submit_ping(client.session(), NGHTTP2_FLAG_NONE, nullptr);
        }
        exchange();
    }
    EXPECT_FALSE(good);
    EXPECT_EQ(client.goaway, NGHTTP2_ENHANCE_YOUR_CALM);
    EXPECT_THAT(server->why(), HasSubstr("floods"));
}

// A frame of HTTP/2 (RFC 9113 §4.1).
std::string frame(std::uint8_t type, std::uint8_t flags, std::uint32_t stream,
                  const std::string& payload) {
    const auto size = static_cast<std::uint32_t>(payload.size());
    std::string out;
    for (const std::uint32_t byte :
         {size >> 16, size >> 8, size, std::uint32_t{type}, std::uint32_t{flags}, stream >> 24,
          stream >> 16, stream >> 8, stream}) {
        out.push_back(static_cast<char>(byte & 0xff));
    }
    return out + payload;
}
constexpr std::uint8_t headers_type = 1;
constexpr std::uint8_t continuation_type = 9;
constexpr std::uint8_t end_headers = 4;
// Of a request, by indexes of HPACK's static table: GET, https, "/".
const std::string indexed_head = "\x82\x87\x84";

// Frames of a head that has no end, one a read, as long as they are taken. `of` gives what is in
// each.
template <class Of>
int taken_of_flood(Http2Server& server, std::int64_t now_ms, Of of) {
    EXPECT_TRUE(server.receive(frame(headers_type, 0, 1, indexed_head), now_ms));
    int taken = 0;
    while (taken < 100'000 && server.receive(frame(continuation_type, 0, 1, of(taken)), now_ms)) {
        ++taken;
    }
    EXPECT_THAT(server.why(), HasSubstr("floods"));
    EXPECT_EQ(server.streams(), 0U);
    EXPECT_FALSE(server.receive(frame(continuation_type, end_headers, 1, ""), now_ms));
    return taken;
}

TEST_F(Http2Test, EmptyContinuationsWithoutEndAreAFlood) {
    exchange(); // the preface
    EXPECT_LT(taken_of_flood(*server, now_ms, [](int) { return std::string(); }), 8);
    exchange();
    EXPECT_EQ(client.goaway, NGHTTP2_ENHANCE_YOUR_CALM);
}

TEST_F(Http2Test, ContinuationsOfAByteWithoutEndAreAFlood) {
    exchange();
    // A field whose value says that it is long, and comes a byte a frame.
    const std::string field = std::string("\x00\x01", 2) + "x\x7f\xff\x7f";
    EXPECT_LT(taken_of_flood(*server, now_ms,
                             [&](int i) {
                                 const auto at = static_cast<std::size_t>(i);
                                 return std::string(1, at < field.size() ? field[at] : 'v');
                             }),
              8);
    exchange();
    EXPECT_EQ(client.goaway, NGHTTP2_ENHANCE_YOUR_CALM);
}

TEST_F(Http2Test, ContinuationsThatCameInOneReadAreAFloodToo) {
    exchange();
    std::string bytes = frame(headers_type, 0, 1, indexed_head);
    for (int i = 0; i < 5'000; ++i) {
        bytes += frame(continuation_type, 0, 1, "");
    }
    EXPECT_FALSE(server->receive(bytes, now_ms));
    exchange();
    EXPECT_EQ(client.goaway, NGHTTP2_ENHANCE_YOUR_CALM);
}

TEST_F(Http2Test, ContinuationsOfAHeadThatIsRefusedAreNoWayAround) {
    exchange();
    // More fields than are read: what follows is ignored, and still counted.
    std::string block = indexed_head;
    for (int i = 0; i < 5; ++i) {
        block += std::string("\x00\x01x", 3) + "\x7f\x81\xf9\x01" + std::string(32'000, 'v');
    }
    const std::size_t first = 16'000;
    bool open = server->receive(frame(headers_type, 0, 1, block.substr(0, first)), now_ms);
    int taken = 0;
    for (std::size_t at = first; open && at < block.size(); at += first, ++taken) {
        open = server->receive(frame(continuation_type, 0, 1, block.substr(at, first)), now_ms);
    }
    for (; taken < 100'000 && open; ++taken) {
        open = server->receive(frame(continuation_type, 0, 1, ""), now_ms);
    }
    EXPECT_LE(taken, 12);
    EXPECT_FALSE(open);
}

TEST_F(Http2Test, AHeadInAFewContinuationsIsARequestLikeAnyOther) {
    exchange();
    ASSERT_TRUE(server->receive(frame(headers_type, 1, 1, indexed_head), now_ms));
    const std::string authority = std::string("\x01\x09", 2) + "wiki.test";
    EXPECT_TRUE(server->receive(frame(continuation_type, 0, 1, authority.substr(0, 4)), now_ms));
    EXPECT_TRUE(
        server->receive(frame(continuation_type, end_headers, 1, authority.substr(4)), now_ms));
    EXPECT_EQ(server->streams(), 1U);
}

TEST_F(Http2Test, RequestsThatAreResetAtOnceEndTheConnection) {
    int asked = 0;
    for (; asked < 5'000 && good; ++asked) {
        const auto id = client.get("/");
        exchange();
        client.reset(id);
        exchange();
    }
    EXPECT_FALSE(good);
    EXPECT_LT(asked, 500);
}

TEST_F(Http2Test, WhatABusyPageAsksForIsNoFlood) {
    for (int i = 0; i < 3'000; ++i) {
        client.get("/");
        exchange();
        answer(*peers.back(), "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
    }
    EXPECT_TRUE(good);
}

TEST_F(Http2Test, WhatIsNoHttp2Ends) {
    EXPECT_FALSE(server->receive("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", now_ms));
}

TEST_F(Http2Test, GoAwayLetsWhatIsOpenEnd) {
    const auto id = client.get("/");
    exchange();
    server->go_away();
    exchange();
    EXPECT_TRUE(client.gone_away);
    EXPECT_FALSE(server->finished());
    answer(peer(), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    EXPECT_EQ(client.seen[id].body, "ok");
    EXPECT_EQ(server->streams(), 0U);
}

TEST_F(Http2Test, TheEndOfTheConnectionReachesEveryConn) {
    client.get("/a");
    client.get("/b");
    exchange();
    server->close();
    EXPECT_TRUE(peer(0).conn.broken() && peer(1).conn.broken());
    server.reset();
    EXPECT_EQ(peer(0).conn.write("x").state, Io::failed);
}

TEST(Http2StreamTest, AnAnswerIsReadHoweverItsWriterIsCut) {
    const std::string whole = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                              "3\r\nabc\r\n0\r\nX-Sum: 6\r\n\r\n";
    for (std::size_t cut = 1; cut < whole.size(); ++cut) {
        Http2Stream stream(1, 16 * 1024, 64 * 1024);
        const auto ignore = [](const Http2Answer&) {};
        EXPECT_TRUE(stream.take_answer(whole.substr(0, cut), ignore)) << cut;
        EXPECT_FALSE(stream.answered()) << cut;
        EXPECT_TRUE(stream.take_answer(whole.substr(cut), ignore)) << cut;
        EXPECT_TRUE(stream.answered()) << cut;
        EXPECT_EQ(stream.payload(), "abc") << cut;
        EXPECT_EQ(stream.trailers(), "x-sum: 6\r\n") << cut;
    }
}

TEST(Http2StreamTest, WindowIsGivenBackForPayloadAndNeverForItsFraming) {
    Http2Stream stream(1, 32'768, 65'536);
    for (const auto& [name, value] : Fields{
             {":method", "POST"}, {":scheme", "https"}, {":path", "/"}, {":authority", "a.test"}}) {
        stream.request.field(name, value);
    }
    stream.begin_request(false, {});
    std::size_t payload = 0, credit = 0, waiting = 0;
    char room[4096];
    for (int i = 0; i < 20'000; ++i) { // a byte a frame is six bytes of text
        stream.body("x");
        ++payload;
        if (i % 700 == 0) {
            waiting += stream.read(room).bytes;
            credit += stream.take_credit();
            EXPECT_LE(credit, payload);
        }
    }
    EXPECT_GE(payload - credit, (payload * 6 - waiting) / 6 - 200) << "what waits is held back";
    while (stream.read(room).state == Io::ok) {
        credit += stream.take_credit();
    }
    EXPECT_EQ(credit, payload);
    EXPECT_EQ(stream.unread, 0U);
}

TEST_F(Http2Test, AHeadOfWhichTheRestNeverComesIsNoStreamAndHasItsTime) {
    client.get("/");
    std::string bytes = client.take();
    now_ms = 5'000;
    EXPECT_TRUE(server->receive(std::string_view(bytes).substr(0, bytes.size() - 3), now_ms));
    EXPECT_EQ(server->streams(), 0U);
    EXPECT_EQ(server->head_since_ms(), 5'000);
    EXPECT_TRUE(server->receive(std::string_view(bytes).substr(bytes.size() - 3), 6'000));
    EXPECT_EQ(server->streams(), 1U);
    EXPECT_EQ(server->head_since_ms(), 0);
}

TEST_F(Http2Test, FieldsBeyondFourHeadsAreNotEvenRead) {
    Fields many;
    for (int i = 0; i < 60; ++i) {
        many.emplace_back("x-" + std::to_string(i), std::string(3'000, 'v'));
    }
    const auto id = client.get("/", many);
    exchange();
    EXPECT_TRUE(client.seen[id].closed);
    EXPECT_NE(client.seen[id].error, 0U);
    EXPECT_TRUE(peers.empty());
    EXPECT_EQ(server->head_since_ms(), 0);
}

TEST_F(Http2Test, APageInsteadOfATunnelIsNotTakenForOne) {
    const auto id = client.ask({{":method", "CONNECT"},
                                {":protocol", "websocket"},
                                {":scheme", "https"},
                                {":path", "/chat"},
                                {":authority", "a.test"},
                                {"sec-websocket-key", "mine"}},
                               {}, true, false);
    exchange();
    EXPECT_THAT(peer().received, testing::Not(HasSubstr("mine")));
    answer(peer(), "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage");
    EXPECT_EQ(client.seen[id].field(":status"), "502");
}

TEST_F(Http2Test, ABodyBehindAnAnswerToHeadIsDroppedAndTheAnswerStays) {
    const auto id = client.ask(
        {{":method", "HEAD"}, {":scheme", "https"}, {":path", "/"}, {":authority", "a.test"}});
    exchange();
    answer(peer(), "HTTP/1.1 431 Too Large\r\nContent-Length: 4\r\n\r\n431\n");
    EXPECT_EQ(client.seen[id].field(":status"), "431");
    EXPECT_EQ(client.seen[id].error, 0U);
}

TEST_F(Http2Test, ARequestThatNobodyTookMayBeSentAgain) {
    const auto id = client.get("/");
    std::string out;
    server->produce(out, 1 << 20);
    client.give_bytes(out);
    server->receive(client.take(), now_ms);
    server->next_request()->leave(false);
    out.clear();
    server->produce(out, 1 << 20);
    client.give_bytes(out);
    EXPECT_EQ(client.seen[id].error, NGHTTP2_REFUSED_STREAM);
}

TEST_F(Http2Test, AnAnswerThatNobodyReadsIsDroppedAtTheSecondLookAndTheOthersLive) {
    Http2Client slow(false);
    const auto give = [&] {
        std::string out;
        server->produce(out, 1 << 20);
        slow.give_bytes(out);
        server->receive(slow.take(), now_ms);
        server->deliver();
    };
    const auto stuck = slow.get("/stuck");
    const auto events = slow.get("/events");
    give();
    for (int i = 0; i < 2; ++i) {
        peers.push_back(std::make_unique<Peer>(*reactor));
        peer(static_cast<std::size_t>(i)).conn.adopt(server->next_request(), Address{});
    }
    peer(1).to_send = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    peer(1).go();
    give();
    peer(0).to_send =
        "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + std::string(100'000, 'y');
    for (int i = 0; i < 5; ++i) {
        peer(0).go();
        give();
    }
    ASSERT_EQ(peer(0).sent, peer(0).to_send.size());
    peer(0).conn.close(); // the exchange is over: its last bytes are the server's to send
    EXPECT_TRUE(server->owes());
    server->reset_stuck(1'024);
    give();
    EXPECT_FALSE(slow.seen[stuck].closed) << "the first look only remembers";
    server->reset_stuck(1'024);
    give();
    EXPECT_TRUE(slow.seen[stuck].closed);
    EXPECT_FALSE(slow.seen[events].closed);
    EXPECT_FALSE(server->owes());
}

TEST_F(Http2Test, AnAnswerThatWaitsForTheConnectionIsNotItsClientsFault) {
    const auto id = client.get("/");
    exchange();
    peer().to_send = "HTTP/1.1 200 OK\r\nContent-Length: 30000\r\n\r\n" + std::string(30'000, 'y');
    peer().go();
    EXPECT_TRUE(peer().conn.waits_for_others());
    peer().conn.close();
    for (int look = 0; look < 3; ++look) {
        server->reset_stuck(1'024); // the socket takes nothing
    }
    exchange();
    EXPECT_EQ(client.seen[id].body.size(), 30'000U);
    EXPECT_TRUE(client.seen[id].ended);
}

TEST_F(Http2Test, AnAnswerThatIsNoHttpResetsItsStreamAlone) {
    const auto id = client.get("/");
    const auto other = client.get("/");
    exchange();
    peer(0).to_send = "this is no answer\r\n\r\n";
    peer(0).go();
    exchange();
    EXPECT_EQ(client.seen[id].error, NGHTTP2_INTERNAL_ERROR);
    answer(peer(1), "HTTP/1.1 204 No Content\r\n\r\n");
    EXPECT_TRUE(client.seen[other].ended);
}

} // namespace
} // namespace hasp::net

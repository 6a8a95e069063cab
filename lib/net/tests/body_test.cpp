#include "net/body.h"

#include <gtest/gtest.h>

namespace hasp::net {
namespace {

using State = BodyDecoder::State;

struct Outcome {
    State state;
    std::string payload;
    std::string left;
    std::string trailers;
};

// Gives the bytes in pieces of `piece`, as a socket would, keeping what was not consumed.
Outcome decode(std::string_view bytes, std::size_t piece, Framing framing = Framing::chunked,
               std::uint64_t length = 0) {
    BodyDecoder decoder;
    Outcome out{State::more, {}, {}, {}};
    decoder.start(framing, length);
    decoder.keep_trailers(&out.trailers);
    std::string window;
    while (decoder.state() == State::more && !bytes.empty()) {
        window += bytes.substr(0, piece);
        bytes.remove_prefix(std::min(piece, bytes.size()));
        for (;;) {
            const BodyDecoder::Step step = decoder.step(window);
            out.payload += step.payload;
            window.erase(0, step.consumed);
            if (step.consumed == 0 || step.state != State::more) {
                break;
            }
        }
    }
    out.state = decoder.state();
    out.left = window + std::string(bytes);
    return out;
}

struct ChunkCase {
    std::string_view section;
    std::string_view what;
    std::string_view bytes;
    bool good;
};
using std::string_view_literals::operator""sv;
constexpr ChunkCase chunk_cases[] = {
    {"9112 §7.1", "two chunks", "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"sv, true},
    {"9112 §7.1", "upper and lower case hexadecimal",
     "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n"sv, true},
    {"9112 §7.1", "leading zeros", "0003\r\nabc\r\n000\r\n\r\n"sv, true},
    {"9112 §7.1", "no size", "\r\nabc\r\n0\r\n\r\n"sv, false},
    {"9112 §7.1", "a size that is not hexadecimal", "g\r\nabc\r\n0\r\n\r\n"sv, false},
    {"9112 §7.1", "a size with 0x", "0x3\r\nabc\r\n0\r\n\r\n"sv, false},
    {"9112 §7.1", "a signed size", "+3\r\nabc\r\n0\r\n\r\n"sv, false},
    {"9112 §7.1", "a negative size", "-3\r\nabc\r\n0\r\n\r\n"sv, false},
    {"9112 §7.1", "a size that overflows", "10000000000000003\r\nabc\r\n0\r\n\r\n"sv, false},
    {"9112 §7.1", "2^64 - 1", "ffffffffffffffff\r\nabc\r\n0\r\n\r\n"sv, false},
    {"9112 §7.1", "endless zeros", "00000000000000000000000003\r\nabc\r\n0\r\n\r\n"sv, false},
    {"9112 §7.1", "a space before the size", " 3\r\nabc\r\n0\r\n\r\n"sv, false},
    {"9112 §7.1", "a space behind the size", "3 \r\nabc\r\n0\r\n\r\n"sv, false},
    {"9112 §7.1", "junk behind the size", "3x\r\nabc\r\n0\r\n\r\n"sv, false},
    {"9112 §7.1", "a bare LF behind the size", "3\nabc\r\n0\r\n\r\n"sv, false},
    {"9112 §7.1", "a bare CR behind the size", "3\rabc\r\n0\r\n\r\n"sv, false},
    {"9112 §7.1", "a bare LF behind the data", "3\r\nabc\n0\r\n\r\n"sv, false},
    {"9112 §7.1", "data longer than its size", "3\r\nabcd\r\n0\r\n\r\n"sv, false},
    {"9112 §7.1", "no CRLF behind the data", "3\r\nabc0\r\n\r\n"sv, false},
    {"9112 §7.1.1", "an extension", "3;a=b\r\nabc\r\n0;c\r\n\r\n"sv, true},
    {"9112 §7.1.1", "white space and a quoted value",
     "3 ; a = \"b;\\\" c\" ; d\r\nabc\r\n0\r\n\r\n"sv, true},
    {"9112 §7.1.1", "an extension without a name", "3;\r\nabc\r\n0\r\n\r\n"sv, false},
    {"9112 §7.1.1", "an extension without its value", "3;a=\r\nabc\r\n0\r\n\r\n"sv, false},
    {"9112 §7.1.1", "an open quoted value", "3;a=\"b\r\nabc\r\n0\r\n\r\n"sv, false},
    {"9112 §7.1.1", "a bare LF in an extension", "3;a\nabc\r\n0\r\n\r\n"sv, false},
    {"9112 §7.1.1", "a bare CR in an extension", "3;a\rb\r\nabc\r\n0\r\n\r\n"sv, false},
    {"9112 §7.1.1", "NUL in an extension", "3;a=\"\0\"\r\nabc\r\n0\r\n\r\n"sv, false},
    {"9112 §7.1.2", "trailers", "0\r\nX-Sum: 1\r\nY: 2\r\n\r\n"sv, true},
    {"9112 §7.1.2", "a folded trailer", "0\r\nX: 1\r\n 2\r\n\r\n"sv, false},
    {"9112 §7.1.2", "a trailer with a bare LF", "0\r\nX: 1\n\r\n"sv, false},
    {"9112 §7.1.2", "a trailer with white space before its colon", "0\r\nX : 1\r\n\r\n"sv, false},
    {"9112 §7.1.2", "a bare LF as the empty line", "0\r\n\n"sv, false},
    {"9112 §7.1.2", "CR CR LF as the empty line", "0\r\n\r\r\n"sv, false},
};

TEST(ChunkedBody, EachCaseIsTakenOrRefusedInPiecesOfAnySize) {
    for (const ChunkCase& one : chunk_cases) {
        for (const std::size_t piece : {std::size_t{1}, std::size_t{3}, one.bytes.size()}) {
            const Outcome out = decode(one.bytes, piece);
            EXPECT_EQ(out.state, one.good ? State::done : State::bad)
                << "RFC " << one.section << ": " << one.what << " in pieces of " << piece;
        }
    }
}

TEST(ChunkedBody, GivesPayloadAndLeavesTheNextMessage) {
    for (const std::size_t piece : {1U, 2U, 7U, 100U}) {
        const Outcome out = decode("3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nX: 1\r\n\r\nGET /", piece);
        EXPECT_EQ(out.state, State::done);
        EXPECT_EQ(out.payload, "abcde");
        EXPECT_EQ(out.left, "GET /");
        EXPECT_EQ(out.trailers, "x: 1\r\n");
    }
}

TEST(ChunkedBody, DropsTrailersThatFrameRouteOrIdentify) {
    EXPECT_EQ(decode("0\r\nContent-Length: 5\r\nHost: x\r\nCookie: a\r\nETag: \"1\"\r\n\r\n", 99)
                  .trailers,
              "etag: \"1\"\r\n");
}

TEST(ChunkedBody, BoundsExtensionsAndTrailers) {
    std::string extensions;
    for (int i = 0; i < 200; ++i) {
        extensions += "1;aaaaaaaa\r\nx\r\n";
    }
    EXPECT_EQ(decode(extensions + "0\r\n\r\n", 4096).state, State::bad);
    std::string many = "0\r\n";
    for (std::size_t i = 0; i <= BodyDecoder::trailers_max; ++i) {
        many += "X: y\r\n";
    }
    EXPECT_EQ(decode(many + "\r\n", 4096).state, State::bad);
    EXPECT_EQ(decode("0\r\nX: " + std::string(5000, 'a'), 9000).state, State::bad);
}

TEST(ChunkedBody, IsCompactedInPlace) {
    std::string bytes = "3\r\nabc\r\n2\r\nde\r\n4\r\nfg";
    BodyDecoder decoder;
    decoder.start(Framing::chunked);
    const auto first = decoder.compact(bytes);
    EXPECT_EQ(bytes.substr(0, first.payload), "abcdefg");
    EXPECT_EQ(first.consumed, bytes.size());
    EXPECT_EQ(first.state, State::more);
    std::string rest = "hi\r\n0\r\n\r\nnext";
    const auto second = decoder.compact(rest);
    EXPECT_EQ(rest.substr(0, second.payload), "hi");
    EXPECT_EQ(rest.substr(second.consumed), "next");
    EXPECT_EQ(second.state, State::done);
}

TEST(Body, OfALengthEndsThereAndNotBefore) {
    EXPECT_EQ(decode("abcdef", 2, Framing::length, 5).payload, "abcde");
    EXPECT_EQ(decode("abcdef", 2, Framing::length, 5).left, "f");
    BodyDecoder decoder;
    decoder.start(Framing::length, 5);
    decoder.step("abc");
    EXPECT_EQ(decoder.remaining(), 2U);
    EXPECT_EQ(decoder.end(), State::bad);
    decoder.start(Framing::length, 0);
    EXPECT_TRUE(decoder.done());
    decoder.start(Framing::none);
    EXPECT_TRUE(decoder.done());
}

TEST(Body, UntilCloseEndsWithTheTransport) {
    BodyDecoder decoder;
    decoder.start(Framing::until_close);
    EXPECT_EQ(decoder.step("abc").payload, "abc");
    EXPECT_EQ(decoder.end(), State::done);
    decoder.start(Framing::chunked);
    decoder.step("3\r\nab");
    EXPECT_EQ(decoder.end(), State::bad);
}

std::string text_of(std::span<const iovec> pieces) {
    std::string out;
    for (const iovec& piece : pieces) {
        out.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
    }
    return out;
}

iovec piece_of(std::string& text) {
    return {text.data(), text.size()};
}

TEST(BodyEncoder, FramesWhatTheDecoderReads) {
    BodyEncoder encoder;
    encoder.start(Framing::chunked);
    std::string a = "hello, ", b = "world, a long one";
    const iovec payload[] = {piece_of(a), piece_of(b)};
    iovec out[4];
    std::string wire = text_of({out, encoder.frame(payload, out)});
    EXPECT_EQ(wire, "18\r\nhello, world, a long one\r\n");
    EXPECT_EQ(encoder.frame({payload, 0}, out), 0U);
    std::string storage;
    wire += encoder.finish_with_trailers("x: 1\r\n", storage);
    const Outcome back = decode(wire, 5);
    EXPECT_EQ(back.state, State::done);
    EXPECT_EQ(back.payload, a + b);
    EXPECT_EQ(back.trailers, "x: 1\r\n");
}

TEST(BodyEncoder, NeitherExceedsNorFallsShortOfTheAnnouncedLength) {
    std::string a = "abc";
    const iovec payload = piece_of(a);
    iovec out[3];
    BodyEncoder encoder;
    encoder.start(Framing::length, 5);
    EXPECT_EQ(encoder.frame({&payload, 1}, out), 1U);
    EXPECT_EQ(encoder.frame({&payload, 1}, out), 0U);
    EXPECT_TRUE(encoder.failed());
    encoder.start(Framing::length, 5);
    encoder.frame({&payload, 1}, out);
    encoder.finish();
    EXPECT_TRUE(encoder.failed());
    encoder.start(Framing::length, 3);
    encoder.frame({&payload, 1}, out);
    EXPECT_EQ(encoder.finish(), "");
    EXPECT_FALSE(encoder.failed());
}

} // namespace
} // namespace hasp::net

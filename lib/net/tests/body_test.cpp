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

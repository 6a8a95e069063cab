#include "net/content_coding.h"

#include <brotli/decode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <malloc.h>
#include <random>
#include <stdexcept>
#include <zlib.h>
#include <zstd.h>

namespace hasp::net {
namespace {

constexpr std::array codings{Coding::gzip, Coding::zstd, Coding::br};

Coding chosen(std::string_view value) {
    return choose_coding(value, CodingSet::all());
}

TEST(ChooseCoding, TakesTheBestWeightAndOfEqualOnesBrotliThenZstdThenGzip) {
    EXPECT_EQ(chosen("gzip, deflate, br, zstd"), Coding::br);
    EXPECT_EQ(chosen("gzip, deflate, zstd"), Coding::zstd);
    EXPECT_EQ(chosen("gzip"), Coding::gzip);
    EXPECT_EQ(chosen("br;q=0.5, gzip;q=0.8, zstd;q=0.799"), Coding::gzip);
    EXPECT_EQ(chosen("BR;Q=0.5 , X-GZIP ; q=0.8"), Coding::gzip);
    EXPECT_EQ(choose_coding("gzip, br", CodingSet().with(Coding::gzip)), Coding::gzip);
}

TEST(ChooseCoding, TakesNothingWhereTheClientNamesNothingThatIsOffered) {
    for (const char* value : {"", " ", "deflate, compress", "gzip;q=0", "gzip;q=0.000, *;q=0"}) {
        EXPECT_EQ(chosen(value), Coding::identity) << value;
    }
    EXPECT_EQ(choose_coding("br", CodingSet().with(Coding::gzip)), Coding::identity);
    EXPECT_EQ(choose_coding(Headers(), CodingSet::all()), Coding::identity);
}

TEST(ChooseCoding, AStarStandsForWhatIsNotNamed) {
    EXPECT_EQ(chosen("*"), Coding::br);
    EXPECT_EQ(chosen("*, br;q=0"), Coding::zstd);
    EXPECT_EQ(chosen("gzip, *;q=0"), Coding::gzip);
    EXPECT_EQ(chosen("gzip;q=0.2, *;q=0.1"), Coding::gzip);
}

TEST(ChooseCoding, IdentityIsPreferredOnlyByName) {
    EXPECT_EQ(chosen("identity, gzip;q=0.5"), Coding::identity);
    EXPECT_EQ(chosen("identity;q=0.5, gzip;q=0.5"), Coding::gzip);
    EXPECT_EQ(chosen("gzip;q=0.001"), Coding::gzip);
    EXPECT_EQ(chosen("identity;q=0, gzip;q=0.1"), Coding::gzip);
    EXPECT_EQ(chosen("identity;q=0"), Coding::identity) << "better than no answer";
}

TEST(ChooseCoding, WhatIsMalformedCountsAsNotThere) {
    for (const char* value : {"gzip;q=1.1", "gzip;q=2", "gzip;q=0.1234", "gzip;q=", "gzip;q=a",
                              "gzip;q=-1", "gzip;x=1", "gzip;", "gzip q=1", "\"gzip\"", "gzipp"}) {
        EXPECT_EQ(chosen(value), Coding::identity) << value;
    }
    EXPECT_EQ(chosen("br;q=9, gzip;q=1.000, , zstd;q=0."), Coding::gzip);
    EXPECT_EQ(chosen("gzip;q=0, gzip"), Coding::identity) << "the first counts";
}

TEST(ChooseCoding, SeveralFieldsAreOneList) {
    Headers headers;
    headers.add("Accept-Encoding", "gzip;q=0.5", Name::accept_encoding);
    headers.add("accept-encoding", "zstd", Name::accept_encoding);
    EXPECT_EQ(choose_coding(headers, CodingSet::all()), Coding::zstd);
}

TEST(CodingNames, AreReadAndWritten) {
    for (const Coding one : codings) {
        EXPECT_EQ(coding_of(coding_name(one)), one);
    }
    EXPECT_EQ(coding_of("deflate"), Coding::identity);
    EXPECT_EQ(coding_of(""), Coding::identity);
}

TEST(Compressible, IsTextAndWhatIsMadeLikeText) {
    for (const char* type :
         {"text/html; charset=utf-8", "TEXT/Plain", "text/javascript", "application/json",
          "application/javascript;charset=utf-8", "application/xml", "application/wasm",
          "application/manifest+json", "image/svg+xml", "application/atom+xml", "font/ttf"}) {
        EXPECT_TRUE(is_compressible(type)) << type;
    }
    for (const char* type :
         {"", "text", "text/", "/", "text/event-stream", "Text/Event-Stream; charset=utf-8",
          "image/png", "video/mp4", "application/zip", "application/octet-stream", "font/woff2",
          "application/gzip", "multipart/form-data", "application/grpc"}) {
        EXPECT_FALSE(is_compressible(type)) << type;
    }
}

std::string coded_tag(std::string_view tag) {
    std::string out;
    append_coded_etag(out, tag);
    return out;
}
std::string plain_tags(std::string_view tags) {
    std::string out;
    append_uncoded_etags(out, tags);
    return out;
}

TEST(CodedTags, AreWeakAndLeadBackToTheTagOfTheApp) {
    EXPECT_EQ(coded_tag("\"abc\""), "W/\"abc;hasp-coded\"");
    EXPECT_EQ(coded_tag("\"\""), "W/\";hasp-coded\"");
    for (const char* tag : {"\"abc\"", "\"\""}) {
        EXPECT_EQ(plain_tags(coded_tag(tag)), tag);
        EXPECT_TRUE(has_coded_etag(coded_tag(tag)));
    }
    EXPECT_EQ(coded_tag("W/\"abc\""), "W/\"abc\"") << "weak already";
    EXPECT_EQ(coded_tag("abc"), "abc") << "no entity tag";
    EXPECT_EQ(coded_tag("\""), "\"");
}

TEST(CodedTags, AreFoundAmongOthersWhichStayAsTheyAre) {
    EXPECT_EQ(plain_tags("\"a\", W/\"b;hasp-coded\" ,W/\"c\""), "\"a\", \"b\" ,W/\"c\"");
    EXPECT_EQ(plain_tags("<urn:x> ([W/\"b;hasp-coded\"])"), "<urn:x> ([\"b\"])");
    for (const char* tags : {"*", "", "\"a;hasp-coded\"", "W/\"open", "\"a\" W/"}) {
        EXPECT_EQ(plain_tags(tags), tags);
    }
}

// Codes in pieces of the input and of the output.
class Pieces {
  public:
    explicit Pieces(Coding coding, std::uint64_t length = 0)
        : coder_(Coder::make(coding, length)) {}
    void take(std::string_view in, Coder::Until until, std::size_t room = 700) {
        std::string out(room, '\0');
        for (;;) {
            const Coder::Step step = coder_->step(in, out, until);
            if (step.failed) {
                throw std::runtime_error("the coder failed");
            }
            in.remove_prefix(step.consumed);
            coded.append(out, 0, step.produced);
            if (step.complete) {
                EXPECT_TRUE(in.empty());
                return;
            }
        }
    }
    std::string coded;

  private:
    std::unique_ptr<Coder> coder_;
};

// As far as it goes; `whole` tells whether the stream has ended.
std::string decoded(Coding coding, std::string_view bytes, bool& whole) {
    std::string out(4'000'000, '\0');
    std::size_t size = 0;
    if (coding == Coding::gzip) {
        z_stream in{};
        ::inflateInit2(&in, MAX_WBITS + 16);
        in.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
        in.avail_in = static_cast<uInt>(bytes.size());
        in.next_out = reinterpret_cast<Bytef*>(out.data());
        in.avail_out = static_cast<uInt>(out.size());
        whole = ::inflate(&in, Z_SYNC_FLUSH) == Z_STREAM_END;
        size = in.total_out;
        ::inflateEnd(&in);
    } else if (coding == Coding::zstd) {
        ZSTD_DCtx* const in = ::ZSTD_createDCtx();
        ZSTD_inBuffer from{bytes.data(), bytes.size(), 0};
        ZSTD_outBuffer to{out.data(), out.size(), 0};
        std::size_t left = 1;
        while (from.pos < from.size) {
            left = ::ZSTD_decompressStream(in, &to, &from);
        }
        whole = left == 0;
        size = to.pos;
        ::ZSTD_freeDCtx(in);
    } else {
        BrotliDecoderState* const in = ::BrotliDecoderCreateInstance(nullptr, nullptr, nullptr);
        const auto* next_in = reinterpret_cast<const std::uint8_t*>(bytes.data());
        auto* next_out = reinterpret_cast<std::uint8_t*>(out.data());
        std::size_t in_left = bytes.size();
        std::size_t out_left = out.size();
        whole = ::BrotliDecoderDecompressStream(in, &in_left, &next_in, &out_left, &next_out,
                                                &size) == BROTLI_DECODER_RESULT_SUCCESS;
        ::BrotliDecoderDestroyInstance(in);
    }
    out.resize(size);
    return out;
}

std::string sentences(std::size_t bytes) {
    std::string out;
    for (int i = 0; out.size() < bytes; ++i) {
        out.append("<li class=\"row\">number ").append(std::to_string(i * 7919)).append("</li>\n");
    }
    out.resize(bytes);
    return out;
}
std::string noise(std::size_t bytes) {
    std::mt19937 random(7);
    std::string out(bytes, '\0');
    for (char& c : out) {
        c = static_cast<char>(random());
    }
    return out;
}

class Coders : public ::testing::TestWithParam<Coding> {};
INSTANTIATE_TEST_SUITE_P(Coders, Coders, ::testing::ValuesIn(codings),
                         [](const auto& of) { return std::string(coding_name(of.param)); });

TEST_P(Coders, GiveBackWhatWasCodedWhateverItsSizeAndWhateverIsKnownOfIt) {
    for (const std::size_t size : {0UL, 1UL, 1'500UL, 70'000UL, 1'200'000UL}) {
        for (const std::string& text : {sentences(size), noise(size)}) {
            for (const std::uint64_t length : {std::uint64_t{0}, std::uint64_t{size}}) {
                Pieces pieces(GetParam(), length);
                pieces.take(std::string_view(text).substr(0, size / 3), Coder::Until::full);
                pieces.take(std::string_view(text).substr(size / 3), Coder::Until::full);
                pieces.take("", Coder::Until::end);
                bool whole = false;
                EXPECT_EQ(decoded(GetParam(), pieces.coded, whole), text) << size;
                EXPECT_TRUE(whole);
            }
        }
    }
}

TEST_P(Coders, GiveAfterAFlushAllThatWasTaken) {
    Pieces pieces(GetParam());
    std::string text;
    bool whole = true;
    for (int i = 0; i < 50; ++i) {
        const std::string one = i % 10 == 9 ? noise(30'000) : sentences(17);
        text.append(one);
        pieces.take(one, Coder::Until::flushed, 100);
        ASSERT_EQ(decoded(GetParam(), pieces.coded, whole), text);
        ASSERT_FALSE(whole);
    }
    pieces.take("end", Coder::Until::end);
    EXPECT_EQ(decoded(GetParam(), pieces.coded, whole), text + "end");
    EXPECT_TRUE(whole);
}

TEST_P(Coders, AFlushWithNothingNewEnds) {
    Pieces pieces(GetParam());
    pieces.take("", Coder::Until::flushed);
    pieces.take("some text", Coder::Until::flushed);
    pieces.take("", Coder::Until::flushed);
    pieces.take("", Coder::Until::flushed);
    pieces.take("", Coder::Until::end);
    bool whole = false;
    EXPECT_EQ(decoded(GetParam(), pieces.coded, whole), "some text");
    EXPECT_TRUE(whole);
}

TEST_P(Coders, MakeTextAFifthOrSmaller) {
    Pieces pieces(GetParam());
    pieces.take(sentences(200'000), Coder::Until::end);
    EXPECT_LT(pieces.coded.size(), 40'000U);
}

TEST_P(Coders, HoldLessMemoryThanTheirLimitAndLittleForSmallBodies) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP() << "the sanitizer has its own allocator";
#endif
    const auto used = [] {
        const struct mallinfo2 now = ::mallinfo2();
        return now.uordblks + now.hblkhd;
    };
    const std::string text = sentences(1'000'000);
    for (const std::uint64_t length : {std::uint64_t{0}, std::uint64_t{4'000}}) {
        const std::size_t before = used();
        {
            Pieces pieces(GetParam(), length);
            pieces.coded.reserve(300'000);
            const std::size_t size = length == 0 ? text.size() : length;
            for (std::size_t at = 0; at < size; at += 20'000) {
                pieces.take(
                    std::string_view(text).substr(at, std::min<std::size_t>(20'000, size - at)),
                    Coder::Until::full);
            }
            const std::size_t bytes = used() - before - 300'000;
            RecordProperty(length == 0 ? "bytes" : "bytes_small", static_cast<int>(bytes));
            EXPECT_LE(bytes, Coder::coder_bytes_max) << length;
        }
        EXPECT_LE(used(), before + 4'096);
    }
}

} // namespace
} // namespace hasp::net

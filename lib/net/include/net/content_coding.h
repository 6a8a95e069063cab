// Content codings: which one a client takes, what is worth coding, and a coder that works piece by
// piece (RFC 9110 §8.4, §12.5.3). All but Coder is pure and allocates nothing.
#pragma once

#include "net/header.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace hasp::net {

// In the order of our preference among codings that a client takes equally gladly, best last.
enum class Coding : std::uint8_t { identity, gzip, zstd, br };
inline constexpr std::size_t codings_known = 4;

// "gzip"; empty for identity, which is never named in Content-Encoding.
std::string_view coding_name(Coding coding);
// What is put behind a file's name for its coded form: ".gz", ".zst", ".br".
std::string_view coding_suffix(Coding coding);

// A set of codings.
class CodingSet {
  public:
    constexpr CodingSet() = default;
    static constexpr CodingSet all() {
        return CodingSet().with(Coding::gzip).with(Coding::zstd).with(Coding::br);
    }
    constexpr CodingSet with(Coding coding) const {
        CodingSet out;
        out.bits_ = static_cast<std::uint8_t>(bits_ | (1U << static_cast<unsigned>(coding)));
        return out;
    }
    constexpr bool has(Coding coding) const {
        return (bits_ & (1U << static_cast<unsigned>(coding))) != 0;
    }
    constexpr bool empty() const { return bits_ == 0; }
    constexpr bool operator==(const CodingSet&) const = default;

  private:
    std::uint8_t bits_ = 0;
};
// By its name ("br", "zstd", "gzip"), exactly; identity for every other text.
Coding coding_of(std::string_view name);

// The best of `offered` for all Accept-Encoding fields of a request: the highest weight, and of
// equal ones the last in Coding. identity when none of them is taken, when the client gives
// identity by name a higher weight, and when there is no such field: then every coding would do,
// but it comes from programs that expect none. Also when identity is refused and nothing else can
// be had: an answer that may be of no use is better than none. "x-gzip" is gzip (§8.4.1.3). An
// element that is malformed counts as not there.
Coding choose_coding(const Headers& request, CodingSet offered);
Coding choose_coding(std::string_view accept_encoding, CodingSet offered);

// Bodies of this media type become smaller: text, and what is made like text. Not event streams,
// which must not wait in a coder, and nothing that is compressed already. An empty or malformed
// type: no.
bool is_compressible(std::string_view content_type);

// Entity tags of answers that were coded on their way (§8.8.3). The same body may be coded into
// other bytes the next time, so the tag is weak; it is marked, so that the tag of whoever made the
// answer is found again in a condition.
//   "abc"  ->  W/"abc;hasp-coded"
// What is weak already says nothing about bytes, and stays as it is. Appends to `out`.
void append_coded_etag(std::string& out, std::string_view etag);
// Appends `text` (If-Match, If-None-Match, or If of RFC 4918) with each marked tag as it was before
// it was marked. The rest stays byte by byte.
void append_uncoded_etags(std::string& out, std::string_view text);
// Some tag in it is marked.
bool has_coded_etag(std::string_view text);

// Codes one body. One thread.
class Coder {
  public:
    // What one holds at most: gzip 0.3, zstd 0.7, brotli 1 MB.
    static constexpr std::size_t coder_bytes_max = std::size_t{5} << 18;

    enum class Until : std::uint8_t {
        full,    // output comes when there is much of it
        flushed, // what was taken can be decoded by whoever gets the output
        end,     // and the stream ends
    };
    struct Step {
        std::size_t consumed = 0; // from the front of the input
        std::size_t produced = 0; // at the front of `out`
        // Nothing of the input is left, nothing more would come for this `until`.
        bool complete = false;
        bool failed = false; // out of memory; the stream is of no use any more
    };

    // `length`: of the body if it is known, else 0; small ones take less memory. Null for identity
    // and when there is no memory.
    static std::unique_ptr<Coder> make(Coding coding, std::uint64_t length);
    virtual ~Coder() = default;
    Coder(const Coder&) = delete;
    Coder& operator=(const Coder&) = delete;

    // Takes some of `in` and gives some output. `flushed` and `end` are repeated, with what is left
    // of the input, until complete; after `end` that was complete there is no further call.
    virtual Step step(std::string_view in, std::span<char> out, Until until) = 0;

  protected:
    Coder() = default;
};

} // namespace hasp::net

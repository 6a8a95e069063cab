#include "passon/access_log.h"

#include "base/bytes.h"
#include "base/log.h"
#include "base/text.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <unistd.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace hasp::passon {
namespace {

// Of keys, punctuation and numbers of one line, the longest possible included.
constexpr std::size_t fixed_max = 512;
// A line whose texts are shorter and plain is put together in the buffer.
constexpr std::size_t short_texts = 1'536;
// is_plain() looks at whole blocks, and so beyond the end of what was written last.
constexpr std::size_t block = 16;

// Is every byte printable ASCII other than the two that JSON escapes? Reads whole blocks: up to
// block - 1 bytes behind the text are readable, and do not count.
#if defined(__SSE2__)
bool is_plain(const char* at, std::size_t size) {
    const __m128i space = _mm_set1_epi8(' ');
    const __m128i quote = _mm_set1_epi8('"');
    const __m128i escape = _mm_set1_epi8('\\');
    const __m128i del = _mm_set1_epi8(0x7f);
    const auto odd = [&](const char* from) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
        const __m128i low = _mm_cmplt_epi8(bytes, space); // signed: also those above 0x7f
        const __m128i meant =
            _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, escape));
        return static_cast<unsigned>(
            _mm_movemask_epi8(_mm_or_si128(_mm_or_si128(low, meant), _mm_cmpeq_epi8(bytes, del))));
    };
    while (size >= block) {
        if (odd(at) != 0) {
            return false;
        }
        at += block;
        size -= block;
    }
    return (odd(at) & ((1U << size) - 1U)) == 0;
}
#else
bool is_plain(const char* at, std::size_t size) {
    return std::all_of(at, at + size,
                       [](char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; });
}
#endif

// Into memory that is known to be large enough.
class Fast {
  public:
    explicit Fast(char* at) : at_(at) {}
    template <std::size_t Size>
    void put(const char (&literal)[Size]) {
        std::memcpy(at_, literal, Size - 1);
        at_ += Size - 1;
    }
    void put(std::string_view text) { at_ = copy_short(at_, text.data(), text.size()); }
    void text(std::string_view text) {
        char* const from = at_;
        put(text);
        plain_ = plain_ && is_plain(from, text.size());
    }
    void number(std::uint64_t value) {
        if (value < 10) {
            *at_++ = static_cast<char>('0' + value);
        } else if (value < 1'000) {
            const auto small = static_cast<std::uint32_t>(value);
            *at_ = static_cast<char>('0' + small / 100);
            at_ += small >= 100 ? 1 : 0;
            put_pair(small % 100);
        } else {
            at_ = std::to_chars(at_, at_ + 20, value).ptr;
        }
    }
    // 0 to 999,999, with its leading zeros.
    void six_digits(std::uint32_t value) {
        put_pair(value / 10'000);
        put_pair(value / 100 % 100);
        put_pair(value % 100);
    }
    bool plain() const { return plain_; }
    const char* end() const { return at_; }

  private:
    void put_pair(std::uint32_t value) {
        std::memcpy(at_, &digit_pairs[2 * std::size_t{value}], 2);
        at_ += 2;
    }
    // Two digits for each of 0 to 99.
    static constexpr std::array<char, 200> digit_pairs = [] {
        std::array<char, 200> out{};
        for (std::size_t i = 0; i < 100; ++i) {
            out[2 * i] = static_cast<char>('0' + i / 10);
            out[2 * i + 1] = static_cast<char>('0' + i % 10);
        }
        return out;
    }();

    char* at_;
    bool plain_ = true;
};

// For long texts and those that need escapes.
class Careful {
  public:
    explicit Careful(std::string& out) : out_(out) {}
    void put(std::string_view text) { out_.append(text); }
    void text(std::string_view text) { out_ += json_escape(text); }
    void number(std::uint64_t value) { out_ += std::to_string(value); }

  private:
    std::string& out_;
};

// All behind the line's beginning, which is its time and the tier.
template <typename Out>
void write_line(Out& out, const AccessLine& line) {
    // Templates, so that the compiler knows how long each key is.
    const auto text = [&out]<std::size_t Size>(const char(&key)[Size], std::string_view value) {
        if (!value.empty()) {
            out.put(key);
            out.text(value);
            out.put("\"");
        }
    };
    // Literals of ours, and hex digits.
    const auto known = [&out]<std::size_t Size>(const char(&key)[Size], std::string_view value) {
        if (!value.empty()) {
            out.put(key);
            out.put(value);
            out.put("\"");
        }
    };
    const auto number = [&out]<std::size_t Size>(const char(&key)[Size], auto value) {
        out.put(key);
        out.number(static_cast<std::uint64_t>(value));
    };
    known(",\"request\":\"", line.request_id);
    known(",\"from\":\"", line.from);
    text(",\"peer\":\"", line.peer);
    text(",\"client\":\"", line.client);
    text(",\"user\":\"", line.user);
    text(",\"app\":\"", line.app);
    text(",\"method\":\"", line.method);
    text(",\"host\":\"", line.host);
    text(",\"path\":\"", line.path);
    number(",\"status\":", line.status);
    number(",\"bytes_in\":", line.bytes_in);
    number(",\"bytes_out\":", line.bytes_out);
    number(",\"duration_us\":", line.duration_us);
    known(",\"served\":\"", line.served);
    known(",\"cache\":\"", line.cache);
    text(",\"why\":\"", line.why);
    known(",\"trace\":\"", line.trace);
    known(",\"span\":\"", line.span);
    out.put("}\n");
}

std::size_t texts_of(const AccessLine& line) {
    return line.request_id.size() + line.from.size() + line.peer.size() + line.client.size() +
           line.user.size() + line.app.size() + line.method.size() + line.host.size() +
           line.path.size() + line.served.size() + line.cache.size() + line.why.size() +
           line.trace.size() + line.span.size();
}

} // namespace

AccessLog::AccessLog(Fd fd, std::string tier)
    : fd_(std::move(fd)),
      tier_(tier.empty() ? std::string() : ",\"tier\":\"" + json_escape(tier) + "\"") {
    make_room();
}

void AccessLog::make_room() {
    if (fd_ && buffer_ == nullptr) {
        buffer_ = std::make_unique<char[]>(buffer_room);
    }
}

void AccessLog::write(const AccessLine& line) {
    static_assert(buffer_room > buffer_bytes + fixed_max + short_texts + tier_max + block);
    if (!fd_) {
        return;
    }
    const std::int64_t second = line.time_us / 1'000'000;
    const std::int64_t part = line.time_us % 1'000'000;
    if (texts_of(line) <= short_texts && tier_.size() <= tier_max && second > 0) {
        // Below buffer_bytes, so it fits.
        Fast out(buffer_.get() + size_);
        if (second != second_) {
            second_ = second;
            // Within the memory that it has: no request allocates for it.
            time_.assign("{\"time_us\":").append(std::to_string(second));
        }
        out.put(std::string_view(time_));
        out.six_digits(static_cast<std::uint32_t>(part));
        out.put(std::string_view(tier_));
        write_line(out, line);
        if (out.plain()) {
            size_ = static_cast<std::size_t>(out.end() - buffer_.get());
            if (size_ >= buffer_bytes) {
                flush();
            }
            return;
        }
    }
    std::string long_line =
        "{\"time_us\":" + std::to_string(static_cast<std::uint64_t>(line.time_us)) + tier_;
    Careful out(long_line);
    write_line(out, line);
    if (size_ + long_line.size() >= buffer_bytes) {
        flush();
        write_out(long_line);
        return;
    }
    std::memcpy(buffer_.get() + size_, long_line.data(), long_line.size());
    size_ += long_line.size();
}

void AccessLog::write_out(std::string_view bytes) {
    while (fd_ && !bytes.empty()) {
        const ssize_t wrote = ::write(fd_.get(), bytes.data(), bytes.size());
        if (wrote < 0 && errno == EINTR) {
            continue;
        }
        if (wrote < 0) {
            dropped_bytes_ += bytes.size();
            break;
        }
        bytes.remove_prefix(static_cast<std::size_t>(wrote));
    }
}

void AccessLog::flush() {
    write_out({buffer_.get(), size_});
    size_ = 0;
}

void AccessLog::reopen(Fd fd) {
    flush();
    fd_ = std::move(fd);
    make_room();
}

} // namespace hasp::passon

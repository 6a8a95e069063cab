// Integers of the batch format. Private to lib/billing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace hasp::billing::detail {

inline void put_fixed(std::string& out, std::uint64_t value, int bytes) {
    for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) {
        out += static_cast<char>(value >> shift & 0xff);
    }
}

// LEB128, shortest form.
inline char* put_varint(char* out, std::uint64_t value) {
    while (value >= 0x80) {
        *out++ = static_cast<char>(value | 0x80);
        value >>= 7;
    }
    *out++ = static_cast<char>(value);
    return out;
}
inline constexpr std::size_t varint_bytes_max = 10;

inline std::uint64_t zigzag(std::int64_t value) {
    return (static_cast<std::uint64_t>(value) << 1) ^ static_cast<std::uint64_t>(value >> 63);
}
inline std::int64_t unzigzag(std::uint64_t value) {
    return static_cast<std::int64_t>((value >> 1) ^ (~(value & 1) + 1));
}

// After the first failure every later read fails too, so that one check at the end is enough.
class Reader {
  public:
    explicit Reader(std::string_view bytes)
        : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

    std::uint64_t fixed(int bytes) {
        std::uint64_t value = 0;
        for (const char c : raw(static_cast<std::size_t>(bytes))) {
            value = value << 8 | static_cast<unsigned char>(c);
        }
        return value;
    }
    std::string_view raw(std::size_t size) {
        if (failed_ || static_cast<std::size_t>(end_ - at_) < size) {
            failed_ = true;
            return {};
        }
        const std::string_view out(at_, size);
        at_ += size;
        return out;
    }
    // Refuses a longer form than the shortest, and more than 64 bits.
    std::uint64_t varint() {
        std::uint64_t value = 0;
        for (int shift = 0; shift < 70 && at_ < end_ && !failed_; shift += 7) {
            const auto byte = static_cast<unsigned char>(*at_++);
            if (shift == 63 && byte > 1) {
                break;
            }
            value |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
            if ((byte & 0x80) == 0) {
                if (byte == 0 && shift > 0) {
                    break;
                }
                return value;
            }
        }
        failed_ = true;
        return 0;
    }
    void fail() { failed_ = true; }
    bool failed() const { return failed_; }
    bool at_end() const { return !failed_ && at_ == end_; }

  private:
    const char* at_;
    const char* end_;
    bool failed_ = false;
};

} // namespace hasp::billing::detail

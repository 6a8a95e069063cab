// Big-endian integers and length-prefixed texts. Private to lib/trust.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hasp::trust::detail {

class Writer {
  public:
    void number(std::uint64_t value, int bytes) {
        for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) {
            out_ += static_cast<char>(value >> shift & 0xff);
        }
    }
    void raw(std::string_view bytes) { out_ += bytes; }
    // A length of `length_bytes`, then the bytes. Precondition: the length fits.
    void sized(std::string_view bytes, int length_bytes) {
        number(bytes.size(), length_bytes);
        raw(bytes);
    }
    std::string take() { return std::move(out_); }

  private:
    std::string out_;
};

// After the first failure every later read fails too, so that one check at the end is enough.
class Reader {
  public:
    explicit Reader(std::string_view bytes) : rest_(bytes) {}
    std::uint64_t number(int bytes) {
        std::uint64_t value = 0;
        for (const char c : raw(static_cast<std::size_t>(bytes))) {
            value = value << 8 | static_cast<unsigned char>(c);
        }
        return value;
    }
    std::string_view raw(std::size_t size) {
        if (failed_ || rest_.size() < size) {
            failed_ = true;
            return {};
        }
        const std::string_view out = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return out;
    }
    std::string_view sized(int length_bytes) {
        const std::uint64_t size = number(length_bytes);
        if (size > rest_.size()) {
            failed_ = true;
        }
        return raw(static_cast<std::size_t>(size));
    }
    bool failed() const { return failed_; }
    bool at_end() const { return !failed_ && rest_.empty(); }

  private:
    std::string_view rest_;
    bool failed_ = false;
};

} // namespace hasp::trust::detail

// What writers and readers of batches and differences share. Numbers: unsigned LEB128 of at most 64
// bits, without needless bytes; signed ones zigzag first.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hasp::sync {

// How a batch says, in the place of its kind, that a file is named by its chunks.
inline constexpr char kind_file_by_chunks = 0x05;

inline void put_number(std::string& out, std::uint64_t value) {
    while (value >= 0x80) {
        out.push_back(static_cast<char>((value & 0x7FU) | 0x80U));
        value >>= 7U;
    }
    out.push_back(static_cast<char>(value));
}

inline void put_text(std::string& out, std::string_view text) {
    put_number(out, text.size());
    out.append(text);
}

inline std::uint64_t zigzag(std::int64_t value) {
    return (static_cast<std::uint64_t>(value) << 1U) ^ static_cast<std::uint64_t>(value >> 63);
}

inline std::int64_t unzigzag(std::uint64_t value) {
    return static_cast<std::int64_t>((value >> 1U) ^ (~(value & 1U) + 1U));
}

// Byte by byte.
class NumberReader {
  public:
    enum class State : unsigned char { more, done, bad };
    State add(char byte) {
        const auto bits = static_cast<std::uint64_t>(static_cast<unsigned char>(byte));
        if (shift_ >= 64 || (shift_ == 63 && bits > 1)) {
            return State::bad;
        }
        value_ |= (bits & 0x7FU) << shift_;
        if ((bits & 0x80U) == 0) {
            return shift_ > 0 && bits == 0 ? State::bad : State::done;
        }
        shift_ += 7;
        return State::more;
    }
    std::uint64_t value() const { return value_; }

  private:
    std::uint64_t value_ = 0;
    unsigned shift_ = 0;
};

// From the beginning of `bytes`, which loses it; nothing: there is none.
inline std::optional<std::uint64_t> take_number(std::string_view& bytes) {
    NumberReader reader;
    while (!bytes.empty()) {
        const auto state = reader.add(bytes.front());
        bytes.remove_prefix(1);
        if (state != NumberReader::State::more) {
            return state == NumberReader::State::done ? std::optional(reader.value())
                                                      : std::nullopt;
        }
    }
    return std::nullopt;
}

} // namespace hasp::sync

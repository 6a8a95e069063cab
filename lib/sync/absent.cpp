#include "sync/absent.h"

#include "base/text.h"
#include "sync/chunks.h"
#include "sync/codec.h"

#include <charconv>
#include <vector>

namespace hasp::sync {

namespace {

constexpr std::size_t words_least = 5;
constexpr std::size_t account_bytes_max = 128;

std::optional<std::int64_t> parse_i64(std::string_view text) {
    std::int64_t out = 0;
    const auto done = std::from_chars(text.data(), text.data() + text.size(), out);
    return done.ec == std::errc() && done.ptr == text.data() + text.size() ? std::optional(out)
                                                                           : std::nullopt;
}

} // namespace

std::string absent_text(const Absent& absent) {
    std::string out = "1 " + std::to_string(absent.size) + " " + absent.user + " " + absent.app +
                      " " + to_hex(absent.name);
    if (absent.mtime_ns) {
        out += " " + std::to_string(*absent.mtime_ns);
    }
    return out;
}

std::optional<Absent> parse_absent(std::string_view text) {
    if (text.size() > absent_text_bytes_max) {
        return std::nullopt;
    }
    const std::vector<std::string_view> words = split(text, ' ');
    if ((words.size() != words_least && words.size() != words_least + 1) || words[0] != "1") {
        return std::nullopt;
    }
    Absent out{std::string(words[2]), std::string(words[3]), "", 0};
    const auto size = parse_u64(words[1]);
    const auto name = from_hex(words[4]);
    if (!size || *size > file_bytes_max || !name || !valid_content_name(*name) ||
        out.user.empty() || out.app.empty() || out.user.size() > account_bytes_max ||
        out.app.size() > account_bytes_max) {
        return std::nullopt;
    }
    out.size = *size;
    out.name = *name;
    if (words.size() > words_least) {
        out.mtime_ns = parse_i64(words[5]);
        if (!out.mtime_ns) {
            return std::nullopt;
        }
    }
    return out;
}

} // namespace hasp::sync

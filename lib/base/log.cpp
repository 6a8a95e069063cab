#include "base/log.h"

#include "base/clock.h"
#include "base/text.h"

#include <array>
#include <cstdio>
#include <unistd.h>

namespace hasp {

namespace {
constexpr std::array<const char*, 4> level_names{"debug", "info", "warn", "error"};

// Length of the valid UTF-8 sequence at the start of `s`, 0 when there is none.
std::size_t utf8_length(std::string_view s) {
    const auto b = [&](std::size_t i) {
        return i < s.size() ? static_cast<unsigned char>(s[i]) : 0U;
    };
    const auto tail = [&](std::size_t i) { return (b(i) & 0xc0U) == 0x80U; };
    const unsigned c = b(0);
    if (c < 0x80) {
        return 1;
    }
    if (c >= 0xc2 && c < 0xe0) {
        return tail(1) ? 2 : 0;
    }
    if (c >= 0xe0 && c < 0xf0) {
        const bool fine =
            tail(1) && tail(2) && !(c == 0xe0 && b(1) < 0xa0) && !(c == 0xed && b(1) >= 0xa0);
        return fine ? 3 : 0;
    }
    if (c >= 0xf0 && c < 0xf5) {
        const bool fine = tail(1) && tail(2) && tail(3) && !(c == 0xf0 && b(1) < 0x90) &&
                          !(c == 0xf4 && b(1) >= 0x90);
        return fine ? 4 : 0;
    }
    return 0;
}
} // namespace

std::string json_escape(std::string_view text) {
    std::string out;
    out.reserve(text.size() + 8);
    while (!text.empty()) {
        const char c = text.front();
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (c == '\n') {
            out += "\\n";
        } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
            std::array<char, 8> escape{};
            std::snprintf(escape.data(), escape.size(), "\\u%04x",
                          static_cast<unsigned>(static_cast<unsigned char>(c)));
            out += escape.data();
        } else {
            const std::size_t n = utf8_length(text);
            if (n == 0) {
                out += "\xef\xbf\xbd";
            } else {
                out += text.substr(0, n);
                text.remove_prefix(n - 1);
            }
        }
        text.remove_prefix(1);
    }
    return out;
}

void Log::write(Level level, std::string_view event, std::string_view text,
                std::initializer_list<Field> fields) const {
    if (level < least_) {
        return;
    }
    std::string line;
    const std::string time = rfc3339(clock_.wall_us());
    if (json_) {
        line = "{\"time\":\"" + time + "\",\"level\":\"" +
               level_names[static_cast<std::size_t>(level)] + "\",\"process\":\"" + process_ +
               "\",\"event\":\"" + json_escape(event) + "\",\"text\":\"" + json_escape(text) + "\"";
        for (const Field& field : fields) {
            line += ",\"" + json_escape(field.key) + "\":\"" + json_escape(field.value) + "\"";
        }
        line += "}\n";
    } else {
        line = time + " " + process_ + " " + level_names[static_cast<std::size_t>(level)] + " " +
               std::string(event) + ": " + json_escape(text);
        for (const Field& field : fields) {
            line += " " + std::string(field.key) + "=" + json_escape(field.value);
        }
        line += "\n";
    }
    // A log that cannot be written must not stop the work; there is nowhere to say so.
    [[maybe_unused]] const ssize_t n = ::write(fd_, line.data(), line.size());
}

} // namespace hasp

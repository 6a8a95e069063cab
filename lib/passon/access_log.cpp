#include "passon/access_log.h"

#include "base/log.h"
#include "base/text.h"

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <unistd.h>

namespace hasp::passon {
namespace {

// Of keys, punctuation and numbers of one line, the longest possible included.
constexpr std::size_t fixed_max = 512;
// A line whose texts are shorter and plain is put together on the stack.
constexpr std::size_t short_texts = 1'536;

// Is every byte printable ASCII other than the two that JSON escapes? Eight bytes a step.
bool is_plain(std::string_view text) {
    constexpr std::uint64_t ones = 0x0101010101010101U;
    constexpr std::uint64_t high = 0x8080808080808080U;
    // The high bit of each byte tells whether it is the one looked for, 0 or below.
    const auto below = [](std::uint64_t word, std::uint64_t limit) {
        return (word - ones * limit) & ~word & high;
    };
    const auto bad = [&](std::uint64_t word) {
        return ((word & high) | below(word, 0x20) | below(word ^ (ones * '"'), 1) |
                below(word ^ (ones * '\\'), 1) | below(word ^ (ones * 0x7f), 1)) != 0;
    };
    while (text.size() >= 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, text.data(), 8);
        if (bad(word)) {
            return false;
        }
        text.remove_prefix(8);
    }
    if (text.empty()) {
        return true; // maybe without an address
    }
    std::uint64_t last = ones * ' ';
    std::memcpy(&last, text.data(), text.size());
    return !bad(last);
}

// Into memory that is known to be large enough.
class Fast {
  public:
    explicit Fast(char* at) : begin_(at), at_(at) {}
    void put(std::string_view text) {
        std::memcpy(at_, text.data(), text.size());
        at_ += text.size();
    }
    void text(std::string_view text) { put(text); }
    void number(std::uint64_t value) { at_ = std::to_chars(at_, at_ + 20, value).ptr; }
    std::string_view line() const { return {begin_, static_cast<std::size_t>(at_ - begin_)}; }

  private:
    char* begin_;
    char* at_;
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

template <typename Out>
void write_line(Out& out, std::string_view tier, const AccessLine& line) {
    const auto text = [&out](std::string_view key, std::string_view value) {
        if (!value.empty()) {
            out.put(key);
            out.text(value);
            out.put("\"");
        }
    };
    const auto number = [&out](std::string_view key, std::uint64_t value) {
        out.put(key);
        out.number(value);
    };
    number("{\"time_us\":", static_cast<std::uint64_t>(line.time_us));
    text(",\"tier\":\"", tier);
    text(",\"request\":\"", line.request_id);
    text(",\"from\":\"", line.from);
    text(",\"peer\":\"", line.peer);
    text(",\"client\":\"", line.client);
    text(",\"user\":\"", line.user);
    text(",\"app\":\"", line.app);
    text(",\"method\":\"", line.method);
    text(",\"host\":\"", line.host);
    text(",\"path\":\"", line.path);
    number(",\"status\":", static_cast<std::uint64_t>(line.status));
    number(",\"bytes_in\":", line.bytes_in);
    number(",\"bytes_out\":", line.bytes_out);
    number(",\"duration_us\":", static_cast<std::uint64_t>(line.duration_us));
    text(",\"served\":\"", line.served);
    text(",\"cache\":\"", line.cache);
    text(",\"why\":\"", line.why);
    text(",\"trace\":\"", line.trace);
    text(",\"span\":\"", line.span);
    out.put("}\n");
}

} // namespace

AccessLog::AccessLog(Fd fd, std::string tier) : fd_(std::move(fd)), tier_(std::move(tier)) {
    if (fd_) {
        buffer_.reserve(buffer_bytes + 16 * 1024);
    }
}

void AccessLog::write(const AccessLine& line) {
    if (!fd_) {
        return;
    }
    std::size_t size = 0;
    bool plain = true;
    for (const std::string_view text : {std::string_view(tier_), line.peer, line.client, line.user,
                                        line.app, line.method, line.host, line.path, line.why}) {
        size += text.size();
        plain = plain && is_plain(text);
    }
    size += line.request_id.size() + line.from.size() + line.served.size() + line.cache.size() +
            line.trace.size() + line.span.size(); // always plain
    if (plain && size <= short_texts) {
        std::array<char, fixed_max + short_texts> memory;
        Fast out(memory.data());
        write_line(out, tier_, line);
        buffer_.append(out.line());
    } else {
        Careful out(buffer_);
        write_line(out, tier_, line);
    }
    if (buffer_.size() >= buffer_bytes) {
        flush();
    }
}

void AccessLog::flush() {
    std::size_t at = 0;
    while (fd_ && at < buffer_.size()) {
        const ssize_t wrote = ::write(fd_.get(), buffer_.data() + at, buffer_.size() - at);
        if (wrote < 0 && errno == EINTR) {
            continue;
        }
        if (wrote < 0) {
            dropped_bytes_ += buffer_.size() - at;
            break;
        }
        at += static_cast<std::size_t>(wrote);
    }
    buffer_.clear();
}

void AccessLog::reopen(Fd fd) {
    flush();
    fd_ = std::move(fd);
}

} // namespace hasp::passon

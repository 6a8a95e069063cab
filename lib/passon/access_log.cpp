#include "passon/access_log.h"

#include "base/log.h"
#include "base/text.h"

#include <cerrno>
#include <charconv>
#include <unistd.h>

namespace hasp::passon {
namespace {

void put_number(std::string& out, std::uint64_t value) {
    char digits[24];
    const auto end = std::to_chars(digits, digits + sizeof digits, value);
    out.append(digits, end.ptr);
}

// Nearly every text is plain: only what is not goes through the allocating escape.
void put_text(std::string& out, std::string_view text) {
    for (const char c : text) {
        const auto u = static_cast<unsigned char>(c);
        if (u < 0x20 || u > 0x7e || c == '"' || c == '\\') {
            out += json_escape(text);
            return;
        }
    }
    out.append(text);
}

void field(std::string& out, std::string_view key, std::string_view value) {
    if (!value.empty()) {
        out += ",\"";
        out.append(key);
        out += "\":\"";
        put_text(out, value);
        out += '"';
    }
}

void field(std::string& out, std::string_view key, std::uint64_t value) {
    out += ",\"";
    out.append(key);
    out += "\":";
    put_number(out, value);
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
    buffer_ += "{\"time_us\":";
    put_number(buffer_, static_cast<std::uint64_t>(line.time_us));
    field(buffer_, "tier", tier_);
    field(buffer_, "request", line.request_id);
    field(buffer_, "from", line.from);
    field(buffer_, "peer", line.peer);
    field(buffer_, "client", line.client);
    field(buffer_, "user", line.user);
    field(buffer_, "app", line.app);
    field(buffer_, "method", line.method);
    field(buffer_, "host", line.host);
    field(buffer_, "path", line.path);
    field(buffer_, "status", static_cast<std::uint64_t>(line.status));
    field(buffer_, "bytes_in", line.bytes_in);
    field(buffer_, "bytes_out", line.bytes_out);
    field(buffer_, "duration_us", static_cast<std::uint64_t>(line.duration_us));
    field(buffer_, "served", line.served);
    field(buffer_, "why", line.why);
    buffer_ += "}\n";
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

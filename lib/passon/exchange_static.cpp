// Static apps: conditional requests, one range, HEAD, index files (RFC 9110 §13, §14).
#include "exchange.h"

#include "core.h"
#include "net/fields.h"
#include "net/write_head.h"
#include "request_fields.h"
#include "static_files.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <sys/stat.h>
#include <unistd.h>

namespace hasp::passon {
namespace {

constexpr std::size_t chunk_bytes = 64 * 1024;
constexpr int rounds_max = 8; // 512 KiB in one turn of the loop

struct Validators {
    std::array<char, 64> etag{};
    std::string_view etag_text;
    std::array<char, 29> modified{};
    std::int64_t modified_s = 0;
    std::string_view modified_text() const { return {modified.data(), modified.size()}; }

    // The change time is in it because releases have normalised modification times: two releases of
    // a file may share size and date.
    explicit Validators(const struct stat& file) : modified_s(file.st_mtim.tv_sec) {
        const int size =
            std::snprintf(etag.data(), etag.size(), "\"%llx-%llx-%llx\"",
                          static_cast<unsigned long long>(file.st_size),
                          static_cast<unsigned long long>(file.st_mtim.tv_sec) * 1'000'000'000ULL +
                              static_cast<unsigned long long>(file.st_mtim.tv_nsec),
                          static_cast<unsigned long long>(file.st_ctim.tv_sec) * 1'000'000'000ULL +
                              static_cast<unsigned long long>(file.st_ctim.tv_nsec));
        etag_text = {etag.data(), static_cast<std::size_t>(size)};
        modified = net::format_http_date(modified_s);
    }
};

enum class Condition : unsigned char { none, not_modified, failed };

// RFC 9110 §13.2.2, in its order.
Condition condition_of(const net::Headers& headers, const Validators& is, std::int64_t now_s) {
    using net::Name;
    const auto date = [&headers, now_s](Name name) {
        return net::parse_http_date(headers.value(name), now_s);
    };
    if (headers.has(Name::if_match)) {
        if (!net::etag_listed(headers.value(Name::if_match), is.etag_text, true)) {
            return Condition::failed;
        }
    } else if (const auto until = date(Name::if_unmodified_since);
               until && is.modified_s > *until) {
        return Condition::failed;
    }
    if (headers.has(Name::if_none_match)) {
        return net::etag_listed(headers.value(Name::if_none_match), is.etag_text, false)
                   ? Condition::not_modified
                   : Condition::none;
    }
    const auto since = date(Name::if_modified_since);
    return since && is.modified_s <= *since ? Condition::not_modified : Condition::none;
}

bool range_applies(const net::Headers& headers, const Validators& is) {
    if (!headers.has(net::Name::range)) {
        return false;
    }
    const std::string_view condition = headers.value(net::Name::if_range);
    return condition.empty() || condition == is.etag_text || condition == is.modified_text();
}

} // namespace

void Exchange::serve_static() {
    if (head.method != net::Method::get && head.method != net::Method::head) {
        for_app_ = true;
        answer_own(405, {{"Allow", "GET, HEAD"}}, "text/plain; charset=utf-8",
                   "Only GET and HEAD are possible here.\n");
        return;
    }
    std::string_view path = head.path;
    path.remove_prefix(std::min(mount_.size(), path.size()));
    open_static(path.empty() ? std::string_view("/") : path);
}

void Exchange::open_static(std::string_view path) {
    const int root = core_.static_roots->root(app_.static_root());
    std::string relative;
    if (root < 0) {
        notice(Notice::not_running, "its files are not here");
        return;
    }
    Fd fd;
    struct stat file {};
    const bool possible = static_path(relative, path);
    if (possible) {
        if (path.ends_with('/')) {
            relative.append(app_.static_index());
        }
        fd = open_beneath(root, relative);
    }
    if (fd && ::fstat(fd.get(), &file) == 0 && S_ISDIR(file.st_mode)) {
        std::string to(head.path);
        to += '/';
        if (head.has_query) {
            to.append("?").append(head.query);
        }
        for_app_ = true;
        answer_own(308, {{"Location", to}}, "text/plain; charset=utf-8", "");
        return;
    }
    if (!fd && app_.static_spa() && wants_page()) {
        relative = app_.static_index();
        fd = open_beneath(root, relative);
        if (fd && ::fstat(fd.get(), &file) != 0) {
            fd.reset();
        }
    }
    if (!fd || !S_ISREG(file.st_mode)) {
        notice(Notice::nowhere);
        return;
    }
    const Validators is(file);
    const auto size = static_cast<std::uint64_t>(file.st_size);
    const Condition condition = condition_of(head.headers, is, wall_us_ / 1'000'000);
    int status = 200;
    net::ByteRange part{0, size == 0 ? 0 : size - 1};
    bool ranged = false;
    if (condition == Condition::failed) {
        status = 412;
    } else if (condition == Condition::not_modified) {
        status = 304;
    } else if (head.method == net::Method::get && range_applies(head.headers, is)) {
        const net::Ranges ranges = net::parse_range(head.headers.value(net::Name::range), size);
        if (ranges.kind == net::Ranges::Kind::unsatisfiable) {
            status = 416;
        } else if (ranges.kind == net::Ranges::Kind::satisfiable && ranges.count == 1) {
            status = 206;
            ranged = true;
            part = ranges.ranges[0];
        }
    }
    const bool has_body = status == 200 || status == 206;
    const std::uint64_t length = has_body ? (ranged ? part.size() : size) : 0;
    keep_ = keep_ && request_body_done() && !core_.draining;
    status_ = status;
    net::HeadWriter out(core_.head_out);
    out.status_line(status);
    out.trusted("Date", core_.http_date());
    out.trusted("ETag", is.etag_text);
    out.trusted("Last-Modified", is.modified_text());
    out.trusted("Cache-Control",
                app_.access() == registry::Access::open ? "no-cache" : "private, no-cache");
    if (has_body) {
        out.trusted("Content-Type", content_type_of(relative));
        out.trusted("Accept-Ranges", "bytes");
    }
    out.trusted("X-Content-Type-Options", "nosniff");
    tell_request_id(out);
    if (ranged || status == 416) {
        char text[80];
        const int written = ranged ? std::snprintf(text, sizeof text, "bytes %llu-%llu/%llu",
                                                   static_cast<unsigned long long>(part.first),
                                                   static_cast<unsigned long long>(part.last),
                                                   static_cast<unsigned long long>(size))
                                   : std::snprintf(text, sizeof text, "bytes */%llu",
                                                   static_cast<unsigned long long>(size));
        out.trusted("Content-Range", {text, static_cast<std::size_t>(written)});
    }
    if (status != 304) {
        out.framing(net::Framing::length, length);
    }
    write_connection_field(out, head, keep_);
    out.end();
    if (out.failed()) {
        notice(Notice::bad_answer);
        return;
    }
    file_ = std::make_unique<StaticFile>();
    file_->fd = std::move(fd);
    file_->offset = ranged ? part.first : 0;
    file_->end = head.method == net::Method::head ? file_->offset : file_->offset + length;
    at_ = At::file;
    answered_ = true;
    head_text_ = out.text();
    send_file();
}

void Exchange::send_file() {
    Wire& to = down_->wire;
    if (to.blocked() && !head_text_.empty()) {
        to.write(head_text_);
        head_text_ = {};
    }
    for (int round = 0;; ++round) {
        if (to.blocked()) {
            if (!to.flush()) {
                down_->close();
                return;
            }
            if (to.blocked()) {
                due(Due::client_out);
                return;
            }
        }
        const std::uint64_t left = file_->end - file_->offset;
        if (left == 0 && head_text_.empty()) {
            break;
        }
        if (round == rounds_max) {
            core_.reactor().post(again_);
            return;
        }
        core_.file_chunk.resize(chunk_bytes);
        const ssize_t got =
            left == 0
                ? 0
                : ::pread(file_->fd.get(), core_.file_chunk.data(),
                          static_cast<std::size_t>(std::min<std::uint64_t>(left, chunk_bytes)),
                          static_cast<off_t>(file_->offset));
        if (got < 0 || (got == 0 && left > 0)) {
            cut("the file could not be read to its end");
            return;
        }
        const std::array<iovec, 2> pieces{
            piece(head_text_), piece({core_.file_chunk.data(), static_cast<std::size_t>(got)})};
        head_text_ = {};
        if (!to.write(pieces)) {
            down_->close();
            return;
        }
        file_->offset += static_cast<std::uint64_t>(got);
        own_bytes_ += static_cast<std::uint64_t>(got);
    }
    end(keep_);
}

} // namespace hasp::passon

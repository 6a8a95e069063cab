// Static apps: coded forms beside the files, conditional requests, one range, HEAD, index files
// (RFC 9110 §13, §14).
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
// What is shorter is sooner copied along with the head than sent by a call of its own.
constexpr std::uint64_t sendfile_bytes_min = 24 * 1024;
constexpr std::uint64_t sendfile_bytes = 256 * 1024;

struct Validators {
    std::array<char, 72> etag{};
    std::string_view etag_text;
    std::array<char, 29> modified{};
    std::int64_t modified_s = 0;
    std::string_view modified_text() const { return {modified.data(), modified.size()}; }

    // The change time is in it because releases have normalised modification times: two releases of
    // a file may share size and date.
    // A coded form of a file has a tag of its own, also where all of these are the same.
    Validators(const struct stat& file, net::Coding coding) : modified_s(file.st_mtim.tv_sec) {
        const int size = std::snprintf(
            etag.data(), etag.size(), "\"%llx-%llx-%llx%s%s\"",
            static_cast<unsigned long long>(file.st_size),
            static_cast<unsigned long long>(file.st_mtim.tv_sec) * 1'000'000'000ULL +
                static_cast<unsigned long long>(file.st_mtim.tv_nsec),
            static_cast<unsigned long long>(file.st_ctim.tv_sec) * 1'000'000'000ULL +
                static_cast<unsigned long long>(file.st_ctim.tv_nsec),
            coding == net::Coding::identity ? "" : "-", net::coding_name(coding).data());
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
        std::string tags;
        net::append_uncoded_etags(tags, headers.value(Name::if_match));
        if (!net::etag_listed(tags, is.etag_text, true)) {
            return Condition::failed;
        }
    } else if (const auto until = date(Name::if_unmodified_since);
               until && is.modified_s > *until) {
        return Condition::failed;
    }
    if (headers.has(Name::if_none_match)) {
        std::string tags;
        net::append_uncoded_etags(tags, headers.value(Name::if_none_match));
        return net::etag_listed(tags, is.etag_text, false) ? Condition::not_modified
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
    const net::CodingSet beside = core_.static_roots->coded_beside(app_.static_root(), relative);
    net::Coding stored = net::choose_coding(head.headers, beside);
    if (stored != net::Coding::identity) {
        Fd coded = open_beneath(root, relative + std::string(net::coding_suffix(stored)));
        struct stat found {};
        if (coded && ::fstat(coded.get(), &found) == 0 && S_ISREG(found.st_mode)) {
            fd = std::move(coded);
            file = found;
        } else {
            stored = net::Coding::identity;
        }
    }
    const std::string_view type = content_type_of(relative);
    const Validators is(file, stored);
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
    const bool codable = stored == net::Coding::identity && app_.compress() &&
                         !core_.settings.compress.empty() &&
                         size >= core_.settings.compress_bytes_min && net::is_compressible(type);
    varies_ = codable || !beside.empty();
    if (codable && status == 200) {
        coding_ = coding_taken();
    }
    marked_ = status == 304 && shows_coded(is.etag_text);
    const bool has_body = status == 200 || status == 206;
    const std::uint64_t length = has_body ? (ranged ? part.size() : size) : 0;
    std::unique_ptr<net::Coder> coder;
    if (coding_ != net::Coding::identity && head.method == net::Method::get) {
        coder = take_coder(size);
    }
    const bool coded = coding_ != net::Coding::identity;
    keep_ = keep_ && request_body_done() && !core_.draining;
    status_ = status;
    net::HeadWriter out(core_.head_out);
    out.status_line(status);
    out.trusted("Date", core_.http_date());
    core_.text.clear();
    if (coded || marked_) {
        net::append_coded_etag(core_.text, is.etag_text);
    } else {
        core_.text.append(is.etag_text);
    }
    out.trusted("ETag", core_.text);
    if (varies_) {
        out.trusted("Vary", "Accept-Encoding");
    }
    out.trusted("Last-Modified", is.modified_text());
    out.trusted("Cache-Control",
                app_.access() == registry::Access::open ? "no-cache" : "private, no-cache");
    if (has_body) {
        out.trusted("Content-Type", type);
        if (coded || stored != net::Coding::identity) {
            out.trusted("Content-Encoding", net::coding_name(coded ? coding_ : stored));
        }
        if (!coded) {
            out.trusted("Accept-Ranges", "bytes");
        }
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
    if (coder) {
        out.framing(net::Framing::chunked, 0);
    } else if (status != 304 && !coded) {
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
    file_->coder = std::move(coder);
    file_->framing.start(net::Framing::chunked);
    file_->end = head.method == net::Method::head ? file_->offset : file_->offset + length;
    at_ = At::file;
    answered_ = true;
    head_text_ = out.text();
    send_file();
}

// False: the exchange has ended.
bool Exchange::send_piece(std::uint64_t left, std::size_t& sent) {
    core_.file_chunk.resize(chunk_bytes);
    const ssize_t got =
        left == 0 ? 0
                  : ::pread(file_->fd.get(), core_.file_chunk.data(),
                            static_cast<std::size_t>(std::min<std::uint64_t>(left, chunk_bytes)),
                            static_cast<off_t>(file_->offset));
    if (got < 0 || (got == 0 && left > 0)) {
        cut("the file could not be read to its end");
        return false;
    }
    sent = static_cast<std::size_t>(got);
    const std::array<iovec, 2> pieces{piece(std::exchange(head_text_, {})),
                                      piece({core_.file_chunk.data(), sent})};
    if (!down_->wire.write(pieces)) {
        down_->close();
        return false;
    }
    return true;
}

void Exchange::send_file() {
    if (coding_ != net::Coding::identity) {
        send_coded_file();
        return;
    }
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
        std::size_t got = 0;
        if (left >= sendfile_bytes_min && to.conn->takes_files()) {
            if (!to.send_file(std::exchange(head_text_, {}), file_->fd.get(), file_->offset,
                              std::min<std::uint64_t>(left, sendfile_bytes), got)) {
                cut("the connection broke, or the file could not be read to its end");
                return;
            }
        } else if (!send_piece(left, got)) {
            return;
        }
        file_->offset += got;
        own_bytes_ += got;
        if (got < left && !to.blocked() && !to.conn->writable()) {
            due(Due::client_out); // nothing waits here, and the socket takes no more
            return;
        }
    }
    end(keep_);
}

} // namespace hasp::passon

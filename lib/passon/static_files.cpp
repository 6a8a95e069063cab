#include "static_files.h"

#include "base/text.h"
#include "net/target.h"

#include <algorithm>
#include <array>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace hasp::passon {
namespace {

struct Type {
    std::string_view extension;
    std::string_view type;
};

// Sorted by extension.
constexpr std::array types{
    Type{"avif", "image/avif"},
    Type{"bmp", "image/bmp"},
    Type{"css", "text/css; charset=utf-8"},
    Type{"csv", "text/csv; charset=utf-8"},
    Type{"gif", "image/gif"},
    Type{"gz", "application/gzip"},
    Type{"htm", "text/html; charset=utf-8"},
    Type{"html", "text/html; charset=utf-8"},
    Type{"ico", "image/x-icon"},
    Type{"ics", "text/calendar; charset=utf-8"},
    Type{"jpeg", "image/jpeg"},
    Type{"jpg", "image/jpeg"},
    Type{"js", "text/javascript; charset=utf-8"},
    Type{"json", "application/json"},
    Type{"map", "application/json"},
    Type{"md", "text/markdown; charset=utf-8"},
    Type{"mjs", "text/javascript; charset=utf-8"},
    Type{"mp3", "audio/mpeg"},
    Type{"mp4", "video/mp4"},
    Type{"oga", "audio/ogg"},
    Type{"ogg", "audio/ogg"},
    Type{"ogv", "video/ogg"},
    Type{"otf", "font/otf"},
    Type{"pdf", "application/pdf"},
    Type{"png", "image/png"},
    Type{"svg", "image/svg+xml"},
    Type{"tar", "application/x-tar"},
    Type{"ttf", "font/ttf"},
    Type{"txt", "text/plain; charset=utf-8"},
    Type{"vcf", "text/vcard; charset=utf-8"},
    Type{"wasm", "application/wasm"},
    Type{"wav", "audio/wav"},
    Type{"webm", "video/webm"},
    Type{"webmanifest", "application/manifest+json"},
    Type{"webp", "image/webp"},
    Type{"woff", "font/woff"},
    Type{"woff2", "font/woff2"},
    Type{"xml", "application/xml"},
    Type{"zip", "application/zip"},
};
static_assert(std::is_sorted(types.begin(), types.end(), [](const Type& a, const Type& b) {
    return a.extension < b.extension;
}));

} // namespace

int StaticRoots::root(std::string_view path) {
    if (const auto found = roots_.find(path); found != roots_.end()) {
        return found->second.get();
    }
    const std::string name(path);
    Fd fd{::open(name.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)};
    if (!fd) {
        return -1;
    }
    if (roots_.size() >= roots_max) {
        roots_.clear();
    }
    return roots_.emplace(name, std::move(fd)).first->second.get();
}

net::CodingSet StaticRoots::coded_beside(std::string_view path, const std::string& relative) {
    name_.assign(path).append("/").append(relative);
    if (const auto found = coded_.find(name_); found != coded_.end()) {
        return found->second;
    }
    net::CodingSet out;
    for (const net::Coding one : {net::Coding::gzip, net::Coding::zstd, net::Coding::br}) {
        const Fd fd = open_beneath(root(path), relative + std::string(net::coding_suffix(one)));
        struct stat file {};
        if (fd && ::fstat(fd.get(), &file) == 0 && S_ISREG(file.st_mode)) {
            out = out.with(one);
        }
    }
    if (coded_.size() >= files_max) {
        coded_.clear();
    }
    coded_.emplace(name_, out);
    return out;
}

Fd open_beneath(int root, const std::string& relative) {
    open_how how{};
    // O_NONBLOCK: a FIFO in a release must not stop the loop.
    how.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK;
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
    const char* path = relative.empty() ? "." : relative.c_str();
    return Fd{static_cast<int>(::syscall(SYS_openat2, root, path, &how, sizeof how))};
}

std::string_view content_type_of(std::string_view path) {
    const std::size_t dot = path.rfind('.');
    if (dot != std::string_view::npos && path.find('/', dot) == std::string_view::npos) {
        const std::string extension = to_lower(path.substr(dot + 1));
        const auto* found = std::lower_bound(
            types.begin(), types.end(), extension,
            [](const Type& one, const std::string& want) { return one.extension < want; });
        if (found != types.end() && found->extension == extension) {
            return found->type;
        }
    }
    return "application/octet-stream";
}

bool static_path(std::string& out, std::string_view request_path) {
    net::PathSegments segments(request_path);
    bool first = true;
    while (const auto segment = segments.next()) {
        if (segment->find('/') != std::string_view::npos ||
            (segment->starts_with('.') && *segment != ".well-known")) {
            return false;
        }
        if (!first) {
            out += '/';
        }
        first = false;
        out.append(*segment);
    }
    // "//x" would begin with a slash, which RESOLVE_BENEATH refuses anyway.
    return !segments.too_long() && !out.starts_with('/');
}

} // namespace hasp::passon

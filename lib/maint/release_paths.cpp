// Which names a release may contain. The rules are stricter than this machine's file system needs,
// because a release may be unpacked, copied and backed up on others.
#include "maint/release.h"

#include "base/text.h"

#include <algorithm>

namespace hasp::maint {

namespace {

constexpr char32_t bad_code_point = 0xffffffff;

// Strict UTF-8 (RFC 3629): no surrogates, no overlong forms. Moves `at` behind the character.
char32_t next_code_point(std::string_view text, std::size_t& at) {
    const auto byte = [&](std::size_t i) {
        return static_cast<char32_t>(static_cast<unsigned char>(text[i]));
    };
    const char32_t lead = byte(at);
    if (lead < 0x80) {
        ++at;
        return lead;
    }
    const std::size_t more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
    if (lead < 0xc2 || lead > 0xf4 || at + more >= text.size()) {
        return bad_code_point;
    }
    char32_t code = lead & (0x3fU >> more);
    for (std::size_t i = 1; i <= more; ++i) {
        if ((byte(at + i) & 0xc0) != 0x80) {
            return bad_code_point;
        }
        code = code << 6 | (byte(at + i) & 0x3f);
    }
    constexpr char32_t least[] = {0, 0x80, 0x800, 0x10000};
    if (code < least[more] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) {
        return bad_code_point;
    }
    at += more + 1;
    return code;
}

// HFS+ leaves these out when it compares names.
bool hfs_ignores(char32_t c) {
    return (c >= 0x200c && c <= 0x200f) || (c >= 0x202a && c <= 0x202e) ||
           (c >= 0x206a && c <= 0x206f) || (c >= 0x2060 && c <= 0x2064) || c == 0xfeff;
}

// Is this name .git to any file system? Case, HFS+'s ignored characters, and NTFS's short name,
// trailing dots and spaces, streams.
bool disguises_git(std::string_view name) {
    std::string plain;
    for (std::size_t i = 0; i < name.size();) {
        const std::size_t start = i;
        if (!hfs_ignores(next_code_point(name, i))) {
            plain += name.substr(start, i - start);
        }
    }
    plain = to_lower(plain.substr(0, plain.find(':')));
    while (plain.ends_with('.') || plain.ends_with(' ')) {
        plain.pop_back();
    }
    return plain == ".git" || plain == "git~1";
}

std::string text_reason(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
        const char32_t c = next_code_point(text, i);
        if (c == bad_code_point) {
            return "is not UTF-8";
        }
        if (c < 0x20 || (c >= 0x7f && c < 0xa0)) {
            return "contains a control character";
        }
    }
    return {};
}

std::string name_reason(std::string_view name) {
    if (name.empty()) {
        return "has an empty component";
    }
    if (name == "." || name == "..") {
        return "contains . or ..";
    }
    if (name.size() > release_name_bytes_max) {
        return "has a component of more than " + std::to_string(release_name_bytes_max) + " bytes";
    }
    if (disguises_git(name)) {
        return "contains a name that some file systems take for .git";
    }
    return {};
}

} // namespace

std::string unsafe_path_reason(std::string_view path) {
    if (path.empty()) {
        return "is empty";
    }
    if (path.size() > release_path_bytes_max) {
        return "is longer than " + std::to_string(release_path_bytes_max) + " bytes";
    }
    if (path.front() == '/') {
        return "is absolute";
    }
    if (path.find('\\') != std::string_view::npos) {
        return "contains a backslash";
    }
    if (std::string reason = text_reason(path); !reason.empty()) {
        return reason;
    }
    const std::vector<std::string_view> names = split(path, '/');
    if (names.size() > release_depth_max) {
        return "is deeper than " + std::to_string(release_depth_max) + " folders";
    }
    for (const std::string_view name : names) {
        if (std::string reason = name_reason(name); !reason.empty()) {
            return reason;
        }
    }
    return {};
}

std::string unsafe_symlink_reason(std::string_view path, std::string_view target) {
    if (target.empty() || target.size() > release_symlink_bytes_max) {
        return "is a symlink with an empty or overlong target";
    }
    if (target.front() == '/') {
        return "is a symlink to an absolute path";
    }
    if (std::string reason = text_reason(target); !reason.empty()) {
        return "is a symlink whose target " + reason;
    }
    // ".." only at the front: behind the name of another symlink it could climb out although the
    // text stays inside.
    auto up = static_cast<std::ptrdiff_t>(std::count(path.begin(), path.end(), '/'));
    bool descended = false;
    for (const std::string_view name : split(target, '/')) {
        if (name.empty() || name == ".") {
            continue;
        }
        if (name != "..") {
            descended = true;
        } else if (descended || --up < 0) {
            return "is a symlink that leads out of the release, or goes up after it went down";
        }
    }
    return {};
}

} // namespace hasp::maint

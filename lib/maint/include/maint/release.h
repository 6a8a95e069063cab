// A release: an immutable version of an app, named by its content. This header is the pure part:
// the manifest, its text and its rules. Any thread.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::maint {

inline constexpr std::size_t release_files_max = 100'000;
inline constexpr std::uint64_t release_file_bytes_max = std::uint64_t{1} << 30;
inline constexpr std::uint64_t release_total_bytes_max = std::uint64_t{4} << 30;
inline constexpr std::size_t release_name_bytes_max = 255;   // one component of a path
inline constexpr std::size_t release_path_bytes_max = 1'024; // the whole path
inline constexpr std::size_t release_depth_max = 64;         // components of a path
inline constexpr std::size_t release_symlink_bytes_max = 1'024;
inline constexpr std::size_t release_manifest_bytes_max = 64U << 20;

enum class FileMode : unsigned char { plain, executable, symlink };

struct ReleaseFile {
    std::string path; // UTF-8, relative, '/' between components
    FileMode mode = FileMode::plain;
    std::uint64_t size = 0; // bytes; of a symlink, the length of its target
    std::string sha256;     // 64 hex digits; of a symlink, of its target's text
    bool operator==(const ReleaseFile&) const = default;
};

struct Release {
    std::string app;
    std::uint64_t epoch =
        0; // (epoch, number) is the release's sequence: a rollback is a new number with old content
    std::uint64_t number = 0;
    std::string
        commit; // 40 hex digits: what packs are made from; never what content is checked against
    std::vector<ReleaseFile> files; // strictly ascending by the bytes of their paths
    bool operator==(const Release&) const = default;
};

// First 32 hex digits of SHA-256 over the canonical text without its sequence line: the same
// content has the same ID.
std::string release_id(const Release& release);
bool valid_release_id(std::string_view id);

// Canonical text (to be signed): lines ended by '\n':
//   hasp-release 1
//   sequence EPOCH NUMBER
//   app NAME
//   commit HEX40
//   files COUNT
//   MODE SIZE SHA256 PATH        one for each file; MODE is 644, 755 or 120000
std::string encode_release(const Release& release);

// Accepts exactly what encode_release writes of a release that passes check_release. Code::refused
// otherwise.
Result<Release> decode_release(std::string_view text);

// Limits, order, safe paths, and that no file is also a folder of another.
Status check_release(const Release& release);

// Why a path or a symlink at `path` must not be in a release; empty when it may. Refused: empty,
// absolute, "." and "..", any disguise of .git (case, NTFS short names and streams, characters that
// HFS+ ignores), control characters, backslashes, bytes that are not UTF-8, too long.
std::string unsafe_path_reason(std::string_view path);
// A target may be relative and must stay inside the release, at every step of it.
std::string unsafe_symlink_reason(std::string_view path, std::string_view target);

} // namespace hasp::maint

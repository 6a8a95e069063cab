// A user's folder of an app as values: what stands at which path. Pure.
#pragma once

#include "sync/disk.h"

#include <cstdint>
#include <map>
#include <string>

namespace hasp::sync {

inline constexpr std::size_t hash_bytes = 32; // SHA-256, raw

// What an entry is to a user: its kind, its content and its metadata. Folders have no time: it
// changes with what is in them.
struct Entry {
    FileKind kind = FileKind::file; // file, folder or symlink; others are never in a tree
    std::uint32_t mode = 0;         // 07777; symlinks: 0
    std::int64_t mtime_us = 0;      // files only, else 0
    std::uint64_t size = 0;         // files only, else 0
    std::string hash;               // files: of the content; else empty
    std::string target;             // symlinks only
    // Where this content of this path stands in the home's order; 0: the home does not know it.
    // Not part of what the entry is.
    std::uint64_t revision = 0;
    std::string attributes = {}; // of files and folders: attributes.h
};

bool same_content(const Entry& a, const Entry& b);
// The same content and metadata, attributes too.
bool same(const Entry& a, const Entry& b);

// By path. Parents need not be in it when only a part of a folder is meant.
using Tree = std::map<std::string, Entry>;

// "a/b" for "a/b/c", "" for "c".
std::string parent_path(const std::string& path);

} // namespace hasp::sync

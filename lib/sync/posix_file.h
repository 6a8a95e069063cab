// What the disk over this machine's file system shares with the files that it opens.
#pragma once

#include "base/fd.h"
#include "sync/disk.h"

#include <memory>
#include <string>
#include <sys/stat.h>

namespace hasp::sync {

inline constexpr std::int64_t second_ns = 1'000'000'000;
// A shorter run of zeros is written out: each hole is a piece of the file by itself.
inline constexpr std::size_t hole_bytes_least = std::size_t{32} * 1024;
// Holes begin at multiples of it, and end there or with what is written at once.
inline constexpr std::size_t hole_block_bytes = 4096;

// Part by part beneath `root`, past no link. Flags and mode as open(2) has them.
Fd open_below(int root, const std::string& path, std::uint64_t flags, std::uint64_t mode = 0);
FileStat stat_from(const struct stat& st);
Error disk_error(int error, const std::string& doing, const std::string& path);

// Open for reading. The holes of a sparse file are not read: that they are zeros is known.
std::unique_ptr<ReadFile> posix_read_file(Fd fd, std::string path);
// Open for writing, with `size` bytes in it, behind which is written. Long runs of zeros become
// holes; the file is as long as what was written with each write all the same.
std::unique_ptr<WriteFile> posix_write_file(Fd fd, std::string path, std::uint64_t size);

} // namespace hasp::sync

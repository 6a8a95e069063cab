// Files whose content is to come, on this machine's file system (sync/absent.h).
#pragma once

#include "base/fd.h"
#include "sync/disk.h"

#include <memory>
#include <optional>
#include <string>

namespace hasp::sync {

// Of an open regular file; nothing: it is whole. failed: its mark cannot be read.
Result<std::optional<Absent>> absent_of(int fd, const std::string& path);
// A new, empty file becomes one. refused: this file system takes no such mark, or this process may
// not set it.
Status make_absent(int fd, const Absent& absent, const std::string& path);
// `fd` is open for reading and writing.
std::unique_ptr<AbsentFile> posix_absent_file(Fd fd, Absent absent, std::uint64_t inode,
                                              std::string path);

} // namespace hasp::sync

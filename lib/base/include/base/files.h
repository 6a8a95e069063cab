// Whole small files, durably. Blocking: worker threads and start-up only.
#pragma once

#include "base/fd.h"
#include "base/result.h"

#include <string>
#include <string_view>
#include <sys/types.h>

namespace hasp {

// The whole file; refused when it is larger than limit_bytes (the message says both sizes).
Result<std::string> read_file(const std::string& path, std::size_t limit_bytes);

// The same of an open file, from where it stands; `what` names it in errors.
Result<std::string> read_all(int fd, std::size_t limit_bytes, const std::string& what);

// Replaces `path` so that after a crash either the old or the new content is there: temporary file
// in the same folder (its name begins with unfinished_prefix), fsync, rename, fsync of the folder.
// On error the old content stands and the temporary file is gone.
inline constexpr std::string_view unfinished_prefix = ".unfinished-";
Status write_file_durably(const std::string& path, std::string_view content, mode_t mode);

// Removes what write_file_durably leaves in a folder when its process is killed before the rename.
// Only while nobody writes there. A missing folder is success.
Status remove_unfinished_files(const std::string& folder);

// mkdir -p with `mode` for the folders it creates.
Status make_folders(const std::string& path, mode_t mode = 0700);

// rm -rf beneath `path`, never following a symlink. A missing path is success.
Status remove_tree(const std::string& path);

// Writes all bytes to a blocking descriptor, through EINTR and short writes.
Status write_all(int fd, std::string_view bytes);

} // namespace hasp

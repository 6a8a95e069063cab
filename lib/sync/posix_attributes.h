// Extended attributes of an open file or folder of this machine.
#pragma once

#include "sync/disk.h"

#include <string>

namespace hasp::sync {

// See Disk::attributes() and Disk::set_attributes(). `path` is for messages.
Result<FoundAttributes> attributes_of(int fd, const std::string& path);
Status replace_attributes(int fd, const std::string& path, const std::string& attributes);

} // namespace hasp::sync

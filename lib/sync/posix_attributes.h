// Extended attributes of an open file or folder of this machine.
#pragma once

#include "sync/disk.h"

#include <string>

namespace hasp::sync {

// See Disk::attributes() and Disk::set_attributes(). `path` is for messages.
Result<FoundAttributes> attributes_of(int fd, const std::string& path);
Status change_attributes(int fd, const std::string& path, const std::string& before,
                         const std::string& after);

} // namespace hasp::sync

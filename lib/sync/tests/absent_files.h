// What tests of files without their content have in common.
#pragma once

#include "sync/disk.h"
#include "trust/hash.h"

#include <string>

namespace hasp::sync {

// Empty: this disk has such files; else why it has not.
inline std::string no_absent_files(Disk& disk) {
    const Status made = disk.make_absent("probe", 0600, {}, {"u", "a", trust::sha256(""), 1});
    [[maybe_unused]] const Status gone = disk.remove("probe");
    return made.ok() ? "" : made.error().message + " (only root may, and not on all file systems)";
}

// More than comes along with its file, and with another byte in each place.
inline std::string several_blocks(char first) {
    std::string out;
    for (int i = 0; out.size() < 200'000; ++i) {
        out += first + std::to_string(i);
    }
    return out;
}

} // namespace hasp::sync

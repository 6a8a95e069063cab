// A first look at a pack, before libgit2 makes anything from it.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <string>

namespace hasp::maint {

struct PackLimits {
    std::uint64_t object_bytes_max = 0;
    std::uint64_t objects_max = 0;
};

// Walks the entries of a pack (gitformat-pack, version 2) and inflates each into nothing. refused:
// more objects than the limit; an object, or what a delta would make, that says it is larger than
// the limit; a size that is not the one declared; other types than commit, tree, blob and delta.
// Constant memory.
Status scan_pack(const std::string& path, const PackLimits& limits);

} // namespace hasp::maint

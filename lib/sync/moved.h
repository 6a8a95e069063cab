// A folder that was moved as it was, with all that is in it: what both ends have agreed on beneath
// it in one hash, so that neither has to name it. Pure.
#pragma once

#include "sync/tree.h"

#include <string>

namespace hasp::sync {

// The folder itself is "" in it, what is beneath it stands by its path from there on; with
// revisions. SHA-256 of all of it, of `hash_bytes`.
std::string sum_of_moved(const Tree& tree);

// Its path beneath `folder`: "" is the folder itself.
std::string path_within(const std::string& folder, const std::string& within);

} // namespace hasp::sync

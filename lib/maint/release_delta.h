// git's delta format: how one blob is made from another.
#pragma once

#include <string>
#include <string_view>

namespace hasp::maint {

// A delta that makes `target` from `base`, in the format of git's packs (gitformat-pack: "Deltified
// representation"). Pure; memory: about the size of `base`. Both below 2^32 bytes.
std::string make_delta(std::string_view base, std::string_view target);

} // namespace hasp::maint

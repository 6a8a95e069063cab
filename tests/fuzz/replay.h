// The fuzz targets of one program, by name. Each registers itself before main(); see hasp_fuzz in
// cmake/layers.cmake, which writes those lines.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hasp::fuzz {

using Target = int (*)(const std::uint8_t* data, std::size_t size);

struct Replayed {
    Replayed(const char* name, Target target);
};

} // namespace hasp::fuzz

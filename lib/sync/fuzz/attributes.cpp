// The decoder of attributes: what it takes is what is written, and what comes of two is too.
#include "sync/attributes.h"

#include <cstdint>
#include <cstdlib>

using namespace hasp::sync;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string bytes(reinterpret_cast<const char*>(data), size);
    const auto read = read_attributes(bytes);
    if (read && write_attributes(*read) != bytes) {
        std::abort();
    }
    const std::string half = bytes.substr(0, size / 2);
    const std::string rest = bytes.substr(size / 2);
    if (!read || !read_attributes(half) || !read_attributes(rest)) {
        return 0;
    }
    for (const std::string& out : {carry_over(half, bytes, rest), carry_over(bytes, half, rest),
                                   carry_over("", half, rest)}) {
        if (!read_attributes(out)) {
            std::abort();
        }
    }
    return 0;
}

// Two files, divided at the number that the first two bytes are: what is made of them, if they are
// archives, gives the second one again; what an archive says of its members lies within it.
#include "sync/members.h"
#include "zip_members.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>

using namespace hasp;
using namespace hasp::sync;

namespace {

void read_members(const std::string& bytes) {
    MemoryFile file(bytes);
    auto members = zip_members(file);
    if (!members || !*members) {
        return;
    }
    std::uint64_t end = 0;
    for (const ZipMember& one : **members) {
        auto data = zip_data(file, one);
        if (one.head < end || one.end > bytes.size() ||
            (data && *data && (**data < one.head || **data + one.packed > one.end))) {
            std::abort();
        }
        end = one.end;
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) {
        return 0;
    }
    const std::string bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
    const std::size_t divide = std::min<std::size_t>(bytes.size(), data[0] + data[1] * 256U);
    const std::string before = bytes.substr(0, divide);
    const std::string after = bytes.substr(divide);
    read_members(before);
    read_members(after);
    MemoryFile base(before);
    MemoryFile file(after);
    MembersWork makes;
    auto difference = members_difference(base, file, makes);
    if (!difference || !*difference) {
        return 0;
    }
    MemoryFile told(**difference);
    MembersWork takes;
    std::string out;
    const Status done =
        apply_members(base, pull_from(told), after.size(), takes, [&out](std::string_view some) {
            out.append(some);
            return Status{};
        });
    if (!done || out != after) {
        std::abort();
    }
    return 0;
}

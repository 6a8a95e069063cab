// Differences of members from elsewhere, applied: output within its limit or an error.
#include "sync/members.h"
#include "tests/zip_files.h"

#include <cstdint>
#include <cstdlib>

using namespace hasp;
using namespace hasp::sync;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    constexpr std::uint64_t limit = 100'000;
    // 100 bytes, three of them packed in five, and 100,000 "a" in 115.
    std::string base(100, 'x');
    base += deflated("abc", {});
    base += deflated(std::string(100'000, 'a'), {});
    for (int i = 0; i < 2000; ++i) {
        base.push_back(static_cast<char>(i * 7));
    }
    MemoryFile old(base);
    MemoryFile difference(std::string(reinterpret_cast<const char*>(data), size));
    std::uint64_t made = 0;
    MembersWork work;
    [[maybe_unused]] const Status done =
        apply_members(old, pull_from(difference), limit, work, [&made](std::string_view bytes) {
            made += bytes.size();
            return Status{};
        });
    if (made > limit) {
        std::abort();
    }
    return 0;
}

// The list of a backup: whatever is read comes out of a writer, too.
#include "backup/manifest.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>

using namespace hasp;
using namespace hasp::backup;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    std::size_t at = 0;
    ManifestReader reader([&](std::span<char> into) {
        const std::size_t n = std::min(into.size(), text.size() - at);
        std::copy_n(text.data() + at, n, into.data());
        at += n;
        return Result<std::size_t>(n);
    });
    std::string again;
    ManifestWriter writer([&again](std::string_view bytes) {
        again.append(bytes);
        return Status{};
    });
    auto head = reader.head();
    if (!head || !writer.head(*head)) {
        return 0;
    }
    for (;;) {
        auto item = reader.next();
        if (!item) {
            return 0;
        }
        if (!*item) {
            break;
        }
        if (!sync::valid_path((*item)->path) || (*item)->chunk_bytes > chunk_bytes_max ||
            !writer.add(**item)) {
            std::abort();
        }
    }
    return writer.end() ? 0 : 1;
}

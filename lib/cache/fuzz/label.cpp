// What unpacks is packed to the same bytes again, and its head is a head or refused.
#include "cache/label.h"

#include <cstdint>
#include <cstdlib>

using namespace hasp;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes{reinterpret_cast<const char*>(data), size};
    cache::Label label;
    if (!cache::unpack(bytes, label)) {
        return 0;
    }
    cache::Label again;
    if (!cache::unpack(cache::pack(label), again) || again.head != label.head ||
        again.vary != label.vary || again.owner != label.owner) {
        std::abort();
    }
    static net::AnswerHead head;
    cache::parse_head(label, head);
    return 0;
}

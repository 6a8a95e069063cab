// The frame decoder under hostile bytes, cut in two at a place the first byte names: same frames,
// bounded memory.
#include "ipc/frame.h"

#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace hasp::ipc;
    if (size == 0) {
        return 0;
    }
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
    const std::size_t cut = bytes.empty() ? 0 : data[0] % (bytes.size() + 1);
    std::string whole_text;
    std::string cut_text;
    const auto sink = [](std::string& text) {
        return [&text](Frame&& frame, std::size_t fds) {
            if (fds > frame_fds_max) {
                std::abort();
            }
            text += std::to_string(fds) + frame.head + "|" + frame.body + "\n";
            return true;
        };
    };
    FrameDecoder whole(true);
    const bool whole_ok = whole.feed(bytes, sink(whole_text)).ok();
    FrameDecoder parts(true);
    bool parts_ok = parts.feed(bytes.substr(0, cut), sink(cut_text)).ok();
    if (parts_ok) {
        parts_ok = parts.feed(bytes.substr(cut), sink(cut_text)).ok();
    }
    if (whole_ok != parts_ok || whole_text != cut_text || parts.pending_bytes() > size) {
        std::abort();
    }
    return 0;
}

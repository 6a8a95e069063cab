// Whatever a parent answers, it is refused or has parts within their limits. The head is the text
// up to the first zero byte, the body what follows.
#include "release_answer.h"

#include "maint/release.h"

#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(size > 0 ? reinterpret_cast<const char*>(data) : "", size);
    const std::size_t end = std::min(bytes.find('\0'), bytes.size());
    const hasp::maint::Message message{
        hasp::parse_object(bytes.substr(0, end)),
        std::string(end < bytes.size() ? bytes.substr(end + 1) : std::string_view())};
    const auto got = hasp::maint::decode_release_answer(
        message, [](const std::string&) { return std::string("hasp-release 1\nsequence 0 0\n"); });
    if (got.ok() &&
        (got->text.size() > hasp::maint::release_manifest_bytes_max ||
         got->pack.size() > message.body.size() || got->signature.size() > bytes.size())) {
        std::abort();
    }
    return 0;
}

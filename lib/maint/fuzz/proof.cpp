// Whatever the text, what the decoders of signatures and keys accept has that one text.
#include "base/text.h"
#include "maint/release_proof.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace hasp::maint;
    const std::string_view text(size > 0 ? reinterpret_cast<const char*>(data) : "", size);
    if (const auto claim = decode_claim(text); claim.ok() && encode_claim(*claim) != text) {
        std::abort();
    }
    if (const auto list = decode_publishers(text);
        list.ok() && (encode_publishers(*list) != text || list->keys.size() > publisher_keys_max)) {
        std::abort();
    }
    if (const auto key = public_key_from_pem(text);
        key.ok() && !public_key_from_pem(public_pem(*key)).ok()) {
        std::abort();
    }
    return 0;
}

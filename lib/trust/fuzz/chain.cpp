// decode_chain() and the certificate parser behind it; what decodes must encode to the same bytes.
#include "trust/certificate.h"
#include "trust/lease.h"

#include <cstdint>

using namespace hasp::trust;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const auto chain = decode_chain(bytes);
    if (!chain) {
        return 0;
    }
    if (encode_chain(*chain) != bytes) {
        __builtin_trap();
    }
    (void)verify_ca_chain(chain->ca_der, std::string(32, 'r'), 1'700'000'000'000'000);
    return 0;
}

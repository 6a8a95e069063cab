// read_web_request(); what it accepts can be asked for again with the same names.
#include "trust/web_ca.h"

#include "base/random.h"

#include <cstdint>

using namespace hasp::trust;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    (void)read_web_certificate(bytes);
    (void)web_ca_permits(bytes);
    const auto request = read_web_request(bytes);
    if (!request.ok()) {
        return 0;
    }
    static hasp::SeededRandom random(1);
    static const TlsKey key = TlsKey::generate(random);
    if (const auto again = make_web_request(key, request->names);
        again.ok() && read_web_request(*again)->names != request->names) {
        __builtin_trap();
    }
    return 0;
}

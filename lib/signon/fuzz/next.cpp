// Wherever a log-in leads is a path of this host or one of the own hosts, and fit for a header;
// client keys are bounded.
#include "signon/guess_limiter.h"
#include "signon/web_rules.h"

#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace hasp::signon;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const std::string hosts[] = {"wiki.example"};
    const std::string next = safe_next(text, "https", hosts);
    const bool local = next.starts_with('/') && !next.starts_with("//");
    const bool own = next.starts_with("https://wiki.example/");
    if ((!local && !own) || next.find_first_of("\\\r\n\t ") != std::string::npos ||
        client_key(text).size() > 64) {
        std::abort();
    }
    return 0;
}

// Whatever a server answers and whatever URL is given, hasp doctor --as-client reads it, and what
// it says has nothing in it that a terminal would act on.
#include "client_check.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace hasp::cmd;
    const std::string_view text(size > 0 ? reinterpret_cast<const char*>(data) : "", size);
    ClientSeen seen;
    seen.target.host = "clinic.example";
    if (const auto target = parse_client_target(text); target.ok()) {
        const auto again = parse_client_target(target->url());
        if (!again.ok() || again->url() != target->url()) {
            std::abort();
        }
        seen.target = *target;
    }
    seen.http = read_client_answer(text);
    static_cast<void>(client_answer_is_whole(text));
    for (const ClientFinding& one : judge_client(seen, {}, 0)) {
        for (const char c : one.what) {
            if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
                std::abort();
            }
        }
    }
    return 0;
}

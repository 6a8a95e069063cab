// Any bytes give a manifest or an error with a place; an accepted one keeps the promises that
// others build on.
#include "run/manifest.h"

#include "base/text.h"

#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace hasp::run;
    const std::string text =
        size == 0 ? "" : std::string(reinterpret_cast<const char*>(data), size);
    const auto m = parse_manifest(text, "f");
    if (!m) {
        if (!m.error().message.starts_with("f:")) {
            std::abort();
        }
        return 0;
    }
    const bool process = m->kind == Kind::process;
    if (!hasp::valid_name(m->name) || (process && m->process.command.empty()) ||
        (process && !m->process.listen.unix_socket && m->process.listen.port == 0) ||
        (m->kind == Kind::upstream && m->upstream.empty()) ||
        (m->data == DataScope::user && m->instance == Instance::app)) {
        std::abort();
    }
    for (const std::string& argument : m->process.command) {
        if (argument.find('\0') != std::string::npos) {
            std::abort();
        }
        (void)substitute(argument, {});
    }
    return 0;
}

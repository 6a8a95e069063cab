// Runs a fuzz target over its committed corpus: `fuzz_replay TARGET FOLDER…`, every file of each
// folder, and the empty input.
#include "replay.h"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

namespace hasp::fuzz {
namespace {
std::map<std::string, Target>& targets() {
    static std::map<std::string, Target> all;
    return all;
}
} // namespace

Replayed::Replayed(const char* name, Target target) {
    targets()[name] = target;
}

} // namespace hasp::fuzz

int main(int argc, char** argv) {
    const auto& targets = hasp::fuzz::targets();
    const auto chosen = argc > 1 ? targets.find(argv[1]) : targets.end();
    if (chosen == targets.end()) {
        std::fprintf(stderr, "usage: fuzz_replay TARGET FOLDER...; targets:\n");
        for (const auto& [name, target] : targets) {
            std::fprintf(stderr, "  %s\n", name.c_str());
        }
        return 2;
    }
    std::size_t inputs = 0;
    chosen->second(nullptr, 0);
    for (int i = 2; i < argc; ++i) {
        for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
            std::ifstream in(entry.path(), std::ios::binary);
            const std::string bytes{std::istreambuf_iterator<char>(in), {}};
            chosen->second(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
            ++inputs;
        }
    }
    std::printf("%zu inputs\n", inputs);
    return inputs > 0 ? 0 : 1;
}

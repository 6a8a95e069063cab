// Edits of a content, made into a difference and applied: what comes out is the edited content,
// byte for byte. The input says what the content is made of and what is done to it.
#include "sync/difference.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

using namespace hasp;
using namespace hasp::sync;

namespace {

constexpr std::size_t content_bytes_max = std::size_t{200} << 10;

class Script {
  public:
    Script(const std::uint8_t* data, std::size_t size) : at_(data), end_(data + size) {}
    bool done() const { return at_ == end_; }
    std::size_t byte() { return done() ? 0 : *at_++; }
    std::size_t number() {
        const std::size_t high = byte();
        return high << 8U | byte();
    }

  private:
    const std::uint8_t* at_;
    const std::uint8_t* end_;
};

// Lines that differ little, or noise, or all the same.
std::string content(Script& script) {
    const std::size_t kind = script.byte();
    const std::size_t size = script.number() * 3;
    std::uint64_t seed = script.byte() + 1;
    std::string out;
    while (out.size() < size) {
        seed = seed * 6364136223846793005U + 1442695040888963407U;
        if (kind % 3 == 0) {
            out += "row " + std::to_string(out.size() % 977) + "," + std::to_string(seed >> 60U) +
                   "\n";
        } else {
            out.push_back(kind % 3 == 1 ? static_cast<char>(seed >> 56U) : 'a');
        }
    }
    return out;
}

std::string edited(Script& script, const std::string& base) {
    std::string out = base;
    while (!script.done()) {
        const std::size_t deed = script.byte();
        const std::size_t at = std::min(out.size(), script.number() * 3);
        const std::size_t length = std::min(out.size() - at, script.number());
        if (deed % 4 == 0) {
            out.erase(at, length);
        } else if (deed % 4 == 1) {
            out.insert(at, std::string(script.byte(), static_cast<char>(script.byte())));
        } else if (deed % 4 == 2) {
            out.append(out.substr(at, length));
        } else if (at < out.size()) {
            out[at] = static_cast<char>(script.byte());
        }
        if (out.size() > content_bytes_max) {
            out.resize(content_bytes_max);
        }
    }
    return out;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    Script script(data, std::min<std::size_t>(size, 600));
    const std::string base = content(script);
    const std::string file = edited(script, base);
    MemoryFile old(base);
    MemoryFile now(file);
    std::string difference;
    const Status made = make_difference(old, now, [&difference](std::string_view bytes) {
        difference.append(bytes);
        return Status{};
    });
    MemoryFile told(difference);
    std::string out;
    const Status applied =
        apply_difference(old, pull_from(told), file.size(), [&out](std::string_view bytes) {
            out.append(bytes);
            return Status{};
        });
    if (!made.ok() || !applied.ok() || out != file) {
        std::abort();
    }
    return 0;
}

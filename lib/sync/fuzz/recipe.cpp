// What says of which parts a stored content is made: bytes as they come are refused or mean what
// they say when they are written again, and are never read beyond what they say.
#include "recipe.h"

#include <cstdint>
#include <cstdlib>

using namespace hasp;
using namespace hasp::sync;

// 4 bytes: the size of the content; the rest: its recipe.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 4) {
        return 0;
    }
    const std::string bytes(reinterpret_cast<const char*>(data), size);
    std::uint64_t claimed = 0;
    for (std::size_t i = 0; i < 4; ++i) {
        claimed = claimed << 8 | static_cast<unsigned char>(bytes[i]);
    }
    auto recipe = decode_recipe(std::string_view(bytes).substr(4), claimed);
    if (!recipe) {
        return 0;
    }
    const RecipeIndex index(*recipe);
    if (index.size() != claimed ||
        decode_recipe(encode_recipe(*recipe), claimed).value() != *recipe) {
        std::abort();
    }
    std::vector<std::unique_ptr<ReadFile>> sources;
    for (std::size_t i = 0; i < recipe->sources.size(); ++i) {
        sources.push_back(std::make_unique<MemoryFile>(std::string(100 * (i + 1), 'x')));
    }
    RecipeWriter writer;
    index.part(claimed / 3, claimed / 2, writer);
    const auto file = assembled(*std::move(recipe), std::move(sources));
    std::string into(1000, '\0');
    for (std::uint64_t at = 0; at < claimed && at < 100'000;) {
        auto got = file->read(at, into);
        if (!got || *got == 0) {
            break;
        }
        at += *got;
    }
    return 0;
}

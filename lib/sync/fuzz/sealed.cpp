// The decoder of stored contents: bytes as they come are refused, and whatever is changed in a
// content that was sealed is noticed.
#include "sealed.h"
#include "sync/tree.h"

#include <cstdint>
#include <cstdlib>
#include <optional>

using namespace hasp;
using namespace hasp::sync;

namespace {

const std::string key(trust::aead_key_bytes, 'k');
const std::string hash(hash_bytes, 'h');

// Nothing: refused.
std::optional<std::string> opened(const std::string& sealed, SealedPlace place) {
    auto file = open_sealed(std::make_unique<MemoryFile>(sealed), place, key, hash);
    if (!file) {
        return std::nullopt;
    }
    std::string out;
    auto read = digest(**file, [&out](std::string_view part) {
        out.append(part);
        return Status{};
    });
    return read ? std::optional(out) : std::nullopt;
}

std::uint64_t number(std::string_view bytes, std::size_t at) {
    std::uint64_t out = 0;
    for (std::size_t i = at; i < at + 8 && i < bytes.size(); ++i) {
        out = out << 8 | static_cast<unsigned char>(bytes[i]);
    }
    return out;
}

} // namespace

// 8 bytes: the offset, the claimed size and the place that is changed are made of them; 1 byte:
// how; the rest: a file, or a content.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string bytes(reinterpret_cast<const char*>(data), size);
    if (size < 9) {
        return 0;
    }
    const std::string rest = bytes.substr(9);
    const std::uint64_t where = number(bytes, 0);
    // Nobody who does not have the key makes a content of 32 bytes of salt and a tag.
    if (opened(rest, {where % 64, rest.size(), where >> 8})) {
        std::abort();
    }
    SeededRandom random(where);
    Sealer sealer(key, random);
    std::string sealed;
    // Long enough for more than one frame now and then.
    std::string content = rest;
    for (int i = 0; i < (bytes[8] & 3) && !rest.empty() && content.size() < 300'000; ++i) {
        content += std::string(131'072, rest[0]);
    }
    const auto keep = [&sealed](std::string_view part) {
        sealed.append(part);
        return Status{};
    };
    if (!sealer.begin(hash, keep) || !sealer.write(content) || !sealer.finish()) {
        std::abort();
    }
    if (opened(sealed, {0, sealed.size(), content.size()}) != content) {
        std::abort();
    }
    std::string bent = sealed;
    std::uint64_t claimed = content.size();
    const auto at = static_cast<std::size_t>(where % bent.size());
    switch (bytes[8] >> 2 & 3) {
    case 0:
        bent[at] = static_cast<char>(bent[at] ^ (1 << (bytes[8] >> 4 & 7)));
        break;
    case 1:
        bent.resize(at);
        break;
    case 2:
        claimed = where >> 4;
        break;
    default:
        bent.insert(at, 1, bytes[8]);
        break;
    }
    if (const auto got = opened(bent, {0, bent.size(), claimed}); got && *got != content) {
        std::abort();
    }
    return 0;
}

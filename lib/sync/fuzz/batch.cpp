// The decoder of batches: whatever comes, records within their limits or an error.
#include "sync/batch.h"

#include <array>
#include <cstdint>
#include <cstdlib>

using namespace hasp;
using namespace hasp::sync;

namespace {

void read_all(const std::string& packed) {
    MemoryFile file(packed);
    BatchReader reader(pull_from(file));
    if (!reader.head()) {
        return;
    }
    std::array<char, 1000> buffer{};
    for (Record record;;) {
        auto more = reader.next(record);
        if (!more || !*more) {
            return;
        }
        const bool moved = record.type == Record::Type::moved;
        if ((record.type == Record::Type::put || record.type == Record::Type::attributes ||
             moved) &&
            !valid_path(record.path)) {
            std::abort();
        }
        if (moved && (!valid_path(record.to) || record.count == 0 ||
                      record.count > moved_entries_max || record.sum.size() != hash_bytes)) {
            std::abort();
        }
        if (record.type == Record::Type::verdict && record.index > batch_records_max) {
            std::abort();
        }
        std::uint64_t sum = 0;
        for (;;) {
            auto got = reader.content(buffer);
            if (!got) {
                return;
            }
            if (*got == 0) {
                break;
            }
            sum += *got;
        }
        if (sum > record.entry.size * 2 + 1024) {
            std::abort();
        }
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string bytes(reinterpret_cast<const char*>(data), size);
    read_all(bytes); // as it comes, and as the content of a frame that is sound
    std::string packed;
    Compressor compressor([&](std::string_view more) {
        packed.append(more);
        return Status{};
    });
    if (compressor.write(bytes) && compressor.finish()) {
        read_all(packed);
    }
    return 0;
}

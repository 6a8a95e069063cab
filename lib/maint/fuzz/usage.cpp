// A message with usage that is taken apart is put together again as it was; likewise an ack.
#include "ledger_words.h"

#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace hasp::maint;
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    if (const auto batches = unpack_batches(bytes); batches.ok()) {
        std::string again;
        for (const auto& [envelope, events] : *batches) {
            pack_batch(again, envelope, events);
        }
        if (again != bytes) {
            std::abort();
        }
    }
    if (const auto ack = decode_ack(bytes); ack.ok() && encode_ack(*ack) != bytes) {
        std::abort();
    }
    return 0;
}

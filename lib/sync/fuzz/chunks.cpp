// Lists of chunks, and the chunks of edits: what comes is refused or means what it says when it is
// written again; an edit has the chunks that its content has.
#include "sync/chunks.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>

using namespace hasp;
using namespace hasp::sync;

namespace {

// Without the name that it has to have: what is behind that has to hold anyway.
void read_list(std::string_view bytes) {
    if (bytes.size() < chunked_name_bytes) {
        return;
    }
    const std::string name(bytes.substr(0, chunked_name_bytes));
    auto list = decode_chunks(bytes.substr(chunked_name_bytes), name);
    if (list &&
        (list->name() != name || encode_chunks(*list) != bytes.substr(chunked_name_bytes))) {
        std::abort();
    }
}

// As they are cut where nothing is known: also of what is too small to be named by them.
ChunkList chunks_of(const std::string& content) {
    MemoryFile file(content);
    auto out = chunks_of_edit({{false, 0, content.size()}}, nullptr, file, content.size());
    if (!out) {
        std::abort();
    }
    return *std::move(out);
}

// Each three bytes: a piece of 40,000 bytes that are here.
void edit(std::string_view bytes) {
    std::string basis;
    for (std::uint64_t state = 1; basis.size() < 300'000;) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        basis.push_back(static_cast<char>(state >> 56U));
    }
    const ChunkList was = chunks_of(basis);
    std::vector<Piece> pieces;
    std::string content;
    for (; bytes.size() >= 3 && content.size() < 1'000'000; bytes.remove_prefix(3)) {
        const auto from = static_cast<std::size_t>(static_cast<unsigned char>(bytes[0])) * 1171;
        const auto length = std::min<std::size_t>(
            basis.size() - from,
            static_cast<std::size_t>(static_cast<unsigned char>(bytes[1])) * 250 + 1);
        const bool fresh = static_cast<unsigned char>(bytes[2]) % 3 == 0;
        pieces.push_back({!fresh, from, length});
        content += fresh ? std::string(length, bytes[2]) : basis.substr(from, length);
    }
    MemoryFile file(content);
    auto found = chunks_of_edit(pieces, &was, file, content.size());
    if (!found || !(*found == chunks_of(content))) {
        std::abort();
    }
    if (content.size() >= chunked_bytes_least) {
        Naming naming(content.size(), true);
        naming.update(content);
        if (found->name() != naming.finish().hash) {
            std::abort();
        }
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string bytes(reinterpret_cast<const char*>(data), size);
    read_list(bytes);
    edit(bytes);
    return 0;
}

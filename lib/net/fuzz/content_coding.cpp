#include "net/content_coding.h"

#include <cstdint>
#include <cstdlib>
#include <string>

using namespace hasp::net;

// The text as Accept-Encoding, as a media type, and as a list of entity tags.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    for (const Coding one : {Coding::gzip, Coding::zstd, Coding::br}) {
        const Coding alone = choose_coding(text, CodingSet().with(one));
        if (alone != one && alone != Coding::identity) {
            std::abort();
        }
    }
    // What is best of all is taken when nothing else is offered.
    const Coding best = choose_coding(text, CodingSet::all());
    if (best != Coding::identity && choose_coding(text, CodingSet().with(best)) != best) {
        std::abort();
    }
    if (choose_coding(text, CodingSet()) != Coding::identity) {
        std::abort();
    }
    is_compressible(text);
    std::string plain;
    append_uncoded_etags(plain, text);
    if (plain.size() > size || (!has_coded_etag(text) && plain != text)) {
        std::abort();
    }
    // Marking is undone exactly.
    if (text.size() >= 2 && text.front() == '"' && text.back() == '"' &&
        text.find('"', 1) == text.size() - 1) {
        std::string coded;
        append_coded_etag(coded, text);
        std::string again;
        append_uncoded_etags(again, coded);
        if (again != text) {
            std::abort();
        }
    }
    return 0;
}

#include "net/head.h"

#include <cstdint>
#include <cstdlib>

using namespace hasp::net;

// The first byte says what was asked; the rest is the answer.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) {
        return 0;
    }
    const AnswerTo to{(data[0] & 1U) != 0, (data[0] & 2U) != 0};
    const std::string_view bytes{reinterpret_cast<const char*>(data) + 1, size - 1};
    const HeadLimits limits;
    AnswerHead head;
    const ParseResult half = parse_answer_head(bytes.substr(0, bytes.size() / 2), head, to, limits);
    const ParseResult whole = parse_answer_head(bytes, head, to, limits);
    if ((half.done() && !(whole.done() && whole.consumed == half.consumed)) ||
        (half.bad() && !whole.bad())) {
        std::abort();
    }
    if (whole.done()) {
        const bool bodiless =
            to.head || head.status < 200 || head.status == 204 || head.status == 304;
        if ((bodiless && head.framing != Framing::none) || whole.consumed > bytes.size() ||
            (head.framing == Framing::until_close && head.keep_alive) ||
            (head.headers.has(Name::content_length) && head.headers.has(Name::transfer_encoding))) {
            std::abort();
        }
    }
    return 0;
}

// The payload, the end and the verdict of a chunked body do not depend on how its bytes arrive.
#include "net/body.h"

#include <cstdint>
#include <cstdlib>
#include <string>

using namespace hasp::net;

namespace {

struct Outcome {
    BodyDecoder::State state;
    std::string payload;
    std::string trailers;
    std::size_t consumed = 0;
};

Outcome decode(std::string_view bytes, std::size_t piece) {
    Outcome out{BodyDecoder::State::more, {}, {}};
    BodyDecoder decoder;
    decoder.start(Framing::chunked);
    decoder.keep_trailers(&out.trailers);
    for (std::size_t have = 0;
         have < bytes.size() && decoder.state() == BodyDecoder::State::more;) {
        have = std::min(have + piece, bytes.size());
        for (;;) {
            const std::string_view window = bytes.substr(out.consumed, have - out.consumed);
            const auto step = decoder.step(window);
            if (step.consumed > window.size()) {
                std::abort();
            }
            out.payload += step.payload;
            out.consumed += step.consumed;
            if (step.consumed == 0 || step.state != BodyDecoder::State::more) {
                break;
            }
        }
    }
    out.state = decoder.state();
    return out;
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes{reinterpret_cast<const char*>(data), size};
    const Outcome whole = decode(bytes, size + 1);
    const Outcome single = decode(bytes, 1);
    if (whole.state != single.state || whole.payload != single.payload ||
        (whole.state == BodyDecoder::State::done &&
         (whole.consumed != single.consumed || whole.trailers != single.trailers))) {
        std::abort();
    }
    std::string copy{bytes};
    BodyDecoder decoder;
    decoder.start(Framing::chunked);
    const auto compacted = decoder.compact(copy);
    if (compacted.state != whole.state || copy.substr(0, compacted.payload) != whole.payload) {
        std::abort();
    }
    return 0;
}

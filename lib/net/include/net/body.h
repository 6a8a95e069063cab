// Message bodies: decoding in place, encoding as pieces for writev. Pure; no allocation.
#pragma once

#include "net/head.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <sys/uio.h>

namespace hasp::net {

// Takes a body out of the bytes that follow a head. One body; start again for the next.
class BodyDecoder {
  public:
    static constexpr std::size_t extension_bytes_max = 1'024; // of all chunks of a body together
    static constexpr std::size_t trailer_bytes_max = 8'192;
    static constexpr std::size_t trailers_max = 32;

    enum class State : std::uint8_t { more, done, bad };
    struct Step {
        std::size_t consumed;     // from the front of the input, framing and payload
        std::string_view payload; // inside the consumed bytes, may be empty
        State state;
    };

    BodyDecoder() = default;
    // `length` counts for Framing::length only.
    void start(Framing framing, std::uint64_t length = 0);
    // Trailers are dropped unless this is set after start(): "name: value\r\n" lines, names in
    // lower case, are appended. All names that header.h knows but ETag (RFC 9110 §6.5.1) are
    // dropped even then. `into` outlives the decoding.
    void keep_trailers(std::string* into) { trailers_ = into; }

    // At most one run of payload a call: call until consumed is 0 or the state is not more. After
    // done the bytes that were not consumed belong to the next message.
    Step step(std::string_view in);
    // The whole of `bytes` at once: payload is moved together at the front.
    struct Compacted {
        std::size_t consumed;
        std::size_t payload; // bytes at the front of `bytes`
        State state;
    };
    Compacted compact(std::span<char> bytes);
    // So many bytes of payload went by without coming here. Precondition: bytes <= remaining().
    void skip(std::uint64_t bytes);
    // The transport ended properly. done for until_close and for what was complete already, else
    // bad: the body is cut short.
    State end();

    State state() const { return state_; }
    bool done() const { return state_ == State::done; }
    const char* reason() const { return reason_; } // bad: why
    // Payload bytes still to come; known for Framing::length only (0 otherwise).
    std::uint64_t remaining() const { return framing_ == Framing::length ? left_ : 0; }
    std::uint64_t payload_bytes() const { return payload_bytes_; }

  private:
    enum class At : std::uint8_t {
        size_first,
        size,
        extension,
        extension_name,
        extension_equals,
        extension_value,
        extension_token,
        extension_after,
        extension_quoted,
        extension_escape,
        extension_end,
        size_lf,
        data,
        data_cr,
        data_lf,
        trailer
    };
    bool frame(unsigned char c);
    bool frame_extension(unsigned char c);
    void end_of_size();
    Step trailer(std::string_view in, std::size_t consumed);
    State fail(const char* reason);

    std::string* trailers_ = nullptr;
    const char* reason_ = "";
    std::uint64_t left_ = 0;
    std::uint64_t payload_bytes_ = 0;
    std::size_t extension_bytes_ = 0;
    std::size_t trailer_bytes_ = 0;
    std::size_t trailer_count_ = 0;
    Framing framing_ = Framing::none;
    State state_ = State::done;
    At at_ = At::size_first;
    std::uint8_t digits_ = 0;
};

// Frames payload for the wire. The pieces that frame() gives view the encoder until they are
// written, so a frame is written out before the next is asked for.
class BodyEncoder {
  public:
    static constexpr std::size_t extra_pieces = 2; // frame() gives at most payload + this many

    // Framing::none: no payload is allowed. until_close: payload passes as it is.
    void start(Framing framing, std::uint64_t length = 0);
    // Pieces for `payload`; returns how many of `out` are used. Empty payload gives none (an empty
    // chunk would end the body). 0 with failed() set when the announced length would be exceeded.
    // Precondition: out.size() >= payload.size() + extra_pieces.
    std::size_t frame(std::span<const iovec> payload, std::span<iovec> out);
    // The same, of payload that is written without coming here.
    void skip(std::uint64_t bytes) { left_ -= bytes; }
    // What ends the body: the last chunk and `trailers` ("name: value\r\n" lines, valid), else
    // nothing. failed() when less than the announced length was framed.
    std::string_view finish();
    std::string_view finish_with_trailers(std::string_view trailers, std::string& storage);
    // The last chunk can ride with the last payload: frame() then finish() in one write.
    bool failed() const { return failed_; }
    Framing framing() const { return framing_; }
    std::uint64_t remaining() const { return left_; }

  private:
    static constexpr std::size_t size_room = 16; // hex digits of 2^64 - 1
    std::array<char, size_room + 4> prefix_{};   // the chunk size line, and the CRLF of its end
    std::uint64_t left_ = 0;
    Framing framing_ = Framing::none;
    bool failed_ = false;
};

} // namespace hasp::net

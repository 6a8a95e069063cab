// One direction of an exchange: a body decoded from one connection, framed anew for another, under
// back-pressure.
#pragma once

#include "cache/store.h"
#include "net/body.h"
#include "wire.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace hasp::passon {

class BodyRelay {
  public:
    enum class Step : unsigned char {
        done,        // the whole body was written (or queued in the sink)
        need_source, // wait until the source is readable
        need_sink,   // wait until the sink is writable
        source_bad,  // malformed, cut short or broken
        sink_failed,
        yield, // more could be moved, but other connections have their turn first: call again in
               // the next round
    };

    // A tunnel takes any end of the source for its proper end.
    void start(net::Framing from, std::uint64_t from_length, net::Framing to,
               std::uint64_t to_length, bool tunnel = false);
    // What is moved is given to `into` too, until it refuses; null: to nobody. After start().
    void copy_to(cache::Store::Writer* into) { copy_ = into; }
    // Moves what can be moved. `head` is written in front, in the same system call; it is copied if
    // the socket does not take it.
    Step pump(Wire& from, Wire& to, std::string_view head = {});
    // The same without a sink: reads the rest of a body away.
    Step discard(Wire& from);

    // Appends the body to `into`; need_sink: it would be longer than `limit`.
    Step collect(Wire& from, std::string& into, std::size_t limit);

    bool done() const { return done_; }
    std::uint64_t moved() const { return decoder_.payload_bytes(); }
    // Something was given to the sink since start().
    bool wrote() const { return wrote_; }
    bool started() const { return decoder_.payload_bytes() > 0; }

  private:
    Step end_of_source(Wire::Fill fill);
    Step take(Wire& from, std::string* into, std::size_t limit);

    net::BodyDecoder decoder_;
    net::BodyEncoder encoder_;
    cache::Store::Writer* copy_ = nullptr;
    bool tunnel_ = false;
    bool done_ = true;
    bool wrote_ = false;
};

} // namespace hasp::passon

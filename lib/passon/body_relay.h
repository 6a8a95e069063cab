// One direction of an exchange: a body decoded from one connection, framed anew for another, under
// back-pressure.
#pragma once

#include "cache/store.h"
#include "net/body.h"
#include "net/content_coding.h"
#include "wire.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
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
        too_long,    // beyond limit_to(); nothing of what is beyond it was given to the sink
        sink_failed,
        yield, // more could be moved, but other connections have their turn first: call again in
               // the next round
    };

    // A tunnel takes any end of the source for its proper end.
    void start(net::Framing from, std::uint64_t from_length, net::Framing to,
               std::uint64_t to_length, bool tunnel = false);
    // The same of a body that is not there, whose end nobody writes: done() at once.
    void start_without();
    // As one that was never started.
    void reset();
    // The most bytes that the body may have. After start().
    void limit_to(std::uint64_t bytes) { limit_ = bytes; }
    // What is moved is given to `into` too, until it refuses; null: to nobody. After start().
    void copy_to(cache::Store::Writer* into) { copy_ = into; }
    // What is moved goes through `coder` first; copy_to() gets what comes out of it. The body must
    // leave chunked. The coder is freed with the end of the body. After start().
    void code_with(std::unique_ptr<net::Coder> coder);
    // Trailers of a chunked body go on where it leaves chunked and is not coded, unless `passes`
    // refuses their name (in lower case). Without this they are dropped. After start().
    void keep_trailers(std::function<bool(std::string_view)> passes);
    // Moves what can be moved. `head` is written in front, in the same system call; it is copied if
    // the socket does not take it.
    Step pump(Wire& from, Wire& to, std::string_view head = {});
    // The same without a sink: reads the rest of a body away.
    Step discard(Wire& from);

    // Appends the body to `into`; need_sink: it would be longer than `limit`.
    Step collect(Wire& from, std::string& into, std::size_t limit);

    bool done() const { return done_; }
    // Of the body, out of the source.
    std::uint64_t moved() const { return decoder_.payload_bytes(); }
    // Of the body, to the sink: what was moved, unless it was coded.
    std::uint64_t sent() const { return was_coded_ ? coded_bytes_ : moved(); }
    // Something was given to the sink since start().
    bool wrote() const { return wrote_; }
    bool started() const { return decoder_.payload_bytes() > 0; }

  private:
    bool is_here_whole(const Wire& from, const Wire& to) const;
    Step end_of_source(Wire::Fill fill);
    bool may_pipe(const Wire& from, const Wire& to) const;
    std::string_view finish();
    Step pump_coded(Wire& from, Wire& to, std::string_view head);
    bool decode_run(Wire& from);
    net::Coder::Step code_run(Wire& from, std::span<char> out);
    bool write_coded(Wire& to, std::string_view head, std::string_view coded, bool last);
    Step take(Wire& from, std::string* into, std::size_t limit);

    net::BodyDecoder decoder_;
    net::BodyEncoder encoder_;
    std::string trailers_; // as they came
    std::string last_;     // the last chunk with those that go on
    std::function<bool(std::string_view)> passes_;
    cache::Store::Writer* copy_ = nullptr;
    std::uint64_t limit_ = UINT64_MAX;
    // Of a body that is coded: payload at the front of the source's buffer that the coder has not
    // taken, and the framing behind it.
    std::unique_ptr<net::Coder> coder_;
    std::size_t run_left_ = 0;
    std::size_t run_tail_ = 0;
    std::uint64_t coded_bytes_ = 0;
    bool was_coded_ = false;
    bool unflushed_ = false; // the coder may hold back what it took
    bool flushing_ = false;
    bool tunnel_ = false;
    bool done_ = true;
    bool wrote_ = false;
};

} // namespace hasp::passon

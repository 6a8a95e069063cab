#include "body_relay.h"

#include <algorithm>
#include <array>
#include <utility>

namespace hasp::passon {
namespace {
// Runs of payload framed into one write. Small chunks of an app are put together so.
constexpr std::size_t runs_max = 32;
// Rounds of one pump: a fast source must not keep the loop from its other connections.
constexpr int rounds_max = 16;
// One round through a pipe moves as much as these others.
constexpr int rounds_of_a_pipe = 5;
// Beyond it a string has memory of its own.
constexpr std::size_t small_text = 15;
// Below this two more system calls cost more than copying.
constexpr std::uint64_t pipe_bytes_min = 16 * 1024;
} // namespace

void BodyRelay::start(net::Framing from, std::uint64_t from_length, net::Framing to,
                      std::uint64_t to_length, bool tunnel) {
    decoder_.start(from, from_length);
    encoder_.start(to, to_length);
    copy_ = nullptr;
    limit_ = UINT64_MAX;
    if (passes_) {
        passes_ = nullptr;
    }
    coder_.reset();
    was_coded_ = false;
    tunnel_ = tunnel;
    done_ = false;
    wrote_ = false;
}

void BodyRelay::start_without() {
    const bool as_new = done_ && !wrote_ && !tunnel_ && !was_coded_ && copy_ == nullptr &&
                        !coder_ && !passes_ && decoder_.done() && decoder_.payload_bytes() == 0 &&
                        encoder_.framing() == net::Framing::none && !encoder_.failed();
    if (as_new) {
        limit_ = UINT64_MAX;
        return;
    }
    start(net::Framing::none, 0, net::Framing::none, 0);
    done_ = true;
}

void BodyRelay::reset() {
    // Most bodies have none of these, and to exchange all members costs more than to look.
    if (coder_ || passes_ || trailers_.capacity() > small_text || last_.capacity() > small_text) {
        *this = {};
        return;
    }
    decoder_ = {};
    encoder_ = {};
    trailers_.clear();
    last_.clear();
    copy_ = nullptr;
    limit_ = UINT64_MAX;
    run_left_ = run_tail_ = 0;
    coded_bytes_ = 0;
    was_coded_ = unflushed_ = flushing_ = tunnel_ = wrote_ = false;
    done_ = true;
}

void BodyRelay::keep_trailers(std::function<bool(std::string_view)> passes) {
    passes_ = std::move(passes);
    trailers_.clear();
    decoder_.keep_trailers(&trailers_);
}

// What ends the body for the sink.
std::string_view BodyRelay::finish() {
    if (!passes_ || trailers_.empty()) {
        return encoder_.finish();
    }
    std::string kept;
    std::string_view rest = trailers_;
    while (!rest.empty()) {
        const std::size_t size = rest.find('\n') + 1;
        const std::string_view line = rest.substr(0, size);
        if (passes_(line.substr(0, line.find(':')))) {
            kept.append(line);
        }
        rest.remove_prefix(size);
    }
    return encoder_.finish_with_trailers(kept, last_);
}

BodyRelay::Step BodyRelay::end_of_source(Wire::Fill fill) {
    if (fill == Wire::Fill::again) {
        return Step::need_source;
    }
    if (fill == Wire::Fill::end || tunnel_) {
        return decoder_.end() == net::BodyDecoder::State::done ? Step::done : Step::source_bad;
    }
    return Step::source_bad;
}

// The rest of the body is as long for the sink as it is here, and nobody looks at it.
bool BodyRelay::may_pipe(const Wire& from, const Wire& to) const {
    const std::uint64_t left = decoder_.remaining();
    return left >= pipe_bytes_min && encoder_.remaining() == left && copy_ == nullptr &&
           left <= limit_ - std::min(limit_, decoder_.payload_bytes()) && from.in.empty() &&
           from.conn->takes_files() && to.conn->takes_files();
}

// The rest of the body lies in the buffer and goes out as it is: nearly every answer of an API, and
// of a page what is not large.
bool BodyRelay::is_here_whole(const Wire& from, const Wire& to) const {
    const std::uint64_t left = decoder_.remaining();
    return left > 0 && from.in.size() >= left && encoder_.remaining() == left && copy_ == nullptr &&
           left <= limit_ - std::min(limit_, decoder_.payload_bytes()) && !to.blocked();
}

BodyRelay::Step BodyRelay::pump(Wire& from, Wire& to, std::string_view head) {
    if (coder_) {
        return pump_coded(from, to, head);
    }
    if (is_here_whole(from, to)) {
        const auto left = static_cast<std::size_t>(decoder_.remaining());
        const iovec pieces[2] = {piece(head), piece(from.in.readable().substr(0, left))};
        const std::size_t unused = head.empty() ? 1 : 0;
        if (!to.write(std::span(pieces).subspan(unused))) {
            return Step::sink_failed;
        }
        decoder_.skip(left);
        encoder_.skip(left);
        wrote_ = done_ = true;
        from.in.consume(left);
        from.give_back_if_empty();
        return Step::done;
    }
    for (int round = 0;; ++round) {
        if (round >= rounds_max) {
            return Step::yield;
        }
        if (to.blocked()) {
            if (!to.flush()) {
                return Step::sink_failed;
            }
            if (to.blocked() && head.empty()) {
                return Step::need_sink;
            }
        }
        if (done_) {
            return Step::done;
        }
        std::array<iovec, runs_max> runs;
        std::size_t run_count = 0;
        std::size_t consumed = 0;
        const std::string_view bytes = from.in.readable();
        while (!decoder_.done() && run_count < runs_max) {
            const net::BodyDecoder::Step step = decoder_.step(bytes.substr(consumed));
            consumed += step.consumed;
            if (!step.payload.empty()) {
                runs[run_count++] = piece(step.payload);
            }
            if (step.state == net::BodyDecoder::State::bad) {
                return Step::source_bad;
            }
            if (step.consumed == 0) {
                break;
            }
        }
        if (decoder_.payload_bytes() > limit_) {
            return Step::too_long;
        }
        for (std::size_t i = 0; copy_ != nullptr && i < run_count; ++i) {
            if (!copy_->append({static_cast<const char*>(runs[i].iov_base), runs[i].iov_len})) {
                copy_ = nullptr;
            }
        }
        std::array<iovec, runs_max + 4> pieces;
        std::size_t count = 0;
        if (!head.empty()) {
            pieces[count++] = piece(head);
        }
        count +=
            encoder_.frame(std::span(runs.data(), run_count), std::span(pieces).subspan(count));
        if (encoder_.failed()) {
            return Step::source_bad;
        }
        const bool finished = decoder_.done();
        if (finished) {
            const std::string_view last = finish();
            if (encoder_.failed()) {
                return Step::source_bad;
            }
            if (!last.empty()) {
                pieces[count++] = piece(last);
            }
        }
        head = {};
        if (count > 0 && !to.write(std::span(pieces.data(), count))) {
            return Step::sink_failed;
        }
        wrote_ = wrote_ || count > 0;
        from.in.consume(consumed);
        if (finished) {
            done_ = true;
            from.give_back_if_empty();
            return Step::done;
        }
        if (consumed > 0 && !from.in.empty()) {
            continue;
        }
        if (to.blocked()) {
            from.give_back_if_empty();
            return Step::need_sink;
        }
        Wire::Fill fill = Wire::Fill::full;
        if (may_pipe(from, to)) {
            from.give_back_if_empty();
            std::size_t taken = 0;
            fill = to.take_from(from, decoder_.remaining(), taken);
            decoder_.skip(taken);
            encoder_.skip(taken);
            wrote_ = wrote_ || taken > 0;
            round += rounds_of_a_pipe;
            if (taken > 0 && decoder_.done()) {
                done_ = true;
                return to.flush() ? Step::done : Step::sink_failed;
            }
        }
        if (fill == Wire::Fill::full) {
            fill = from.fill();
        }
        if (fill != Wire::Fill::got) {
            const Step step = end_of_source(fill);
            if (step != Step::done) {
                return step;
            }
        }
    }
}

BodyRelay::Step BodyRelay::discard(Wire& from) {
    return take(from, nullptr, 0);
}

BodyRelay::Step BodyRelay::collect(Wire& from, std::string& into, std::size_t limit) {
    return take(from, &into, limit);
}

BodyRelay::Step BodyRelay::take(Wire& from, std::string* into, std::size_t limit) {
    for (int round = 0; round < rounds_max; ++round) {
        while (!decoder_.done()) {
            const net::BodyDecoder::Step step = decoder_.step(from.in.readable());
            if (into != nullptr) {
                if (into->size() + step.payload.size() > limit) {
                    return Step::need_sink;
                }
                into->append(step.payload);
            }
            from.in.consume(step.consumed);
            if (step.state == net::BodyDecoder::State::bad) {
                return Step::source_bad;
            }
            if (step.consumed == 0) {
                break;
            }
        }
        if (decoder_.done()) {
            done_ = true;
            return Step::done;
        }
        if (const Wire::Fill fill = from.fill(); fill != Wire::Fill::got) {
            return end_of_source(fill);
        }
    }
    return Step::yield;
}

} // namespace hasp::passon

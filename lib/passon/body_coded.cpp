// A body that is coded on its way. What the coder does not take stays in the source's buffer, so
// that nothing waits anywhere else.
#include "body_relay.h"

#include <array>
#include <utility>

namespace hasp::passon {
namespace {
// What a coder gives at once: one write.
constexpr std::size_t out_bytes = 16 * 1024;
// Coding costs some fifty times what moving costs: fewer rounds before others have their turn.
constexpr int coded_rounds_max = 12;
} // namespace

void BodyRelay::code_with(std::unique_ptr<net::Coder> coder) {
    coder_ = std::move(coder);
    was_coded_ = true;
    coded_bytes_ = 0;
    run_left_ = run_tail_ = 0;
    unflushed_ = flushing_ = false;
}

// The next run of payload comes to the front of the source's buffer. False: malformed.
bool BodyRelay::decode_run(Wire& from) {
    while (run_left_ == 0 && !decoder_.done()) {
        const std::string_view bytes = from.in.readable();
        const net::BodyDecoder::Step step = decoder_.step(bytes);
        if (step.state == net::BodyDecoder::State::bad) {
            return false;
        }
        if (step.payload.empty()) {
            from.in.consume(step.consumed);
            if (step.consumed == 0) {
                break;
            }
            continue;
        }
        const auto before = static_cast<std::size_t>(step.payload.data() - bytes.data());
        run_left_ = step.payload.size();
        run_tail_ = step.consumed - before - run_left_;
        from.in.consume(before);
    }
    return true;
}

net::Coder::Step BodyRelay::code_run(Wire& from, std::span<char> out) {
    using Until = net::Coder::Until;
    const Until until = decoder_.done() ? Until::end : flushing_ ? Until::flushed : Until::full;
    const net::Coder::Step step = coder_->step(from.in.readable().substr(0, run_left_), out, until);
    from.in.consume(step.consumed);
    unflushed_ = unflushed_ || step.consumed > 0;
    run_left_ -= step.consumed;
    if (run_left_ == 0) {
        from.in.consume(std::exchange(run_tail_, 0));
    }
    if (flushing_ && step.complete) {
        flushing_ = unflushed_ = false;
    }
    return step;
}

bool BodyRelay::write_coded(Wire& to, std::string_view head, std::string_view coded, bool last) {
    if (copy_ != nullptr && !coded.empty() && !copy_->append(coded)) {
        copy_ = nullptr;
    }
    std::array<iovec, 5> pieces;
    std::size_t count = 0;
    if (!head.empty()) {
        pieces[count++] = piece(head);
    }
    const iovec payload = piece(coded);
    count += encoder_.frame(std::span(&payload, coded.empty() ? 0 : 1),
                            std::span(pieces).subspan(count));
    if (last) {
        pieces[count++] = piece(encoder_.finish());
    }
    coded_bytes_ += coded.size();
    wrote_ = wrote_ || count > 0;
    return count == 0 || to.write(std::span(pieces.data(), count));
}

BodyRelay::Step BodyRelay::pump_coded(Wire& from, Wire& to, std::string_view head) {
    std::array<char, out_bytes> out; // not filled: the coder writes before anybody reads
    for (int round = 0;; ++round) {
        if (to.blocked()) {
            if (!to.flush()) {
                return Step::sink_failed;
            }
            if (to.blocked() && head.empty()) {
                from.give_back_if_empty();
                return Step::need_sink;
            }
        }
        if (round >= coded_rounds_max && head.empty()) {
            return Step::yield;
        }
        // A flush that has begun ends first: the coder takes nothing new meanwhile.
        if (!flushing_ && !from.in.empty() && !decode_run(from)) {
            return Step::source_bad;
        }
        if (run_left_ > 0 || flushing_ || decoder_.done()) {
            const bool last = decoder_.done();
            const net::Coder::Step step = code_run(from, out);
            if (step.failed) {
                return Step::source_bad;
            }
            const bool finished = last && step.complete;
            if (step.produced > 0 || finished) {
                if (!write_coded(to, std::exchange(head, {}), {out.data(), step.produced},
                                 finished)) {
                    return Step::sink_failed;
                }
            }
            if (finished) {
                done_ = true;
                coder_.reset();
                from.give_back_if_empty();
                return Step::done;
            }
            continue;
        }
        const Wire::Fill fill = from.fill();
        if (fill == Wire::Fill::got) {
            continue;
        }
        // Whoever waits for what has come so far must not wait for what comes next.
        if (fill == Wire::Fill::again && unflushed_) {
            flushing_ = true;
            continue;
        }
        const Step step = end_of_source(fill);
        if (step == Step::done) {
            continue; // it ended with the connection: so does the coder now
        }
        if (step == Step::need_source && !head.empty() &&
            !write_coded(to, std::exchange(head, {}), {}, false)) {
            return Step::sink_failed;
        }
        return step;
    }
}

} // namespace hasp::passon

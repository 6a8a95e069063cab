#include "net/pipe.h"

#include <array>
#include <cassert>
#include <fcntl.h>
#include <unistd.h>

namespace hasp::net {

void Pipe::give_back() {
    if (pool_ != nullptr) {
        std::exchange(pool_, nullptr)
            ->take_back(std::move(out_), std::move(in_), std::exchange(held_, 0) == 0);
    }
}

PipePool::~PipePool() {
    assert(lent_ == 0);
}

Pipe PipePool::lend() {
    if (lent_ >= lent_max) {
        return {};
    }
    Ends ends;
    if (!kept_.empty()) {
        ends = std::move(kept_.back());
        kept_.pop_back();
    } else {
        std::array<int, 2> both{};
        if (::pipe2(both.data(), O_CLOEXEC | O_NONBLOCK) != 0) {
            return {};
        }
        ends = {Fd(both[0]), Fd(both[1])};
        // Beyond /proc/sys/fs/pipe-user-pages-soft it stays as small as it is.
        [[maybe_unused]] const int size =
            ::fcntl(ends.in.get(), F_SETPIPE_SZ, static_cast<int>(pipe_bytes));
    }
    ++lent_;
    return Pipe{this, std::move(ends.out), std::move(ends.in)};
}

void PipePool::take_back(Fd out, Fd in, bool empty) {
    --lent_;
    if (empty && kept_.size() < kept_max) {
        kept_.push_back({std::move(out), std::move(in)});
    }
}

} // namespace hasp::net

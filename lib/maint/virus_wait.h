// Waiting for descriptors until a time, or until the scanner is stopped.
#pragma once

#include "base/clock.h"

#include <atomic>
#include <cerrno>
#include <poll.h>
#include <span>

namespace hasp::maint {

class ScanWait {
  public:
    ScanWait(const Clock& clock, const std::atomic<bool>& stopped, std::int64_t limit_us)
        : clock_(clock), stopped_(stopped), until_us_(clock.boot_us() + limit_us) {}

    // False: the time is over, or the scanner was stopped.
    bool operator()(std::span<pollfd> fds) const {
        while (!stopped_) {
            const std::int64_t left_us = until_us_ - clock_.boot_us();
            if (left_us <= 0) {
                return false;
            }
            const int ready = ::poll(fds.data(), fds.size(),
                                     static_cast<int>(std::min(left_us / 1000 + 1, slice_ms)));
            if (ready > 0) {
                return true;
            }
            if (ready < 0 && errno != EINTR) {
                return false;
            }
        }
        return false;
    }
    bool operator()(int fd, short events) const {
        pollfd one{fd, events, 0};
        return (*this)({&one, 1});
    }

  private:
    static constexpr std::int64_t slice_ms = 200; // until a stop is noticed
    const Clock& clock_;
    const std::atomic<bool>& stopped_;
    std::int64_t until_us_;
};

} // namespace hasp::maint

// Work in the background that must not overlap: one piece at a time, in order.
#pragma once

#include "maint/keeper_ports.h"

#include <deque>
#include <functional>
#include <utility>

namespace hasp::maint {

// One thread; must outlive what it runs, as the keeper does.
class Strand {
  public:
    explicit Strand(KeeperPorts& ports) : ports_(ports) {}
    // `work` on a worker thread, then `done` on the keeper's, then the next.
    void run(std::function<void()> work, std::function<void()> done) {
        waiting_.emplace_back(std::move(work), std::move(done));
        if (!busy_) {
            next();
        }
    }

    bool idle() const { return !busy_; }

  private:
    void next() {
        busy_ = !waiting_.empty();
        if (!busy_) {
            return;
        }
        auto [work, done] = std::move(waiting_.front());
        waiting_.pop_front();
        ports_.background(std::move(work), [this, done = std::move(done)] {
            done();
            next();
        });
    }

    KeeperPorts& ports_;
    std::deque<std::pair<std::function<void()>, std::function<void()>>> waiting_;
    bool busy_ = false;
};

} // namespace hasp::maint

#include "net/reactor.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <ctime>
#include <mutex>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace hasp::net {
namespace {

std::int64_t boot_ms(const Clock& clock) {
    return clock.boot_us() / 1'000;
}

constexpr unsigned long timer_slack_ns = 5'000; // the kernel's 50 us would be half a pause

void pause(std::int64_t us) {
    const timespec time{0, static_cast<long>(us * 1'000)};
    ::clock_nanosleep(CLOCK_MONOTONIC, 0, &time, nullptr);
}

} // namespace

struct Reactor::Inbox {
    std::mutex mutex;
    std::vector<std::function<void()>> callbacks;
    bool stop = false;
};

void Task::cancel() {
    if (previous_ != nullptr) {
        previous_->next_ = next_;
        next_->previous_ = previous_;
        previous_ = next_ = nullptr;
    }
}

Result<std::unique_ptr<Reactor>> Reactor::create(const Clock& clock, std::int64_t pause_us) {
    Fd epoll{epoll_create1(EPOLL_CLOEXEC)};
    if (!epoll) {
        return errno_error(errno, "epoll_create1");
    }
    Fd wake{eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    if (!wake) {
        return errno_error(errno, "eventfd");
    }
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;
    event.data.ptr = nullptr; // the only registration without a handler
    if (epoll_ctl(epoll.get(), EPOLL_CTL_ADD, wake.get(), &event) != 0) {
        return errno_error(errno, "epoll_ctl for the wake-up descriptor");
    }
    return std::unique_ptr<Reactor>(
        new Reactor(clock, std::move(epoll), std::move(wake), pause_us));
}

Reactor::Reactor(const Clock& clock, Fd epoll, Fd wake, std::int64_t pause_us)
    : clock_(clock), epoll_(std::move(epoll)), wake_(std::move(wake)), timers_(boot_ms(clock)),
      coalescing_(pause_us), inbox_(std::make_unique<Inbox>()) {
    tasks_.previous_ = tasks_.next_ = &tasks_;
}

Reactor::~Reactor() {
    kept_.clear();
    assert(handlers_ == 0);
    while (tasks_.next_ != &tasks_) {
        tasks_.next_->cancel();
    }
}

Status Reactor::add(int fd, Handler& handler) {
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    event.data.ptr = &handler;
    if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
        return errno_error(errno, "cannot watch a descriptor (epoll_ctl)");
    }
    ++handlers_;
    return {};
}

void Reactor::remove(int fd, Handler& handler) {
    // Explicitly, although closing would do for most: another process may hold the same open file.
    epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
    --handlers_;
    for (std::size_t i = fetched_at_; i < fetched_count_; ++i) {
        if (fetched_[i] == &handler) {
            fetched_[i] = nullptr;
        }
    }
}

void Reactor::run() {
    stopping_ = false;
    if (coalescing_.configured()) {
        ::prctl(PR_SET_TIMERSLACK, timer_slack_ns, 0, 0, 0); // this thread's
    }
    while (!stopping_) {
        run_once(-1);
    }
}

void Reactor::run_once(int wait_ms) {
    std::array<epoll_event, events_per_wake> events;
    const int sleep_ms = timers_.sleep_ms();
    if (tasks_.next_ != &tasks_) {
        wait_ms = 0;
    } else if (sleep_ms >= 0 && (wait_ms < 0 || sleep_ms < wait_ms)) {
        wait_ms = sleep_ms;
    }
    const int count = fetch(events.data(), wait_ms);
    fetched_count_ = count > 0 ? static_cast<std::size_t>(count) : 0;
    bool woken = false;
    for (std::size_t i = 0; i < fetched_count_; ++i) {
        fetched_[i] = static_cast<Handler*>(events[i].data.ptr);
        woken = woken || fetched_[i] == nullptr;
    }
    // Before the sockets: what another loop was told first counts first (a log-out, and the request
    // behind it). A handler that a message removes is taken out of those fetched.
    fetched_at_ = 0;
    if (woken) {
        drain_inbox();
    }
    while (fetched_at_ < fetched_count_) {
        const std::uint32_t bits = events[fetched_at_].events;
        Handler* const handler = fetched_[fetched_at_++];
        if (handler != nullptr) { // else removed by a handler before it
            handler->on_edges({(bits & EPOLLIN) != 0, (bits & EPOLLOUT) != 0,
                               (bits & EPOLLRDHUP) != 0, (bits & (EPOLLERR | EPOLLHUP)) != 0});
        }
    }
    fetched_at_ = fetched_count_ = 0;
    timers_.advance(timers_.now_ms());
    run_tasks();
}

int Reactor::fetch(epoll_event* events, int wait_ms) {
    constexpr auto room = static_cast<int>(events_per_wake);
    if (!coalescing_.configured()) {
        const int count = epoll_wait(epoll_.get(), events, room, wait_ms);
        timers_.set_now(boot_ms(clock_));
        return count;
    }
    const std::int64_t since_us = clock_.boot_us();
    const std::int64_t pause_us = wait_ms == 0 ? 0 : coalescing_.pause_us();
    bool paused = false;
    int count = 0;
    if (pause_us > 0) {
        // What came while the last round was served is worth no pause.
        count = epoll_wait(epoll_.get(), events, room, 0);
        paused = count == 0;
        if (paused) {
            pause(pause_us);
        }
    }
    if (count == 0) {
        count = epoll_wait(epoll_.get(), events, room, wait_ms);
    }
    const std::int64_t now_us = clock_.boot_us();
    coalescing_.waited(since_us, now_us, std::max(count, 0), paused);
    timers_.set_now(now_us / 1'000);
    return count;
}

void Reactor::run_tasks() {
    if (tasks_.next_ == &tasks_) {
        return;
    }
    // Those posted from here on run in the next round, so that sockets have their turn between.
    Task round{nullptr, nullptr};
    round.next_ = tasks_.next_;
    round.previous_ = tasks_.previous_;
    round.next_->previous_ = round.previous_->next_ = &round;
    tasks_.previous_ = tasks_.next_ = &tasks_;
    while (round.next_ != &round) {
        Task& task = *round.next_;
        task.cancel();
        task.run_(task.context_);
    }
    round.previous_ = round.next_ = nullptr;
}

void Reactor::post(Task& task) {
    if (task.posted()) {
        return;
    }
    task.previous_ = tasks_.previous_;
    task.next_ = &tasks_;
    tasks_.previous_->next_ = &task;
    tasks_.previous_ = &task;
}

void Reactor::keep(std::unique_ptr<Kept> thing) {
    kept_.push_back(std::move(thing));
}

void Reactor::release(const Kept& thing) {
    for (auto& kept : kept_) {
        if (kept.get() == &thing) {
            std::swap(kept, kept_.back());
            const std::unique_ptr<Kept> last = std::move(kept_.back());
            kept_.pop_back();
            return;
        }
    }
}

void Reactor::post_from_any_thread(std::function<void()> callback) {
    {
        const std::lock_guard lock(inbox_->mutex);
        inbox_->callbacks.push_back(std::move(callback));
    }
    eventfd_write(wake_.get(), 1);
}

void Reactor::stop_from_any_thread() {
    {
        const std::lock_guard lock(inbox_->mutex);
        inbox_->stop = true;
    }
    eventfd_write(wake_.get(), 1);
}

void Reactor::drain_inbox() {
    eventfd_t ignored = 0;
    eventfd_read(wake_.get(), &ignored);
    std::vector<std::function<void()>> callbacks;
    {
        const std::lock_guard lock(inbox_->mutex);
        callbacks.swap(inbox_->callbacks);
        stopping_ = stopping_ || std::exchange(inbox_->stop, false);
    }
    for (const auto& callback : callbacks) {
        callback();
    }
}

} // namespace hasp::net

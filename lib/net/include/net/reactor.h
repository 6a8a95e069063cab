// One event loop per thread over epoll(7).
#pragma once

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"
#include "net/buffer.h"
#include "net/coalescing.h"
#include "net/pipe.h"
#include "net/timer.h"

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

struct epoll_event;

namespace hasp::net {

// What a descriptor became since the last call. Registered edge-triggered: each edge is told once.
struct Edges {
    bool readable = false;
    bool writable = false;
    bool peer_closed = false; // EPOLLRDHUP: no more than what is already there will be read
    bool broken = false;      // EPOLLERR or EPOLLHUP
};

// Receives a descriptor's edges, on the reactor's thread. May remove and destroy any handler,
// itself included, and add new ones.
class Handler {
  public:
    virtual void on_edges(Edges edges) = 0;

  protected:
    ~Handler() = default;
};

// A callback that can be posted again and again without allocation; destruction takes it back.
class Task {
  public:
    using Run = void (*)(void* context);
    Task(Run run, void* context) : run_(run), context_(context) {}
    ~Task() { cancel(); }
    Task(const Task&) = delete;
    Task& operator=(const Task&) = delete;
    void cancel();
    bool posted() const { return previous_ != nullptr; }

  private:
    friend class Reactor;
    Run run_;
    void* context_;
    Task* previous_ = nullptr;
    Task* next_ = nullptr;
};

// Something that ends by itself (a lingering close): the reactor destroys it when it is done, or
// with itself.
class Kept {
  public:
    virtual ~Kept() = default;
};

// Lives on the thread that calls run(). Everything but post_from_any_thread() and
// stop_from_any_thread() belongs to that thread (or to the one that set it up, before run()).
class Reactor {
  public:
    static constexpr std::size_t events_per_wake = 256;

    // unreachable never; failed when the kernel refuses epoll or eventfd. `clock` outlives it.
    // `pause_us`: see net/coalescing.h; 0: an event is never kept waiting.
    static Result<std::unique_ptr<Reactor>> create(const Clock& clock, std::int64_t pause_us = 0);
    // Precondition: no handler is registered any more (connections and listeners are destroyed).
    ~Reactor();
    Reactor(const Reactor&) = delete;
    Reactor& operator=(const Reactor&) = delete;

    // Registers once, for both directions, edge-triggered: no epoll_ctl per request. The descriptor
    // stays the caller's and must be removed before it is closed.
    Status add(int fd, Handler& handler);
    // After it returns `handler` is not called any more, not even for edges already fetched.
    void remove(int fd, Handler& handler);

    // Runs until stop(). A second run() after it is allowed.
    void run();
    // One round: waits at most `wait_ms` (-1: until something happens or a timer is due).
    void run_once(int wait_ms);
    void stop() { stopping_ = true; }

    // Runs after the handlers of this round, before the next wait. A posted task is not posted
    // twice.
    void post(Task& task);
    // Owns `thing` until release(), which destroys it (allowed inside its own callbacks).
    void keep(std::unique_ptr<Kept> thing);
    void release(const Kept& thing);

    // Any thread. Order is kept per thread. Dropped (and destroyed) if the reactor is destroyed
    // first.
    void post_from_any_thread(std::function<void()> callback);
    void stop_from_any_thread();

    // Boot time, read once a round.
    std::int64_t now_ms() const { return timers_.now_ms(); }
    const Clock& clock() const { return clock_; }
    TimerWheel& timers() { return timers_; }
    BufferPool& buffers() { return buffers_; }
    PipePool& pipes() { return pipes_; }
    std::size_t handlers() const { return handlers_; }

  private:
    struct Inbox; // what other threads posted
    Reactor(const Clock& clock, Fd epoll, Fd wake, std::int64_t pause_us);
    int fetch(epoll_event* events, int wait_ms);
    void drain_inbox();
    void run_tasks();

    const Clock& clock_;
    Fd epoll_;
    Fd wake_;
    TimerWheel timers_;
    Coalescing coalescing_;
    BufferPool buffers_;
    PipePool pipes_;
    std::unique_ptr<Inbox> inbox_;
    std::array<Handler*, events_per_wake> fetched_{}; // handlers of this round; null: removed since
    std::size_t fetched_at_ = 0;
    std::size_t fetched_count_ = 0;
    std::size_t handlers_ = 0;
    Task tasks_{nullptr, nullptr}; // head of a ring
    std::vector<std::unique_ptr<Kept>> kept_;
    bool stopping_ = false;
};

} // namespace hasp::net

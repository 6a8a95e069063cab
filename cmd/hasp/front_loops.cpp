#include "front_loops.h"

#include "base/random.h"
#include "net/timer.h"
#include "passon/keeper_relay.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <system_error>
#include <thread>

namespace hasp::cmd {

namespace {
constexpr std::int64_t watch_ms = 100;
} // namespace

struct FrontLoops::Loop {
    Loop(std::unique_ptr<net::Reactor> own, net::Reactor& home, passon::KeeperPort& port)
        : reactor(std::move(own)), relay(*reactor, home, port),
          watcher(reactor->timers(), net::timer_call<&Loop::look>, this) {}

    void look() {
        see();
        watcher.arm(watch_ms);
    }
    void see() {
        ended = (*engine.*is)();
        left_cache = leaves_cache && engine->leave_cache();
    }

    std::unique_ptr<net::Reactor> reactor;
    SystemRandom random;
    passon::KeeperRelay relay;
    std::unique_ptr<passon::AccessLog> access_log;
    std::unique_ptr<passon::Engine> engine;
    net::Timer watcher;
    bool (passon::Engine::*is)() const = nullptr; // of its thread
    bool leaves_cache = false;
    std::atomic<bool> ended{false};
    std::atomic<bool> left_cache{false};
    std::thread thread;
};

FrontLoops::FrontLoops(net::Reactor& home, passon::KeeperPort& port, const Clock& clock,
                       const Log& log)
    : home_(home), port_(port), clock_(clock), log_(log) {}

FrontLoops::~FrontLoops() {
    stop();
    // One engine's end may be told to another's reactor.
    for (const auto& one : loops_) {
        one->engine.reset();
    }
}

Status FrontLoops::add(const std::shared_ptr<passon::LoopGroup>& group,
                       const passon::Settings& settings, const std::string& tier, Fd log,
                       billing::UsageLane lane, std::int64_t pause_us) {
    auto reactor = net::Reactor::create(clock_, pause_us);
    if (!reactor.ok()) {
        return reactor.error();
    }
    auto made = std::make_unique<Loop>(*std::move(reactor), home_, port_);
    made->access_log = std::make_unique<passon::AccessLog>(std::move(log), tier);
    made->engine = std::make_unique<passon::Engine>(
        passon::EngineParts{*made->reactor, made->random, made->relay, *made->access_log, log_,
                            lane, group},
        settings);
    loops_.push_back(std::move(made));
    return {};
}

Status FrontLoops::start() {
    for (const auto& one : loops_) {
        try {
            one->thread = std::thread([reactor = one->reactor.get()] { reactor->run(); });
        } catch (const std::system_error& error) {
            return fail(Code::failed, std::string("cannot make a thread: ") + error.what());
        }
    }
    return {};
}

void FrontLoops::stop() {
    for (const auto& one : loops_) {
        if (one->thread.joinable()) {
            one->reactor->stop_from_any_thread();
            one->thread.join();
        }
    }
}

void FrontLoops::each(const std::function<void(passon::Engine&)>& what) {
    for (const auto& one : loops_) {
        one->reactor->post_from_any_thread([loop = one.get(), what] { what(*loop->engine); });
    }
}

void FrontLoops::reopen_log(int fd) {
    for (const auto& one : loops_) {
        auto own = std::make_shared<Fd>(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
        if (!*own) {
            log_.error("front.access-log",
                       std::string("a loop writes on to the access log that was: ") +
                           std::strerror(errno));
            continue;
        }
        one->reactor->post_from_any_thread(
            [loop = one.get(), own] { loop->access_log->reopen(std::move(*own)); });
    }
}

void FrontLoops::drain() {
    each([](passon::Engine& one) { one.drain(); });
    watch(&passon::Engine::idle, false);
}

void FrontLoops::leave() {
    each([](passon::Engine& one) { one.leave(); });
    watch(&passon::Engine::left, true);
}

void FrontLoops::watch(bool (passon::Engine::*is)() const, bool cache) {
    for (const auto& one : loops_) {
        one->ended = false;
        one->reactor->post_from_any_thread([loop = one.get(), is, cache] {
            loop->is = is;
            loop->leaves_cache = cache;
            loop->watcher.arm(1);
        });
    }
}

void FrontLoops::look_now(const std::function<void()>& then) {
    if (loops_.empty()) {
        then();
        return;
    }
    const auto left = std::make_shared<std::size_t>(loops_.size()); // the home's
    const auto seen = [left, then] {
        if (--*left == 0) {
            then();
        }
    };
    for (const auto& one : loops_) {
        one->reactor->post_from_any_thread([loop = one.get(), home = &home_, seen] {
            loop->see();
            home->post_from_any_thread(seen);
        });
    }
}

bool FrontLoops::ended() const {
    return std::all_of(loops_.begin(), loops_.end(),
                       [](const auto& one) { return one->ended.load(); });
}

bool FrontLoops::left_cache() const {
    return std::all_of(loops_.begin(), loops_.end(),
                       [](const auto& one) { return one->left_cache.load(); });
}

} // namespace hasp::cmd

// The keeper: lib/maint's logic with sockets, threads and the usage ring around it. One loop over
// poll(2): it has few descriptors and no request path.
#include "base/random.h"
#include "base/text.h"
#include "billing/batch.h"
#include "billing/usage_ring.h"
#include "control.h"
#include "front_set.h"
#include "ipc/channel.h"
#include "maint/keeper.h"
#include "outside.h"
#include "process.h"
#include "sync/open_gate.h"
#include "sync/watch.h"
#include "version.h"
#include "worker_pool.h"

#include <cerrno>
#include <csignal>
#include <malloc.h>
#include <map>
#include <optional>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

namespace hasp::cmd {

namespace {

constexpr int turn_ms = 200; // how often usage is taken from the ring
// As soon as a turn's harvest fills a batch, the next one comes earlier, before the ring is full.
constexpr int busy_turn_ms = 20; // after a turn that brought so many:
constexpr std::size_t busy_events = 1'000;
constexpr std::size_t admin_clients_max = 64;
// What the pool's work freed between what is kept goes back to the system so long after the last of
// it, and so long after the first of work that does not end.
constexpr std::int64_t rests_after_us = 2'000'000;
constexpr std::int64_t works_for_us = 10'000'000;
constexpr std::int64_t rejoin_after_us = 500'000;

class KeeperProcess final : public maint::KeeperPorts {
  public:
    KeeperProcess(const ProcessOptions& options, const Log& log)
        : options_(options), log_(log),
          // A scanner that hangs keeps its three lines busy, and nobody else: small and large
          // contents of users, and a release.
          pool_(
              static_cast<std::size_t>(options.config.login.argon2_threads) + 1 +
              (options.config.scan.clamd.empty() && options.config.scan.command.empty() ? 0 : 3)) {}

    int run() {
        auto watch = sync::open_watch(options_.state, clock_);
        if (watch.ok()) {
            watch_ = *std::move(watch);
            log_.info("files.watch", "changed files are noticed by " + watch_->name());
        } else {
            log_.warn("files.watch", watch.error().message);
        }
        auto keeper = maint::Keeper::open(
            {options_.state, options_.config, hasp_version, true, false, {}, watch_}, *this, clock_,
            random_, log_);
        if (!keeper.ok()) {
            log_.error("keeper.open", keeper.error().message);
            return 1;
        }
        keeper_ = *std::move(keeper);
        auto admin = ipc::listen_unix(options_.state + "/admin.sock", 0600);
        if (!admin.ok()) {
            log_.error("keeper.admin", admin.error().message);
            return 1;
        }
        admin_ = *std::move(admin);
        if (const Status said = send_control(control_fd, "ready"); !said.ok()) {
            log_.error("keeper.ready", said.error().message);
        }
        while (!stopping_) {
            turn();
        }
        take_usage();
        keeper_->finish();
        ::unlink((options_.state + "/admin.sock").c_str());
        return 0;
    }

    void send_front(std::string_view head, std::string_view body,
                    std::span<const int> fds) override {
        for (const FrontNumber number : front_set_.to(head)) {
            send(fronts_.at(number).channel, head, body, fds, "front");
        }
    }
    void send_spawner(std::string_view head, std::string_view body) override {
        send(spawner_, head, body, {}, "spawner");
    }
    void answer_admin(std::uint64_t client, std::string_view head, std::string_view body) override {
        const auto at = clients_.find(client);
        if (at != clients_.end()) {
            send(at->second, head, body, {}, "a command");
        }
    }
    void background(std::function<void()> work, std::function<void()> done) override {
        pool_.run(std::move(work), std::move(done));
    }
    void outside_http(maint::OutsideCall call,
                      std::function<void(Result<maint::OutsideAnswer>)> done) override {
        auto answer = std::make_shared<Result<maint::OutsideAnswer>>(maint::OutsideAnswer{});
        outside_.run([call = std::move(call), answer] { *answer = call_outside(call); },
                     [answer, done = std::move(done)] { done(std::move(*answer)); });
    }
    void outside_command(std::vector<std::string> words,
                         std::function<void(Status)> done) override {
        auto ended = std::make_shared<Status>();
        outside_.run([words = std::move(words), ended] { *ended = run_outside(words); },
                     [ended, done = std::move(done)] { done(*ended); });
    }

  private:
    void send(std::unique_ptr<ipc::Channel>& channel, std::string_view head, std::string_view body,
              std::span<const int> fds, const char* whom) {
        if (channel == nullptr || channel->closed()) {
            return;
        }
        if (const Status sent = channel->send(head, body, fds); !sent.ok()) {
            log_.error("keeper.send", sent.error().message, {{"to", whom}});
            channel->close();
        }
    }

    static short interest(const std::unique_ptr<ipc::Channel>& channel) {
        return static_cast<short>(POLLIN | (channel->wants_write() ? POLLOUT : 0));
    }

    void turn() {
        std::vector<pollfd> fds{
            {control_fd, POLLIN, 0},
            {pool_.fd(), POLLIN, 0},
            {outside_.fd(), POLLIN, 0},
            {clients_.size() < admin_clients_max ? admin_.get() : -1, POLLIN, 0},
            {watch_ != nullptr ? watch_->fd() : -1, POLLIN, 0},
            {gate_ != nullptr ? gate_->fd() : -1, POLLIN, 0}};
        const std::size_t own = fds.size();
        std::vector<std::unique_ptr<ipc::Channel>*> channels;
        const auto watch = [&](std::unique_ptr<ipc::Channel>& channel) {
            if (channel != nullptr && !channel->closed()) {
                fds.push_back({channel->fd(), interest(channel), 0});
                channels.push_back(&channel);
            }
        };
        for (auto& [number, front] : fronts_) {
            watch(front.channel);
        }
        watch(spawner_);
        for (auto& [id, client] : clients_) {
            watch(client);
        }
        ::poll(fds.data(), fds.size(), more_ ? 0 : busy_ ? busy_turn_ms : turn_ms);
        more_ = false;
        for (std::size_t i = 0; i < channels.size(); ++i) {
            if (fds[own + i].revents != 0 && !(*channels[i])->closed()) {
                // One bounded helping each: a side that always has more must not keep the others,
                // and operators' commands, waiting.
                more_ = (*channels[i])->on_ready() || more_;
            }
        }
        if ((fds[1].revents & POLLIN) != 0) {
            pool_.run_done();
            worked_us_ = clock_.boot_us();
            began_us_ = began_us_ == 0 ? worked_us_ : began_us_;
        }
        if ((fds[2].revents & POLLIN) != 0) {
            outside_.run_done();
        }
        if ((fds[3].revents & POLLIN) != 0) {
            accept_client();
        }
        if ((fds[4].revents & POLLIN) != 0) {
            keeper_->noticed();
        }
        if ((fds[5].revents & POLLIN) != 0) {
            keeper_->opened();
        }
        std::erase_if(clients_, [](const auto& client) { return client.second->closed(); });
        take_control();
        const std::int64_t now = clock_.boot_us();
        if (busy_ && now - ticked_us_ >= busy_turn_ms * 1000) {
            take_usage();
        }
        if (now - ticked_us_ >= turn_ms * 1000) {
            ticked_us_ = now;
            take_usage();
            keeper_->tick();
            for (auto& [number, front] : fronts_) {
                repair(front.channel, front.broken_us, "front " + std::to_string(number));
            }
            repair(spawner_, spawner_broken_us_, "spawner");
            if (began_us_ != 0 &&
                (now - worked_us_ >= rests_after_us || now - began_us_ >= works_for_us)) {
                began_us_ = 0;
                ::malloc_trim(0);
            }
        }
        keeper_->flush();
    }

    // A channel that overflowed or broke the protocol is closed though both processes live. One
    // that ended with its process is replaced by the supervisor within this time.
    void repair(const std::unique_ptr<ipc::Channel>& channel, std::int64_t& broken_us,
                const std::string& whom) {
        const std::int64_t now = clock_.boot_us();
        if (channel == nullptr || !channel->closed()) {
            broken_us = 0;
        } else if (broken_us == 0) {
            broken_us = now;
        } else if (now - broken_us >= rejoin_after_us) {
            broken_us = now;
            log_.warn("keeper.rejoin", "the channel is broken and is made anew", {{"to", whom}});
            if (const Status asked = send_control(control_fd, "rejoin " + whom); !asked.ok()) {
                log_.error("keeper.rejoin", asked.error().message);
            }
        }
    }

    void take_control() {
        for (;;) {
            auto message = receive_control(control_fd);
            if (!message.ok()) {
                stopping_ = true; // the supervisor is gone
                return;
            }
            if (!*message) {
                return;
            }
            ControlMessage& m = **message;
            if (m.verb == "peer" && m.rest.starts_with("front ")) {
                take_front(static_cast<FrontNumber>(parse_u64(m.rest.substr(6)).value_or(0)),
                           std::move(m.fd));
            } else if (m.verb == "gone") {
                lose_front(static_cast<FrontNumber>(parse_u64(m.rest).value_or(0)));
            } else if (m.verb == "peer" && m.rest == "spawner") {
                spawner_ = std::make_unique<ipc::Channel>(
                    std::move(m.fd),
                    ipc::Channel::Callbacks{[this](ipc::Frame&& f) { keeper_->on_spawner(f); },
                                            [](const Error&) {}});
                keeper_->spawner_connected();
            } else if (m.verb == "ring") {
                auto ring = billing::UsageRing::map(m.fd.get());
                if (ring.ok()) {
                    ring_.emplace(*std::move(ring));
                } else {
                    log_.error("keeper.ring", ring.error().message);
                }
            } else if (m.verb == "gate") {
                take_gate(std::move(m.fd));
            } else if (m.verb == "pids") {
                std::map<std::string, std::int64_t> pids;
                for (const std::string_view pair : split(m.rest, ' ')) {
                    const std::size_t eq = pair.find('=');
                    if (eq != std::string_view::npos) {
                        pids[std::string(pair.substr(0, eq))] =
                            static_cast<std::int64_t>(parse_u64(pair.substr(eq + 1)).value_or(0));
                    }
                }
                keeper_->set_pids(pids);
            } else if (m.verb == "drain") {
                stopping_ = true;
            }
        }
    }

    void take_gate(Fd group) {
        auto gate = sync::open_gate(std::move(group), options_.state);
        if (!gate.ok()) { // whoever opens what was held before waits for another keeper
            log_.error("keeper.gate", gate.error().message);
            stopping_ = true;
            return;
        }
        gate_ = *std::move(gate);
        if (const Status can = gate_->can_hold(); !can.ok() && options_.config.files.on_demand) {
            log_.info("files.on_demand", "users' files come whole: " + can.error().message);
        }
        keeper_->come_later(gate_);
    }

    void take_front(FrontNumber number, Fd socket) {
        if (front_set_.has(number)) {
            lose_front(number); // its channel had broken
        }
        fronts_[number] = {
            std::make_unique<ipc::Channel>(
                std::move(socket), ipc::Channel::Callbacks{[this, number](ipc::Frame&& f) {
                                                               hear_front(number, std::move(f));
                                                           },
                                                           [](const Error&) {}}),
            0};
        front_set_.connected(number);
        keeper_->front_connected();
    }

    void hear_front(FrontNumber number, ipc::Frame&& frame) {
        for (const ipc::Frame& one : front_set_.from(number, std::move(frame))) {
            keeper_->on_front(one);
        }
    }

    void lose_front(FrontNumber number) {
        for (const ipc::Frame& one : front_set_.gone(number)) {
            keeper_->on_front(one);
        }
        fronts_.erase(number);
        if (front_set_.empty()) {
            keeper_->front_gone();
        }
    }

    void accept_client() {
        Fd socket(::accept4(admin_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!socket) {
            return;
        }
        ucred peer{};
        socklen_t size = sizeof peer;
        if (::getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
            (peer.uid != 0 && peer.uid != ::geteuid())) {
            log_.warn("admin.refused", "a command of another user was refused",
                      {{"uid", std::to_string(peer.uid)}});
            return;
        }
        const std::uint64_t id = ++next_client_;
        clients_[id] = std::make_unique<ipc::Channel>(
            std::move(socket), ipc::Channel::Callbacks{[this, id](ipc::Frame&& f) {
                                                           // A command sees what was used before it
                                                           // was given.
                                                           take_usage();
                                                           keeper_->on_admin(id, f);
                                                       },
                                                       [](const Error&) {}});
    }

    void take_usage() {
        if (!ring_) {
            return;
        }
        std::size_t taken = 0;
        for (std::uint32_t lane = 0; lane < ring_->lanes(); ++lane) {
            for (auto batch = ring_->peek(lane); !batch.records.empty();
                 batch = ring_->peek(lane)) {
                const std::size_t durable = keeper_->on_usage(
                    {ring_->id(), lane, batch.first, ring_->dropped(lane)}, batch.records);
                ring_->take(lane, durable);
                taken += durable;
                if (durable < batch.records.size()) {
                    break; // the disk refuses: they wait in the ring
                }
            }
        }
        busy_ = taken >= busy_events;
    }

    const ProcessOptions& options_;
    const Log& log_;
    SystemClock clock_;
    SystemRandom random_;
    std::shared_ptr<sync::OpenGate> gate_; // the same
    std::shared_ptr<sync::Watch> watch_;   // before the keeper: it may be null
    std::unique_ptr<maint::Keeper> keeper_;
    WorkerPool pool_;       // after the keeper: its threads work on what the keeper owns
    WorkerPool outside_{1}; // servers elsewhere must not keep a log-in waiting
    struct Front {
        std::unique_ptr<ipc::Channel> channel;
        std::int64_t broken_us = 0;
    };
    std::map<FrontNumber, Front> fronts_;
    FrontSet front_set_;
    std::unique_ptr<ipc::Channel> spawner_;
    Fd admin_;
    std::map<std::uint64_t, std::unique_ptr<ipc::Channel>> clients_;
    std::uint64_t next_client_ = 0;
    std::optional<billing::UsageRing> ring_;
    std::int64_t ticked_us_ = 0;
    std::int64_t began_us_ = 0;  // the pool's work since memory was last given back; 0: none
    std::int64_t worked_us_ = 0; // the last of it
    std::int64_t spawner_broken_us_ = 0;
    bool more_ = false; // a channel had more than one helping
    bool busy_ = false;
    bool stopping_ = false;
};

// What a large piece of work has freed goes back to the system. glibc raises its own limits with
// the largest piece that was ever freed and then keeps as much, in each of eight arenas a
// processor.
void give_memory_back() {
    ::mallopt(M_MMAP_THRESHOLD, 256 << 10);
    ::mallopt(M_TRIM_THRESHOLD, 512 << 10);
    ::mallopt(M_ARENA_MAX, 2);
}

} // namespace

int run_keeper(const ProcessOptions& options, const Log& log) {
    // Its memory holds keys: no core dumps, no ptrace by others.
    ::prctl(PR_SET_DUMPABLE, 0);
    // A file that may not grow is an error of its write, as a full disk is, and no reason to die.
    ::signal(SIGXFSZ, SIG_IGN);
    give_memory_back();
    KeeperProcess process(options, log);
    return process.run();
}

} // namespace hasp::cmd

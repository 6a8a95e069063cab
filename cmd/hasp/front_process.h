// The process front as one object: its life is in process_front.cpp, what the keeper orders in
// front_orders.cpp, what it makes of the machine and of hasp.toml in front_engine.cpp. One thread,
// the home's.
#pragma once

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "billing/usage_ring.h"
#include "front_loops.h"
#include "front_port.h"
#include "front_set.h"
#include "neighbours.h"
#include "net/reactor.h"
#include "net/tls.h"
#include "passon/engine.h"
#include "process.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace hasp::cmd {

class FrontProcess final : private net::Handler {
  public:
    FrontProcess(const ProcessOptions& options, const Log& log)
        : options_(options), log_(log), drain_timer_(nullptr) {}
    // Until it is told to end, or cannot begin: the exit code.
    int run();

  private:
    // A socket that the supervisor gave, until the engine takes it.
    struct Socket {
        std::string kind;
        Fd fd;
    };
    // process_front.cpp
    // Shells and services set 1024 for programs that use select(2), which front does not: each user
    // may take two. The hard limit is the operator's.
    void raise_descriptor_limit();
    int fail_start(const Error& error);
    // Until "start": what the supervisor hands over. Then what is read from the machine; then the
    // jail.
    Status prepare();
    // "LANE", or "LANE FIRST COUNT" where there are more for further loops.
    void take_lanes(const std::string& text);
    void on_edges(net::Edges) override { take_control(); }
    void end();
    void take_control();
    void lead();
    void drain();
    // Another front has taken over. What was begun here goes on for as long as the supervisor lets
    // it.
    void leave();
    void leave_step();
    void drain_step();
    void drained();

    // front_orders.cpp
    void obey(const Json& head, ipc::Frame&& frame);
    // The home first, the others on their own threads.
    void everywhere(const std::function<void(passon::Engine&)>& what);
    void confirm_answers();
    void retire(const std::string& path, bool cut_tunnels, std::int64_t ask);
    Status take_peers(const Json& peers, const std::string& chain, const std::string& key);
    Status take_credentials(const Json& head);
    void take_parent_addresses(const Json& head);
    void tell_link();
    void take_snapshot(int fd);
    // Of the keeper's, which asked for it: at each start, and when there is a new one.
    void take_certificate(const Json& head);

    // front_engine.cpp
    // As many as there are lanes for: each writes its own.
    std::size_t loop_count() const;
    Status make_engine(const std::string& cookie);
    void use_cache();
    void tell_traffic();
    void tell_traffic_often();
    // What waits for its certificate waits unanswered: users are shown none that they cannot
    // trust.
    void listen();
    Status read_certificate();
    Status prepare_upstream_tls();
    // The new one is for new connections; nothing changes where it cannot be used.
    Status use_certificate(const std::string& chain, const std::string& key);
    void renew_certificate(const Fd& key_file);

    const ProcessOptions& options_;
    const Log& log_;
    SystemClock clock_;
    SystemRandom random_;
    std::unique_ptr<net::Reactor> reactor_;
    std::unique_ptr<FrontPort> port_;
    std::vector<Socket> listening_;
    Fd access_fd_;
    Fd cache_fd_;
    Fd certificate_fd_; // until its key comes
    std::optional<billing::UsageRing> ring_;
    std::shared_ptr<const net::TlsContext> web_tls_;
    std::shared_ptr<const net::TlsContext> upstream_tls_;
    std::shared_ptr<const net::TlsContext> link_tls_;
    std::unique_ptr<passon::AccessLog> access_log_;
    std::unique_ptr<passon::Engine> engine_; // the home's
    std::unique_ptr<FrontLoops> loops_;      // there while engine_ is
    std::unique_ptr<net::Timer> drain_timer_;
    std::unique_ptr<net::Timer> traffic_timer_;
    std::uint64_t traffic_told_ = 0;
    std::int64_t traffic_since_us_ = 0; // when this front began to count, boot clock
    int traffic_often_left_ = 0;
    std::int64_t drain_until_ms_ = 0;
    std::int64_t gone_ms_ = 0; // since when no connection is left
    std::shared_ptr<const Neighbours> known_ = std::make_shared<const Neighbours>();
    std::string peers_taken_;
    std::string chain_pem_;
    passon::LinkCredentials link_;
    FrontNumber number_ = 0;
    std::uint32_t lane_ = 0;
    std::uint32_t more_lanes_ = 0; // the first of those for further loops
    std::uint32_t more_lanes_count_ = 0;
    bool leads_ = false;   // opens the control stream to the parent
    bool leaving_ = false; // another leads, for good
    bool ended_ = false;
    int exit_code_ = 0;
    bool cache_left_ = false;
    bool serving_ = false;
};

} // namespace hasp::cmd

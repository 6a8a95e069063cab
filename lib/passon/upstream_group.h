// The addresses of one upstream app: which of them gets the next request, and which are down.
//
// A request goes to the address that smooth weighted round robin names: each gets its weight added,
// the largest is taken and loses the sum of all weights. An address is down when it cannot be
// connected to, when too many requests or checks of it failed; then the others take its share. What
// brings it back is a check: the manifest's, or a connect. Without checks in the manifest nobody
// knocks at an address of an app that nobody uses. Of several loops, the home alone makes the
// manifest's checks, each counts the failures of its own requests, and what one finds out it tells
// the others. One thread: the loop's.
#pragma once

#include "endpoint.h"
#include "health_check.h"
#include "metrics.h"
#include "net/timer.h"
#include "passon/keeper_port.h"
#include "registry/snapshot.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace hasp::passon {

class Core;
class UpstreamGroup;

// One address. Its endpoint outlives it, with the connections and the down-state.
class Peer {
  public:
    Peer(Core& core, UpstreamGroup& group, Endpoint& endpoint, std::uint32_t weight);
    ~Peer();
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;

    Endpoint& at;
    const std::int64_t weight;
    std::int64_t current = 0; // of the round robin

    // What became of a request here. Each may mark the address down or up.
    void connect_failed(const std::string& why); // at once
    void connected();                            // up again, when this request was the try
    void request_failed(const std::string& why); // counted: down with UpstreamHealth::errors
    void served() { at.backoff_ms = at.down ? at.backoff_ms : 0; }

    // Another loop of this front has found that it is down, or up (why empty) again.
    void follow(const std::string& why);

    // For HealthCheck, which is over. Empty: good.
    void checked(const std::string& why);

    std::uint64_t requests = 0;
    std::uint64_t failures = 0; // of requests
    std::uint64_t checks = 0;
    std::uint64_t checks_failed = 0;

  private:
    friend class UpstreamGroup;
    void on_timer();
    void begin_check();
    void begin_checks();
    void look_again();
    void arm_after(std::int64_t ms);
    void go_down(const std::string& why);
    void go_up();
    void stand_down(const std::string& why);
    void stand_up();
    void tell_loops();
    bool is_checked_here() const;

    Core& core_;
    UpstreamGroup& group_;
    net::Timer timer_; // of the next check
    std::unique_ptr<HealthCheck> check_;
    std::int64_t errors_from_ms_ = 0;
    std::uint32_t errors_ = 0; // since errors_from_ms_
    std::uint32_t failed_in_a_row_ = 0;
    std::uint32_t good_in_a_row_ = 0;
    bool try_due_ = false; // the next request, or one beside it, finds out whether it is there
};

class UpstreamGroup {
  public:
    // The rules when an address is down; times in milliseconds.
    struct Rules {
        std::string path;
        std::int64_t interval_ms, timeout_ms, error_window_ms;
        int status_min, status_max;
        std::uint32_t fails, passes, errors;
    };

    UpstreamGroup(Core& core, const registry::App& app, std::string fingerprint);
    ~UpstreamGroup();
    UpstreamGroup(const UpstreamGroup&) = delete;
    UpstreamGroup& operator=(const UpstreamGroup&) = delete;

    // Where the next request goes to, but not to `except` while there is another. Null: all are
    // down, see why().
    Peer* pick(const Endpoint* except = nullptr);
    // Whether another address than this one is up.
    bool has_other(const Endpoint& than) const;
    // Of all being down, for people: since when, and why.
    std::string why() const;
    // An address has gone down or come up.
    void changed();
    void tell_keeper() const;

    const std::string& app() const { return app_; }
    const std::string& fingerprint() const { return fingerprint_; }
    const Rules& rules() const { return rules_; }
    bool is_checked() const { return !rules_.path.empty(); }
    // Header lines that every check carries.
    const std::string& check_lines() const { return check_lines_; }
    const std::vector<std::unique_ptr<Peer>>& peers() const { return peers_; }
    UpstreamState state() const;
    // A request came since this was asked last.
    bool was_asked();

  private:
    Peer* pick_among(const Endpoint* except);
    void begin_due_tries();
    Core& core_;
    const std::string app_;
    const std::string fingerprint_;
    Rules rules_;
    std::string check_lines_;
    std::vector<std::unique_ptr<Peer>> peers_;
    std::size_t down_count_ = 0;
    std::int64_t all_down_since_us_ = 0; // wall clock
    bool asked_ = false;
};

// The groups of all upstream apps that are in use or checked, by name.
class Upstreams {
  public:
    explicit Upstreams(Core& core) : core_(core) {}
    // As the newest snapshot has the app, whatever an older request knows of it. Null: it is no
    // upstream that is held here, any more.
    UpstreamGroup* find(std::string_view app);
    // Groups whose app has gone or is another now end; state of an address that stays is kept.
    void follow(const registry::Snapshot& snapshot);
    // For the metrics, by app and address.
    std::vector<Metrics::AddressRow> rows() const;
    void clear() { groups_.clear(); }
    std::size_t checking = 0; // checks under way

  private:
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const {
            return std::hash<std::string_view>{}(text);
        }
    };
    UpstreamGroup& get(const registry::App& app);

    Core& core_;
    std::unordered_map<std::string, std::unique_ptr<UpstreamGroup>, Hash, std::equal_to<>> groups_;
};

} // namespace hasp::passon

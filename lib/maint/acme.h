// Certificates for browsers from an authority outside, by ACME with DNS-01: for requests that were
// made on the boxes, one order at a time, each proven by records that an operator's program sets in
// the DNS. What is under way survives a restart. One thread; files in the keys' folder.
#pragma once

#include "acme_order.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "maint/config.h"
#include "maint/keeper_ports.h"
#include "maint/tier_identity.h"
#include "trust/web_ca.h"
#include "web_zones.h"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

namespace hasp::maint {

// Requests of all tiers below that are kept at a time.
inline constexpr std::size_t acme_requests_max = 1000;
// New ones that one tier directly below brings, of its own or of those below it: which of them asks
// is only what it says.
inline constexpr int acme_requests_a_day_max = 10;

class Acme {
  public:
    struct World {
        KeeperPorts& ports;
        const Clock& clock; // its wall time is trusted
        Random& random;
        const Log& log;
        const Config& config;
        const TierIdentity& me;
        std::string keys_folder;
        std::function<void()> changed; // status is another
    };
    explicit Acme(World world) : world_(std::move(world)) {}

    // The account and the orders under way. What was of another directory is forgotten, and orders
    // for names that are not their tier's any more.
    Status load();
    bool there() const { return !world_.config.acme.directory.empty(); }

    // The chain, or when to ask again and what is waited for. The same key and names again go on
    // where they are; another one of the same tier takes its place. What is waited for is for the
    // tier to read: nothing that the operator's program said. refused: names that are not the
    // tier's. try_later: a limit.
    struct Answer {
        std::string chain_pem; // empty: not yet
        std::int64_t wait_s = 0;
        std::string why;
    };
    Result<Answer> certify(const trust::TierName& tier, const std::string& request_der);

    void tick();
    // {directory, account, orders: [{tier, names, state, why?}]}: for this tier's operator alone.
    Json show() const;

  private:
    struct Job {
        std::string id; // SHA-256 of the key and the names that are asked for, hex
        std::string tier;
        std::vector<std::string> names;
        std::string request_der;
        std::string url;    // of its order; empty: none yet
        std::string chain;  // ready
        std::string why;    // it failed last
        std::string secret; // about why, for this tier alone
        int failures = 0;
        std::int64_t not_before_us = 0; // boot clock
        std::int64_t asked_us = 0;      // boot clock, last
        std::int64_t ends_us = 0;       // wall time, of the chain
    };
    struct Requests {
        std::int64_t since_us = 0;
        int count = 0;
    };
    std::string file() const { return world_.keys_folder + "/acme.json"; }
    Job* find(const std::string& id);
    Result<Job> read_job(const Json& kept) const;
    bool may(const trust::TierName& tier, const trust::WebRequest& request,
             std::string* first_bad = nullptr) const;
    Status count(const trust::TierName& tier);
    // Whether the chain can be used, and until when.
    Status look_at_chain(Job& job) const;
    void begin(Job& job);
    void run();
    void ended(bool good);
    void failed(Job& job, const AcmeProblem& problem, bool resumes);
    void forget_old();
    void save();

    World world_;
    WebZones zones_;
    std::optional<AcmeAccount> account_;
    std::deque<Job> jobs_;                  // in the order in which they came
    std::map<std::string, Requests> begun_; // by the tier directly below, in the last day
    std::string active_;                    // id; empty: none
    std::unique_ptr<AcmeOrder> order_;
    bool busy_ = false; // something outside is being waited for
    std::int64_t again_us_ = 0;
    // The server is in the way of all orders: none is begun before this (boot clock).
    std::int64_t no_order_before_us_ = 0;
    int server_failures_ = 0;  // in a row
    std::int64_t kept_us_ = 0; // boot clock
};

} // namespace hasp::maint

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
// New ones of one tier.
inline constexpr int acme_requests_a_day_max = 10;

class Acme {
  public:
    struct World {
        KeeperPorts& ports;
        const Clock& clock;
        Random& random;
        const Log& log;
        const Config& config;
        const TierIdentity& me;
        std::string keys_folder;
        std::function<void()> changed; // status is another
    };
    explicit Acme(World world) : world_(std::move(world)) {}

    // The account and the orders under way. What was of another directory is forgotten.
    Status load();
    bool there() const { return !world_.config.acme.directory.empty(); }

    // The chain, or when to ask again and what is waited for. The same key and names again go on
    // where they are; another one of the same tier takes its place. refused: names that are not the
    // tier's.
    struct Answer {
        std::string chain_pem; // empty: not yet
        std::int64_t wait_s = 0;
        std::string why;
    };
    Result<Answer> certify(const trust::TierName& tier, const std::string& request_der);

    void tick();
    // {directory, account, orders: [{tier, names, state, why?}]}
    Json show() const;

  private:
    struct Job {
        std::string id; // SHA-256 of the key and the names that are asked for, hex
        std::string tier;
        std::vector<std::string> names;
        std::string request_der;
        std::string url;   // of its order; empty: none yet
        std::string chain; // ready
        std::string why;   // it failed last
        int failures = 0;
        std::int64_t not_before_us = 0; // boot clock
        std::int64_t asked_us = 0;      // boot clock, last
    };
    struct Requests {
        std::int64_t since_us = 0;
        int count = 0;
    };
    std::string file() const { return world_.keys_folder + "/acme.json"; }
    Job* find(const std::string& id);
    void begin(Job& job);
    void run();
    void ended(bool good);
    void forget_old();
    void save();

    World world_;
    WebZones zones_;
    std::optional<AcmeAccount> account_;
    std::deque<Job> jobs_;                  // in the order in which they came
    std::map<std::string, Requests> begun_; // by tier
    std::string active_;                    // id; empty: none
    std::unique_ptr<AcmeOrder> order_;
    bool busy_ = false; // something outside is being waited for
    std::int64_t again_us_ = 0;
};

} // namespace hasp::maint

// A run: the realm's machines, the network between them, people and operators who act, faults, and
// the invariants that are held against what the oracle knows.
#pragma once

#include "engine.h"
#include "files.h"
#include "machine.h"
#include "network.h"
#include "oracle.h"

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace hasp::sim {

struct Scenario {
    std::uint64_t seed = 1;
    std::string replay; // what repeats this run; empty: the test that runs one seed
    bool print = false; // HASP_SIM_TRACE: every line of the trace, and the keepers' logs
    std::int64_t length_us = 75 * second;  // of acts and faults; then everything heals
    std::int64_t act_every_us = 1100 * ms; // on average
    std::int64_t fault_every_us = 8 * second;
    bool faults = true;
};

// What the world was like when something was asked.
struct Moment {
    std::int64_t at_us = 0;
    std::uint64_t links = 0;    // changes of links
    std::uint64_t failures = 0; // of disks
    bool joined = false;        // every link was up
};

class World final : public Surroundings {
  public:
    explicit World(const Scenario& scenario);
    ~World() override;

    // The acts, then peace, then what must hold in the end. Nothing: every invariant held.
    std::optional<Violation> run();
    const std::optional<Violation>& violation() const { return violation_; }
    // The seed, the invariant, the command that replays it, and the last lines of the trace.
    std::string report() const;

    // Parts of run(), for scenarios of their own.
    void start();
    void heal();
    void check_converged();
    void check_usage();

    Engine engine;
    Network network{engine};
    Machine& machine(const std::string& name);
    std::vector<std::unique_ptr<Machine>> machines;
    std::deque<Account> accounts;
    std::deque<Session> sessions;
    std::map<std::string, Watched> watched; // by child
    // (child, user) and (child, app)
    std::map<std::pair<std::string, std::string>, Possible<bool>> allowed;
    std::map<std::pair<std::string, std::string>, Possible<bool>> assigned;
    std::map<std::string, Usage> usage; // by the request's id
    UserFiles files{*this};
    std::uint64_t acts_done = 0; // acknowledged

    // For planted bugs: a message that leaves a machine; false: it is lost.
    std::function<bool(Message&)> tamper;

    void violate(const std::string& invariant, const std::string& what);
    void hold(bool condition, const std::string& invariant, const std::string& what) {
        if (!condition) {
            violate(invariant, what);
        }
    }

    // Acts (acts.cpp). Each is drawn from the seed; its answer changes what the oracle knows.
    void act();
    void log_in(Account& account, Machine& at, const std::string& password);
    void visit(Session& session);
    void log_out(Session& session);
    void entitle(Account& account, const std::string& app, bool give);
    void change_password(Account& account);
    void allow(Machine& child, Account& account, bool may);
    // Requests that were served there: as many records in the ring.
    void use(Machine& at, Account& account, const std::string& app, std::uint64_t requests);
    void work_on_files();
    void take_app_away(Machine& child, const std::string& app);

    // Faults (faults.cpp).
    void fault();
    bool disturbed(const Machine& machine, std::int64_t since_us) const;
    void disturb(const Machine& machine);
    void step_clock(Machine& machine, std::int64_t by_us);

    void link_bytes(Machine& from, std::int64_t link, const std::string& bytes) override;
    void cut_neighbour(Machine& from, const std::string& neighbour) override;
    void went_down(Machine& machine) override;
    void came_up(Machine& machine) override;
    void power_went(Machine& machine) override;
    void failed_to_start(Machine& machine, const Error& error) override;
    void kept_usage(Machine& machine, std::span<const billing::UsageRecord> records) override;

  private:
    void check_levels();
    void check_people();
    void check_sessions();
    void act_later();
    void fault_later();
    bool watch(Message& message);
    void watch_lease(const Message& message);
    void fill_disk(Machine& machine);
    // Every link is up, and both ends know it.
    bool all_joined() const;
    std::uint64_t links_changed() const;
    std::uint64_t disks_failed() const;
    void judge_log_in(Account& account, Machine& at, const std::string& password,
                      const Moment& asked, const Page& page);
    void judge_visit(Session& session, std::int64_t asked_us, bool somebody,
                     const std::string& user);
    // No machine and no disk failed since then.
    bool smooth_since(const Moment& then) const;
    Moment moment() const {
        return {engine.now_us(), links_changed(), disks_failed(), all_joined()};
    }

    Scenario scenario_;
    bool peace_ = false;
    std::set<const Machine*> stepped_;                     // their clocks were set wrong
    std::map<const Machine*, std::int64_t> disturbed_us_;  // disk or clock faults, crashes
    std::map<const Machine*, std::int64_t> disk_fault_us_; // full, or failing
    std::optional<Violation> violation_;
};

} // namespace hasp::sim

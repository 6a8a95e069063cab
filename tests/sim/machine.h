// One tier's machine: the product's own keeper on a simulated disk and clock, and in the place of
// front the few lines that ask what front asks. It can be killed, lose its power at any operation
// of its disk, and start again.
//
// In memory and lost at a power cut: the stores (SQLite) and users' files. On real files, written
// once when the tier was made and never changed by a run: its keys and the trees of releases;
// crashes of those are shown with the real binary.
#pragma once

#include "base/clock.h"
#include "base/log.h"
#include "billing/usage_ring.h"
#include "disk.h"
#include "engine.h"
#include "json_tools.h"
#include "maint/keeper.h"
#include "registry/snapshot.h"
#include "vfs.h"
#include "watch.h"

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace hasp::sim {

// A machine's clocks: the wall clock steps and drifts, the boot clock does neither and starts anew
// at a reboot.
class MachineClock final : public Clock {
  public:
    explicit MachineClock(const Engine& engine) : engine_(engine), booted_us_(engine.now_us()) {}
    std::int64_t wall_us() const override {
        return engine_.now_us() + step_us_ + (engine_.now_us() - begin_us) / 1'000'000 * drift_ppm_;
    }
    std::int64_t boot_us() const override { return engine_.now_us() - booted_us_ + second; }
    std::string boot_id() const override { return "boot " + std::to_string(boots_); }

    void step(std::int64_t by_us) { step_us_ += by_us; }
    void set_right() { step_us_ = 0; }
    void drift(std::int64_t ppm) { drift_ppm_ = ppm; }
    void reboot() {
        ++boots_;
        booted_us_ = engine_.now_us();
    }
    std::int64_t error_us() const { return wall_us() - engine_.now_us(); }

  private:
    const Engine& engine_;
    std::int64_t step_us_ = 0;
    std::int64_t drift_ppm_ = 0;
    std::int64_t booted_us_;
    std::uint64_t boots_ = 1;
};

struct Page {
    int status = 0; // 0: no answer, the machine went down
    std::string body;
    std::vector<std::pair<std::string, std::string>> headers;
    std::string cookie() const; // the secret that was set; empty: none
};

class Machine;

// What the world around a machine hears from it.
class Surroundings {
  public:
    virtual ~Surroundings() = default;
    virtual void link_bytes(Machine& from, std::int64_t link, const std::string& bytes) = 0;
    virtual void cut_neighbour(Machine& from, const std::string& neighbour) = 0;
    virtual void went_down(Machine& machine) = 0;
    virtual void came_up(Machine& machine) = 0;
    // Its disk has forgotten what was not durable, and nothing runs on it yet.
    virtual void power_went(Machine& machine) = 0;
    // It did not open its stores.
    virtual void failed_to_start(Machine& machine, const Error& error) = 0;
    // The keeper says that this usage is in its ledger.
    virtual void kept_usage(Machine& machine, std::span<const billing::UsageRecord> records) = 0;
};

class Machine final : public maint::KeeperPorts {
  public:
    Machine(Engine& engine, Surroundings& around, std::string name, std::string state,
            std::unique_ptr<Disk> disk, maint::Config config);
    ~Machine() override;

    const std::string name;
    const std::string state; // the real folder
    MachineClock clock;

    Disk& disk() { return *disk_; }
    bool up() const { return keeper_ != nullptr; }
    maint::Keeper& keeper() { return *keeper_; }
    // Counts processes: what was asked of an earlier one gets no answer.
    std::uint64_t life() const { return life_; }

    void start();
    void stop(); // as an operator does: everything is closed in order
    enum class End : unsigned char { killed, power_lost };
    void crash(End end);
    // In the middle of what it does next: after so many more changes of its disk.
    void crash_within(End end, std::uint64_t changes);
    // When the next usage is kept, and before front hears that its ring may be freed. Nothing: not.
    void crash_before_freeing(std::optional<End> end) { end_before_freeing_ = end; }

    // What front and operators ask. `done` is called once: with the answer, or without one when the
    // machine went down.
    void admin(const std::string& command, const Json& args,
               std::function<void(std::optional<Result<Json>>)> done);
    void page(const Json& head, const std::string& body, std::function<void(Page)> done);
    void log_in(const std::string& user, const std::string& password,
                std::function<void(Page)> done);
    void log_out(const std::string& cookie, std::function<void(Page)> done);
    // The identity, null for nobody; nothing when the machine went down.
    void who(const Json& question, std::function<void(std::optional<Json>)> done);
    void who_cookie(const std::string& cookie, std::function<void(std::optional<Json>)> done);
    void front(const Json& head, const std::string& body = {});
    // Front writes into the ring, which outlives processes and not the power.
    void use(const billing::UsageRecord& record);
    // Anything else with the keeper, as one turn of its loop.
    void turn(const std::function<void(maint::Keeper&)>& work);
    // At once, for checks: the answer of a command that asks nobody else.
    Json look(const std::string& command, const Json& args = Json::object());

    const registry::Snapshot* snapshot() const { return snapshot_.get(); }
    const Json& credentials() const { return credentials_; }

    void send_front(std::string_view head, std::string_view body,
                    std::span<const int> fds) override;
    void send_spawner(std::string_view head, std::string_view body) override;
    void answer_admin(std::uint64_t client, std::string_view head, std::string_view body) override;
    void background(std::function<void()> work, std::function<void()> done) override;

    std::int64_t tick_us = second;
    bool watch_hides_lost_track = false; // for a planted bug

  private:
    using Answered = std::function<void(const Json* head, const std::string& body)>;
    void ask(Json head, const std::string& body, Answered done);
    void tick_later();
    void harvest();
    void new_ring();
    void end(bool orderly);
    void disk_back(End how);
    void after_turn();

    Engine& engine_;
    Surroundings& around_;
    std::unique_ptr<Disk> disk_;
    Mount mount_;
    maint::FilesPlace files_;
    std::shared_ptr<SimWatch> watch_; // while it is up
    maint::Config config_;
    Log log_;
    SeededRandom random_;
    std::unique_ptr<maint::Keeper> keeper_;
    std::shared_ptr<const registry::Snapshot> snapshot_;
    Json credentials_;
    std::map<std::int64_t, Answered> asked_;
    std::map<std::uint64_t, Answered> ordered_;
    std::array<std::uint8_t, 16> ring_id_{};
    std::vector<billing::UsageRecord> ring_; // what is not taken
    std::uint64_t ring_taken_ = 0;
    std::int64_t next_id_ = 1;
    std::uint64_t life_ = 0;
    End end_within_ = End::power_lost;
    std::optional<End> end_before_freeing_;
};

} // namespace hasp::sim

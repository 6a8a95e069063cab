// The keeper's logic: everything that a tier knows and decides, as one object that is fed frames
// and time and does no I/O but its stores'. cmd/hasp gives it sockets and threads; a command
// without a daemon gives it neither.
//
// Messages with front (head's "t"; "id" is repeated in the answer):
//   from front   who {kind, secret, host, child, client} · page {method, …}+body · start {app,
//   user} · parent {up, address, …}
//                link.open {link, neighbour} · link.data {link}+bytes · link.close {link, why}
//                retired {ask} · assertion {peer, app, user} · peer {name, up, since_us, why}
//   to front     who, page, start, assertion (answers) · snapshot +fd · credentials {…} · drop
//   {users | sids | all} · link.data · link.cut · retire {ask, path, cut_tunnels} · traffic.often
// with spawner: start {…}+manifest · stop {instance, reason} → event {…} · refused {instance,
// error} · isolation {text} with commands: {cmd, args} → {result} or {error}
#pragma once

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "billing/usage_ring.h"
#include "ipc/frame.h"
#include "maint/config.h"
#include "maint/keeper_ports.h"
#include "maint/tier_identity.h"

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>

namespace hasp::sync {
class Disk;
class OpenGate;
class Watch;
class WorkingCopies;
} // namespace hasp::sync

namespace hasp::maint {

// Where users' files lie, when it is not beneath STATE on this machine's disk: both, or none.
struct FilesPlace {
    std::shared_ptr<sync::Disk> disk; // its root stands for STATE
    std::shared_ptr<sync::WorkingCopies> copies;
};

struct KeeperOptions {
    std::string state; // absolute
    Config config;
    std::string version;
    bool daemon = true; // false: one command on a tier that does not run
    // Says levels whole, not as differences: for tests that read or forge what crosses a link.
    bool whole_levels = false;
    FilesPlace files = {};
    // Beneath the same root; empty: folders are scanned instead. See noticed().
    std::shared_ptr<sync::Watch> watch = {};
};

class Keeper {
  public:
    // Opens the stores in STATE. Code::not_found when STATE was never initialised. The references
    // must outlive the keeper, and the caller holds the state lock.
    static Result<std::unique_ptr<Keeper>> open(KeeperOptions options, KeeperPorts& ports,
                                                const Clock& clock, Random& random, const Log& log);
    ~Keeper();
    Keeper(const Keeper&) = delete;
    Keeper& operator=(const Keeper&) = delete;

    const TierIdentity& identity() const;

    // A new end of the socket pair: everything that the other side must know is sent again.
    void front_connected();
    void front_gone();
    void spawner_connected();
    void on_front(const ipc::Frame& frame);
    void on_spawner(const ipc::Frame& frame);
    // Answered through KeeperPorts::answer_admin.
    void on_admin(std::uint64_t client, const ipc::Frame& frame);
    // Records from the usage ring. How many of them, from the first, are in the ledger and may be
    // taken out of the ring.
    std::size_t on_usage(const billing::RingPlace& at,
                         std::span<const billing::UsageRecord> records);
    void set_pids(const std::map<std::string, std::int64_t>& pids);

    // The watch has something to say: its fd is readable.
    void noticed();
    // Contents of users' files may come later than the files from here on: whoever opens one waits
    // at the gate. Before the spawner is connected. opened(): its fd is readable.
    void come_later(std::shared_ptr<sync::OpenGate> gate);
    void opened();
    // At least once a second.
    void tick();
    // After each batch of the calls above: sends what they made necessary.
    void flush();
    // Before it is closed in order: writes what is else written seldom.
    void finish();

  private:
    struct Impl;
    explicit Keeper(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

} // namespace hasp::maint

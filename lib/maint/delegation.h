// What a parent lends and orders, and what a child does with it: leases and desired states, each a
// level with (epoch, number). A parent signs a new one when its content changed or its time runs
// out, and offers it at every contact; a child takes only what verifies, keeps it on its disk, and
// says what it has reached. Absence orders nothing. One thread; packs in the background.
#pragma once

#include "apps.h"
#include "links.h"
#include "maint/release_store.h"
#include "maint/tier_identity.h"
#include "maint/tier_store.h"
#include "pack_shelf.h"
#include "signon/account_store.h"
#include "trust/lease.h"
#include "trust/time_guard.h"

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

namespace hasp::maint {

class Delegation {
  public:
    struct World {
        KeeperPorts& ports;
        Links& links;
        const Clock& clock;
        Random& random;
        const Log& log;
        const Config& config;
        const TierIdentity& me;
        TierStore& store;
        signon::AccountStore& accounts;
        Apps& apps;
        ReleaseStore& releases;
        std::string state;
    };
    explicit Delegation(World world);

    // Reads what is held from the store. Once, at start, before Apps asks for authority.
    Status load();

    // The time by which leases are judged.
    trust::TrustedTime now();
    void heard_parent_time(std::int64_t wall_us);

    // Until when this tier may run the app, on the machine's wall clock; 0: without end. See
    // Apps::Authority.
    std::optional<std::int64_t> authority(const AppRow& app);
    struct Held {
        std::string kind; // "run", "use", "log-in", "keep", "write"
        std::string what;
        std::int64_t expires_us = 0;
    };
    std::vector<Held> held();
    trust::Counter held_lease() const { return lease_ ? lease_->header.counter : trust::Counter{}; }
    trust::Counter reached() const { return reached_; }

    // As a parent: something that a lease or desired state is made from has changed.
    void touch() { stale_ = true; }
    // Signs and offers where needed; nothing when nothing changed. After each turn.
    void flush();
    // A child said hello: what it has may be old.
    void child_connected(const std::string& child);
    void child_gone(const std::string& child) { offered_.erase(child); }
    void child_revoked(const std::string& child);
    void child_reached(const std::string& child, std::int64_t generation, std::int64_t lease);
    // An operator has seen that a lease drops much, and says that it is right.
    void force_next(const std::string& child) { forced_.insert(child); }

    // In the transaction that keeps a lease for a child: whose files it may keep.
    using OnKeeps =
        std::function<Status(const std::string& child, const std::vector<trust::KeepGrant>& keeps)>;
    void on_keeps(OnKeeps callback) { on_keeps_ = std::move(callback); }

    // As a child.
    void parent_connected();
    void tick();
    void on_reached(std::function<void()> callback) { on_reached_ = std::move(callback); }

  private:
    struct Offered {
        std::uint64_t generation = 0;
        std::int64_t generation_at_us = 0; // boot clock
        std::uint64_t lease = 0;
        std::int64_t lease_at_us = 0;
    };
    struct Fetch;

    void serve_children();
    void serve_parent();
    void sign_and_note(const ChildRow& child);
    void offer(const std::string& child);
    void offer_desired(const ChildRow& child, Offered& offered);
    void offer_lease(const ChildRow& child, Offered& offered);
    // The trusted time from which its grants count.
    Result<std::int64_t> sign_lease(const ChildRow& child);
    trust::Grants grants_for(const ChildRow& child, std::int64_t from_us);
    void add_user(trust::Grants& grants, const ChildRow& child, const trust::TierName& child_name,
                  const std::string& user, std::int64_t until_us);
    void hand_down_users(trust::Grants& grants, const ChildRow& child,
                         const trust::TierName& child_name,
                         const std::set<std::pair<std::string, std::string>>& allowed,
                         std::int64_t until_us);
    std::string desired_envelope(const ChildRow& child);

    void save_time();
    void take_lease(const Message& message);
    void fetch_sections(const std::shared_ptr<Fetch>& fetch);
    void finish_lease(const std::shared_ptr<Fetch>& fetch);
    void lease_fetch_ended();
    void take_desired(const std::string& envelope, bool from_disk);
    void work();
    void fetch_release(const AssignmentRow& wanted);
    struct Download;
    void fetch_pack(const std::shared_ptr<Download>& download);
    void import(const std::shared_ptr<Download>& download);
    Status reach(const AssignmentRow& row);
    Status put_in_place(const AssignmentRow& wanted);
    // This release cannot be had now; the others go on.
    void failed_with(const AssignmentRow& wanted, const std::string& problem);
    void round_done();
    void on_release_get(const std::string& child, const Message& message,
                        const Links::Answer& answer);
    void on_pack_get(const std::string& child, const Message& message, const Links::Answer& answer);
    bool assigned(const std::string& child, const std::string& app, const std::string& release_id);

    World world_;
    trust::TimeGuard time_;
    std::int64_t time_saved_us_ = 0;
    PackShelf packs_;
    bool stale_ = true;                    // of every child
    std::set<std::string> stale_children_; // of these
    std::set<std::string> offers_;         // nothing changed, but the child has not taken it
    std::map<std::string, std::int64_t> renew_at_us_; // trusted time, by child
    std::int64_t signed_all_us_ = 0;                  // boot clock
    std::map<std::string, Offered> offered_;
    std::set<std::string> forced_;
    std::optional<trust::VerifiedLease> lease_;
    std::optional<trust::LeaseChain> chain_;
    std::optional<trust::Lease> lease_bytes_;
    bool fetching_lease_ = false;
    std::optional<Message> next_lease_; // came while another was being put together
    std::vector<AssignmentRow> desired_;
    trust::Counter desired_counter_;
    trust::Counter reached_;
    bool working_ = false;                      // one step at a time: a download, then its import
    std::map<std::string, std::string> failed_; // APP/RELEASE → why, in this round
    std::int64_t retry_at_us_ = 0;
    std::function<void()> on_reached_;
    OnKeeps on_keeps_;
};

} // namespace hasp::maint

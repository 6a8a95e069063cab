// What a parent lends and orders, and what a child does with it: leases and desired states, each a
// level with (epoch, number). A parent signs a new one when its content changed or its time runs
// out, and offers it at every contact; a child takes only what verifies, keeps it on its disk, and
// says what it has reached. Absence orders nothing. One thread; packs in the background.
#pragma once

#include "apps.h"
#include "lent_login.h"
#include "link_gate.h"
#include "links.h"
#include "maint/release_store.h"
#include "maint/tier_identity.h"
#include "maint/tier_store.h"
#include "pack_shelf.h"
#include "publishing.h"
#include "release_answer.h"
#include "signon/account_store.h"
#include "trust/lease.h"
#include "trusted_clock.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

namespace hasp::maint {

inline constexpr std::int64_t extend_days_max = 366;
inline constexpr std::size_t release_bases_max = 4; // that a child names in its question
inline constexpr std::size_t extensions_max = 1000; // of one child

// A grant for people: one line of `hasp lease show`.
struct GrantLine {
    std::string kind; // "run", "use", "log-in", "keep", "write"
    std::string what; // app, user, "USER APP" or dataset
    std::int64_t expires_us = 0;
    std::string at_expiry; // of "run": as in hasp-app.toml
};
// The grant for this release; else the one that ends last of those for others of the same app, from
// the same origin; null: none.
const trust::RunGrant* run_grant(const trust::Grants& grants, const std::string& app,
                                 const std::string& release, const std::string& origin);
std::vector<GrantLine> grant_lines(const trust::Grants& grants);
Json to_json(const std::vector<GrantLine>& lines);

class Delegation {
  public:
    struct World {
        KeeperPorts& ports;
        Links& links;
        LinkGate& gate;
        const Clock& clock;
        const TrustedClock& time;
        Random& random;
        const Log& log;
        const Config& config;
        const TierIdentity& me;
        TierStore& store;
        signon::AccountStore& accounts;
        Apps& apps;
        ReleaseStore& releases;
        Publishing& publishing;
        Rollouts& rollouts;
        std::string state;
    };
    explicit Delegation(World world);

    // Reads what is held from the store. Once, at start, before Apps asks for authority.
    Status load();

    // See Apps::Authority.
    std::optional<Apps::Authority> authority(const AppRow& app);
    std::vector<GrantLine> held() const;
    // By whose word a user may log in here while the home cannot be asked: nothing when he is on no
    // list, or the grant has ended.
    std::optional<LentLogin> lent_login(const std::string& user) const;
    // Why an app that this tier is to hold is not there yet; nothing when none is wanted.
    std::optional<std::string> waits_for(const std::string& app) const;
    // Of the packs that wait for the link's budget.
    std::uint64_t held_bytes() const;
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
    // What the last lease signed for a child lends, with its number and whether the child has it.
    struct LentLease {
        trust::Counter counter;
        std::int64_t signed_us = 0; // from when its grants count
        bool taken = false;
        std::vector<GrantLine> grants;
        std::map<std::string, std::int64_t> extended; // "app NAME" or "user NAME" → until
    };
    Result<LentLease> lent(const std::string& child);
    // The users who may log in at this child without us.
    const std::set<std::string>& lent_users(const std::string& child);
    struct Extension {
        std::string app;  // this app's run and write grants
        std::string user; // or this user's; both empty: everything
        std::int64_t days = 0;
        bool dry_run = false;
    };
    struct Extended {
        GrantLine before;
        std::int64_t expires_us = 0; // after
    };
    // Lengthens grants of a child to `days` from now, and offers the new lease at once; grants that
    // last longer already stay. Code::not_found for what is not lent, usage beyond
    // extend_days_max; what comes from above never outlives our own grant.
    Result<std::vector<Extended>> extend(const std::string& child, const Extension& what);
    // Throws away releases of an app that nobody here or below is to hold and that are not kept to
    // go back to. In the background; what cannot be done now is done after the next change.
    void tidy(const std::string& app);
    // An operator has seen that a lease drops much, and says that it is right.
    void force_next(const std::string& child) { forced_.insert(child); }

    // In the transaction that keeps a lease for a child: whose files it may keep.
    using OnKeeps =
        std::function<Status(const std::string& child, const std::vector<trust::KeepGrant>& keeps)>;
    void on_keeps(OnKeeps callback) { on_keeps_ = std::move(callback); }

    // As a child.
    void parent_connected();
    void tick();
    // Another lease is in force.
    void on_lease(std::function<void()> callback) { on_lease_ = std::move(callback); }
    void on_reached(std::function<void()> callback) { on_reached_ = std::move(callback); }

    // The time by which leases are judged.
    trust::TrustedTime now() const { return world_.time.now(); }

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
    // `longer`: as LentLease::extended.
    trust::Grants grants_for(const ChildRow& child, std::int64_t from_us,
                             const std::map<std::string, std::int64_t>& longer);
    std::map<std::string, std::int64_t> extensions(const std::string& child);
    run::AtExpiry manifest_at_expiry(const std::string& app, const std::string& release);
    trust::Grants signed_grants(const LeaseRow& row);
    void add_user(trust::Grants& grants, const ChildRow& child, const trust::TierName& child_name,
                  const std::string& user, std::int64_t until_us);
    void hand_down_users(trust::Grants& grants, const ChildRow& child,
                         const trust::TierName& child_name,
                         const std::set<std::pair<std::string, std::string>>& allowed,
                         const std::function<std::int64_t(const std::string&)>& until);
    std::string desired_envelope(const ChildRow& child);

    void take_lease(const Message& message);
    void fetch_sections(const std::shared_ptr<Fetch>& fetch);
    void finish_lease(const std::shared_ptr<Fetch>& fetch);
    void lease_fetch_ended();
    void take_desired(const std::string& envelope, bool from_disk);
    void work();
    void fetch_release(const AssignmentRow& wanted);
    // Its content is here and its signature was verified: on with the next step.
    void held_now(const AssignmentRow& wanted, const ReleaseRow& proof,
                  const std::string& statement);
    struct Download;
    using DownloadPtr = std::shared_ptr<Download>;
    void begin_download(const AssignmentRow& wanted, ReleaseAnswer answer);
    // One piece after another, several under way (link_pace.h).
    void fetch_pack(const DownloadPtr& download);
    void ask_piece(const DownloadPtr& download, const LinkPace::Piece& piece);
    void take_piece(const DownloadPtr& download, std::size_t asked, const Result<Message>& answer);
    // The link's budget is used up: it waits, the others go on.
    void hold(const DownloadPtr& download, const Error& why);
    bool is_held(const AssignmentRow& row) const;
    void import(const std::shared_ptr<Download>& download);
    Status reach(const AssignmentRow& row);
    Status put_in_place(const AssignmentRow& wanted);
    // This release cannot be had now; the others go on.
    void failed_with(const AssignmentRow& wanted, const std::string& problem);
    // Says how far our own app is; nothing for what a tier below is to hold.
    void said(const AssignmentRow& wanted, RolloutState state, const std::string& why = "");
    void round_done();
    void on_release_get(const std::string& child, const Message& message,
                        const Links::Answer& answer);
    std::vector<std::string> commits_of(const std::string& app, const Message& question) const;
    std::string base_text_of(const std::string& app, const std::string& id) const;
    void answer_release(const Message& question, ReleaseAnswer said, const Links::Answer& answer);
    void on_pack_get(const std::string& child, const Message& message, const Links::Answer& answer);
    std::optional<AssignmentRow> assigned(const std::string& child, const std::string& app,
                                          const std::string& release_id);

    World world_;
    PackShelf packs_;
    bool stale_ = true;                    // of every child
    std::set<std::string> stale_children_; // of these
    std::set<std::string> offers_;         // nothing changed, but the child has not taken it
    std::map<std::string, std::int64_t> renew_at_us_; // trusted time, by child
    std::int64_t signed_all_us_ = 0;                  // boot clock
    std::map<std::string, Offered> offered_;
    std::set<std::string> forced_;
    std::map<std::string, run::AtExpiry> at_expiry_;          // by release, as read
    std::map<std::string, std::set<std::string>> lent_users_; // by child, as last signed
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
    // APP/RELEASE → bytes still to come, of those that wait for the link's budget.
    std::map<std::string, std::uint64_t> held_;
    std::int64_t retry_at_us_ = 0;
    std::function<void()> on_reached_;
    OnKeeps on_keeps_;
    std::function<void()> on_lease_;
};

} // namespace hasp::maint

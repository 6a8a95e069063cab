// What a tier knows of itself, its neighbours and its apps: one table of facts each, at the level
// of transactions. Everything else in lib/maint decides on these rows and never sees SQL.
//
// One thread (the keeper's). Every call may block on the disk; a change is durable when the call
// returns, unless it runs inside transact(). Errors are the store's (store/db.h), with not_found
// and conflict as said below.
#pragma once

#include "base/result.h"
#include "trust/counter.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace hasp::store {
class Db;
}

namespace hasp::maint {

struct ChildRow {
    std::string name;
    std::string state; // "invited", "enrolled" or "revoked"
    std::string envelope_key;
    std::string tls_key_sha256;
    std::string certificates;
    std::string verifier_key;
    std::int64_t epoch = 1;
    std::int64_t desired_generation = 0;
    std::int64_t reached_generation = 0;
    std::int64_t lease_number = 0;
    std::int64_t reached_lease = 0;
    std::int64_t since_us = 0;
    std::int64_t seen_us = 0;
    std::string report;
};

struct InvitationRow {
    std::string id;
    std::string child;
    std::string secret_sha256;
    std::int64_t not_after_us = 0;
    std::string used_by;
};

struct AppRow {
    std::string name;
    std::string release_id;
    std::string origin;
    std::string manifest;
    std::string data_home;
    std::int64_t since_us = 0;
};

struct ReleaseRow {
    std::string app;
    std::string release_id;
    std::string manifest;
    std::string commit_id;
    std::int64_t created_us = 0;
    trust::Counter sequence = {}; // the newest under which it was published
    std::string signature = {};   // envelope of the publisher, of that sequence
    std::string key = {};         // raw public key of the signature
    std::string source = {};      // commit of the publisher's repository; empty: none
};

// Whose signatures an app's releases carry, and the newest release that this tier took for itself
// or, at the origin, published.
struct PublishersRow {
    std::string app;
    std::string origin;
    std::string statement; // envelope of the origin; empty: only the origin's own key
    trust::Counter newest = {};
    std::string release_id = {};
};

struct AssignmentRow {
    std::string child;
    std::string target;
    std::string app;
    std::string release_id;
    std::string origin;
    std::string data_home;
    bool wanted = true;
    std::int64_t generation = 0;
    trust::Counter sequence = {}; // of the release; not stored: the releases' table knows it
};

struct LeaseRow {
    std::string child; // empty: the one that we hold
    std::int64_t number = 0;
    std::string envelope;
    std::map<std::string, std::string> sections; // name -> sha256 in hex
    std::int64_t granted_us = 0;
    std::int64_t expires_us = 0;
};

struct ErrorRow {
    std::int64_t at_us = 0;
    std::string id;
    std::string text;
    std::string last_lines = {}; // the end of an app's output; cut to error_lines_bytes_max
};

// As Rollout (rollouts.h), of this tier.
struct RolloutRow {
    std::string app;
    std::string release_id;
    std::string state;
    std::string serves;
    std::string why;
    std::string last_lines;
    std::int64_t at_us = 0;
};

// A center beside this one, see peers.h.
struct PeerRow {
    std::string name;
    std::string card;
    std::vector<std::string> asks;
    std::vector<std::string> offers;
    std::int64_t since_us = 0;
};

inline constexpr std::int64_t errors_kept_max = 200;
inline constexpr std::size_t unwritten_errors_max = 50;
inline constexpr std::size_t error_lines_bytes_max = 2'000;
inline constexpr std::int64_t accounts_of_child_max = 100'000;

// Of folders of files that began earlier, a child that got the account's name at `claimed_us` has
// nothing to say: with a day for clocks that are apart.
inline std::uint64_t gone_since_us(std::int64_t claimed_us) {
    return static_cast<std::uint64_t>(
        std::max<std::int64_t>(1, claimed_us - std::int64_t{24} * 3600 * 1'000'000));
}

class TierStore {
  public:
    // Brings the tables up to date. `db` must outlive the store.
    static Result<TierStore> open(store::Db& db, std::string tenant);

    // Runs `work` in one transaction: all of it is durable, or, when it returns an error, nothing.
    Status transact(const std::function<Status()>& work);

    Result<std::string> fact(const std::string& name); // empty when it was never set
    Status set_fact(const std::string& name, const std::string& value);

    Result<std::vector<ChildRow>> children();
    Result<std::optional<ChildRow>> child(const std::string& name);
    Status put_child(const ChildRow& row);
    // A child was there at that time, without a report.
    Status heard(const std::string& child, std::int64_t at_us);
    Status seen(const std::string& child, std::int64_t at_us, std::int64_t generation,
                std::int64_t lease, const std::string& report);

    Status put_invitation(const InvitationRow& row);
    Result<std::optional<InvitationRow>> invitation(const std::string& id);
    Status use_invitation(const std::string& child, const std::string& used_by);
    Status drop_invitations(const std::string& child);

    Result<std::vector<AppRow>> apps();
    Result<std::optional<AppRow>> app(const std::string& name);
    Status put_app(const AppRow& row);
    Status drop_app(const std::string& name);

    // Releases of an app besides the one that it has: "before" is the last that served well, which
    // it goes back to; "next" the one that is to take its place; "unproven" the one that it has,
    // while that has never come up.
    Result<std::vector<AppRow>> apps_kept(const std::string& role);
    Result<std::optional<AppRow>> app_kept(const std::string& role, const std::string& name);
    Status put_app_kept(const std::string& role, const AppRow& row);
    Status drop_app_kept(const std::string& role, const std::string& name);

    Result<std::vector<RolloutRow>> rollouts();
    Status put_rollout(const RolloutRow& row);
    Status drop_rollout(const std::string& app);

    Result<std::vector<PeerRow>> peers();
    Status put_peer(const PeerRow& row);
    Status drop_peer(const std::string& name);

    // Replaces a row with a lower sequence, and leaves one with a higher.
    Status put_release(const ReleaseRow& row);
    Result<std::optional<ReleaseRow>> release(const std::string& app,
                                              const std::string& release_id);
    // Newest first, without their manifests. Of one app.
    Result<std::vector<ReleaseRow>> releases(const std::string& app);
    Status drop_release(const std::string& app, const std::string& release_id);

    Result<std::optional<PublishersRow>> publishers(const std::string& app);
    Status put_publishers(const PublishersRow& row);

    // Changes one assignment and moves the child's desired generation on, in one transaction. The
    // same again changes nothing.
    Status assign(const AssignmentRow& row);
    Result<std::vector<AssignmentRow>> assignments(const std::string& child);

    Status allow(const std::string& child, const std::string& kind, const std::string& name,
                 bool allowed);
    // (kind, name)
    Result<std::vector<std::pair<std::string, std::string>>> allowed(const std::string& child);

    // Which child an account lives under; empty when none of ours.
    Result<std::string> directory(const std::string& user);
    Result<std::vector<std::string>> directory_names();
    Result<std::set<std::string>> directory_of(const std::string& child);
    // Code::conflict when the name is another child's; refused beyond accounts_of_child_max.
    Status claim(const std::string& user, const std::string& child, std::int64_t now_us);
    Status unclaim(const std::string& user, const std::string& child);
    // Since when its child has the name, by the wall clock of the claim; 0: not known.
    Result<std::int64_t> claimed_us(const std::string& user);

    Result<std::optional<LeaseRow>> lease(const std::string& child);
    Status drop_lease(const std::string& child);
    Status put_lease(const LeaseRow& row, const std::map<std::string, std::string>& bodies);
    Result<std::optional<std::string>> section(const std::string& sha256);

    // The same error again is kept once, with its newest time. One that the disk does not take is
    // known to errors() all the same, until it could be written or the process ends.
    Status add_error(const ErrorRow& row);
    Result<std::vector<ErrorRow>> errors(std::int64_t newest);

  private:
    TierStore(store::Db& db, std::string tenant) : db_(&db), tenant_(std::move(tenant)) {}
    store::Db* db_;
    std::string tenant_;
    Status write_error(const ErrorRow& row);
    std::int64_t nonce_ = 0;
    std::deque<ErrorRow> unwritten_errors_; // oldest first, no id with the same text twice
};

} // namespace hasp::maint

// Who may publish an app's releases, and in which order they came. At the origin: the list of keys
// and the next sequence. Everywhere else: the proof that a release which the parent sends is the
// publisher's, before it is taken in. One thread (the keeper's).
#pragma once

#include "base/clock.h"
#include "maint/release_proof.h"
#include "maint/release_store.h"
#include "maint/tier_identity.h"
#include "maint/tier_store.h"

#include <set>
#include <string>
#include <vector>

namespace hasp::maint {

// How many releases of an app its origin keeps; those that a tier is to hold are never thrown away.
inline constexpr std::size_t releases_kept_max = 10;
// Elsewhere: the newest and the one before it.
inline constexpr std::size_t releases_kept_below_max = 2;

class Publishing {
  public:
    Publishing(const Clock& clock, const TierIdentity& me, TierStore& store)
        : clock_(clock), me_(me), store_(store) {}

    // Ourselves or a tier above; refused for others: nobody else decides about our apps.
    Result<Origin> origin_of(const std::string& name) const;
    Origin self() const { return {me_.realm_id, me_.name, me_.envelope_key.public_key()}; }

    // --- as the origin ---
    // Higher than that of every release of the app that was published here.
    Result<trust::Counter> next_sequence(const std::string& app);
    // The keys beside our own by which this app may be published; `first` is the publisher's of an
    // app that has none yet: it is pinned by publish().
    Result<std::vector<std::string>> keys(const std::string& app);
    Result<std::vector<std::string>> keys_or_first(const std::string& app,
                                                   const std::string& first);
    // Our own signature.
    Result<std::string> sign(const Release& release, const std::string& source) const;
    // Keeps a release whose signature was verified, as the newest of its app: in a transaction of
    // its own. Code::conflict when one with the same or a higher sequence was published meanwhile.
    Status publish(const ReleaseRow& row);
    // Adds a key to the list of an app, or takes it off. The same again is success.
    Status allow(const std::string& app, const std::string& key, bool allowed);

    // --- toward children ---
    // The release as it is handed on, with its signature; a release of ours from before there were
    // signatures gets one now.
    Result<ReleaseRow> signed_release(const AssignmentRow& row);
    Result<std::string> statement(const std::string& app);

    // --- as a child ---
    // Nothing is to be asked of the parent: this release, under this sequence, was proven before.
    bool proven(const AssignmentRow& row);
    // Verifies what the parent sent. Code::refused: not signed, by another key, a lower sequence
    // than was taken before, an older list of keys.
    Result<ReleaseRow> prove(const AssignmentRow& row, const Release& release,
                             const std::string& signature, const std::string& statement);
    // Once the release is held: from now on it is the newest.
    Status took(const AssignmentRow& row, const ReleaseRow& release, const std::string& statement);

    // What can be thrown away of an app: all but `in_use` and the newest `kept`.
    std::vector<std::string> superfluous(const std::string& app,
                                         const std::set<std::string>& in_use, std::size_t kept);

  private:
    Result<PublishersRow> row_of(const std::string& app);
    Result<std::vector<std::string>> keys_in(const PublishersRow& row, const Origin& origin) const;

    const Clock& clock_;
    const TierIdentity& me_;
    TierStore& store_;
};

} // namespace hasp::maint

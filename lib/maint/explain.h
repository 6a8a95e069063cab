// Why an app is or is not served at a tier, and what happens there if the link drops now: questions
// of operators, answered by the tier itself where it can be reached, else from what it said last,
// with its age. Changes nothing. One thread.
#pragma once

#include "apps.h"
#include "delegation.h"
#include "json_tools.h"
#include "links.h"
#include "maint/tier_identity.h"
#include "maint/tier_store.h"
#include "pages.h"
#include "peers.h"
#include "signon/account_store.h"
#include "signon/session_store.h"

#include <functional>
#include <optional>
#include <string>

namespace hasp::maint {

class Explain {
  public:
    struct World {
        const Clock& clock;
        const TrustedClock& time;
        const TierIdentity& me;
        TierStore& store;
        signon::AccountStore& accounts;
        signon::SessionStore& sessions;
        Links& links;
        Apps& apps;
        Delegation& delegation;
        const Peers& peers;
        const ParentLink& parent;
        std::function<Json()> unsent;      // StatusSources::unsent
        std::function<Json()> budgets;     // LinkGate::json
        std::function<Json()> certificate; // WebCertificates::show()
    };
    explicit Explain(World world);

    using Answer = std::function<void(Result<Json>)>;
    // `at` is this tier or one below. The answer's fields are in PROTOCOL.md; `live` is false when
    // the tier is dark and its last report was asked instead of it.
    void why(const trust::TierName& at, const std::string& app, const std::string& user,
             const Answer& answer);
    void offline_report(const trust::TierName& at, const Answer& answer);

  private:
    // Sends the question one tier down, or answers from the last report of a tier that is dark.
    void
    ask_below(const trust::TierName& at, Json question,
              const std::function<Json(const ChildRow& child, const Json& status)>& from_report,
              const Answer& answer);
    Json why_here(const std::string& app, const std::string& user,
                  std::optional<bool> entitled) const;
    // True: may go on to where the app is. The cause is written into `out` otherwise.
    bool user_may(Json& out, const std::string& app, const std::string& user,
                  std::optional<bool> entitled) const;
    void where_addresses(Json& out, const std::string& app) const;
    void where_held(Json& out, const AppRow& row, const std::string& user) const;
    void where_passed(Json& out, const std::string& app, const std::string& child) const;
    void where_aside(Json& out, const std::string& app, const std::string& peer) const;
    Json report_here() const;
    Json link_json() const;
    bool link_up() const { return world_.links.connected(to_parent); }
    std::string link_words() const;

    World world_;
};

} // namespace hasp::maint

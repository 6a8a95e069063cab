// Operators' commands: {"cmd": "user.add", "args": {…}} → {"result": …} or {"error": …}. The
// command line and, with a daemon, the admin socket come in here; nothing else changes a tier. One
// thread.
#pragma once

#include "apps.h"
#include "billing/ledger_store.h"
#include "delegation.h"
#include "enrolment.h"
#include "explain.h"
#include "files.h"
#include "json_tools.h"
#include "peers.h"
#include "people.h"
#include "web_authority.h"
#include "web_certificates.h"

#include <functional>
#include <map>
#include <set>
#include <string>

namespace hasp::maint {

// Of a command with nothing to tell but that it is done.
inline Result<Json> answer_of(const Status& status) {
    return status.ok() ? Result<Json>(Json::object()) : Result<Json>(status.error());
}

class Admin {
  public:
    struct World {
        KeeperPorts& ports;
        const Clock& clock;
        Random& random;
        const Config& config;
        const TierIdentity& me;
        TierStore& store;
        signon::AccountStore& accounts;
        signon::SessionStore& sessions;
        signon::TokenStore& tokens;
        People& people;
        Apps& apps;
        Delegation& delegation;
        Explain& explain;
        Enrolment& enrolment;
        WebAuthority& web_authority;
        WebCertificates& web_certificates;
        ReleaseStore& releases;
        Publishing& publishing;
        Rollouts& rollouts;
        Files& files;
        Peers& peers;
        std::string ledger_path;
        std::string pushes; // folder of uploads under way
        std::function<Json()> status;
        std::function<void(const std::string& child)> revoked;
        std::function<void()> ask_for_reports; // of the tiers below
        std::function<Json()> owed;            // see Roaming::json()
    };
    explicit Admin(World world);

    using Answer = std::function<void(Result<Json>)>;
    // `answer` is called once. Unknown commands and malformed arguments are Code::usage.
    void run(const Json& request, const std::string& body, Answer answer);
    // The same from a pipeline, over HTTP: only what belongs to a push, and only for the apps of
    // its token (empty: every app). Whose token it is was verified.
    void run_push(const Json& request, const std::string& body,
                  const std::vector<std::string>& apps, const Answer& answer);

  private:
    using Command = std::function<void(const Json& args, const Answer& answer)>;
    void tier_commands();
    void ca_commands();
    void user_commands();
    void token_commands();
    void app_commands();
    void file_commands();
    void peer_commands();
    Result<Json> lent_json(const std::string& child);
    Result<Json> local_json(const std::string& name);
    void bill_commands();
    // Runs `work` on a ledger of its own, beside the keeper: it may read for long.
    void in_ledger(std::function<Result<Json>(billing::LedgerStore&)> work, const Answer& answer);
    void add_user(const Json& args, const Answer& answer);
    void make_user(const signon::AccountFields& fields, const std::string& password,
                   const std::vector<std::string>& groups, const Answer& answer);
    Status acceptable(const std::string& password) const; // as a new one, by the config
    void set_password(const std::string& user, const std::string& password,
                      std::function<void(Status)> done);
    void entitle(const Json& args, const Answer& answer, bool give);
    void changed(const std::string& user);
    void changed_group(const std::string& group);
    Json user_json(const signon::Account& account);
    struct Placement {
        std::vector<trust::TierName> targets;
        std::string data_home;
    };
    Placement placed(const std::string& app);
    Status name_is_ours(const std::string& app);
    // From --to, --all and --home; without them, where it is now.
    Result<Placement> placement(const std::string& app, bool dataset, const Json& args);
    Result<Json> publish(const ReleaseRow& release, const Placement& where);
    Result<ReleaseRow> sign_here(const Release& release, const std::string& source);
    Result<Json> pushed(const Release& release, const std::string& signature,
                        const std::optional<Proof>& proof, const std::string& source,
                        const Placement& where);
    bool has_release(const trust::TierName& name, const std::string& app, const std::string& id);
    Status begin_import(const std::string& app);
    void push_commands();
    void push_begin(const Json& args, const Answer& answer);
    void push_chunk(const Json& args, const std::string& body, const Answer& answer);
    void push_commit(const Json& args, const Answer& answer);
    Result<PackSpool> spool(const Json& args);
    void release_commands();
    void list_releases(const Json& args, const Answer& answer);
    void roll_back(const Json& args, const Answer& answer);
    void allow_key(const Json& args, const Answer& answer);
    void add_app(const Json& args, const Answer& answer);
    void remove_app(const Json& args, const Answer& answer);
    Result<std::vector<trust::TierName>> tiers();
    // Target by its last element or its whole name: itself or a tier below.
    Result<trust::TierName> target(const std::string& text);
    Status place(const trust::TierName& target, const AppRow& app, bool wanted);

    World world_;
    std::map<std::string, Command> commands_;
};

} // namespace hasp::maint

// The apps of this tier and of its neighbours: what is held here and in which state, what children
// and the parent say that they have, and the snapshot that front works with. One thread.
#pragma once

#include "base/clock.h"
#include "base/log.h"
#include "json_tools.h"
#include "links.h"
#include "maint/config.h"
#include "maint/release_store.h"
#include "maint/tier_store.h"
#include "registry/spec.h"
#include "rollouts.h"
#include "run/manifest.h"
#include "strand.h"
#include "sync/working_copies.h"
#include "trust/grants.h"

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace hasp::maint {

// How terminals reach an app at the tier that serves it (doc/decisions/0021).
struct DirectFacts {
    std::string how;                   // "pages" or "downloads"; empty: nobody is sent there
    std::string url;                   // web.direct_url of that tier
    std::vector<std::string> networks; // that reach it
    bool operator==(const DirectFacts&) const = default;
};

// An app as neighbours and pages know it.
struct AppFacts {
    std::string name;
    std::string title;
    std::string description;
    std::vector<std::string> hosts;
    bool open = false; // for anyone, without a session
    std::string mount; // "host", "path" or "both"
    bool trusted_path = true;
    std::string where;   // tier that holds it, leaf name
    std::string release; // that answers there: what is cached of another is not used any more
    DirectFacts direct;  // only of the parent's apps
    bool operator==(const AppFacts&) const = default;
};

class Apps {
  public:
    struct World {
        KeeperPorts& ports;
        const Clock& clock;
        const Clock& trusted; // its wall time is the one by which leases end
        const Log& log;
        const Config& config;
        TierStore& store;
        sync::WorkingCopies& copies;
        ReleaseStore& releases;
        Rollouts& rollouts;
        trust::TierName me;
        std::string state;
    };
    // By which right a held app runs here.
    struct Authority {
        std::int64_t expires_us = 0; // trusted time; 0: never (it is our own)
        trust::AtExpiry at_expiry = trust::AtExpiry::stop;
    };
    // Nothing: no lease for it at all.
    using AskAuthority = std::function<std::optional<Authority>(const AppRow& app)>;
    // Something that neighbours or front should know has changed.
    using OnChange = std::function<void()>;

    Apps(World world, AskAuthority authority, OnChange on_change);

    // Reads the store. Once, at start.
    Status load();

    // The release must be in the store of releases. With nothing before it that ever served, the
    // app is there at once. Else the older one serves until the new one has come up beside it, or
    // in its place where handover is exclusive, without a failed request; world.rollouts says how
    // far that is. Success: it is kept, and goes on by itself, also after a crash; the same again
    // changes nothing, and what was rolled back is not tried again.
    Status install(const AppRow& row);
    Status remove(const std::string& name);
    const std::map<std::string, run::Manifest>& manifests() const { return manifests_; }

    // One writer at a time for the releases of an app. False: there is one.
    bool begin_import(const std::string& app) { return importing_.insert(app).second; }
    void end_import(const std::string& app) { importing_.erase(app); }
    // As KeeperPorts::background, and one at a time whatever the app: a release that waits for the
    // virus check keeps one worker thread, and not all of them.
    void import_work(std::function<void()> work, std::function<void()> done) {
        import_work_.run(std::move(work), std::move(done));
    }

    // Front wants a process. Single flight per instance; `done` is called once.
    using Started = std::function<void(Status, const std::string& last_lines)>;
    // `user` is who asks, also for an app that runs once for all; empty: nobody is signed on.
    void start(const std::string& app, const std::string& user, Started done);
    // Called before a process is ordered; it is ordered when `go` is called, which happens once,
    // and with an error nobody's start succeeds.
    using BeforeStart = std::function<void(const std::string& app, const std::string& user,
                                           std::function<void(const Status&)> go)>;
    void before_start(BeforeStart callback) { before_start_ = std::move(callback); }
    // Ends the instance, if there is one, once the requests that it has are done; whoever asks next
    // has it started anew when it has ended.
    void stop(const std::string& app, const std::string& user, const std::string& reason);
    // Whether a process may be at work on this user's data: one that serves, starts or ends, and
    // while it is not known what runs.
    bool may_run(const std::string& app, const std::string& user) const;
    // As that, but for a process whose start waits for before_start.
    bool has_process(const std::string& app, const std::string& user) const;
    // When a request of it was served last, by the boot clock; nothing: it does not run.
    std::optional<std::int64_t> used_at(const std::string& app, const std::string& user) const;
    // An instance came up because `user` asked; those who wait hear of it when this returned, and
    // of its error instead when there is one.
    void on_started(std::function<Status(const std::string& app, const std::string& user)> call) {
        on_started_ = std::move(call);
    }
    // A request of this app (and user) was served at `boot_us`: it is in use.
    void used(const std::string& app, const std::string& user);
    void on_spawner(const Json& head);
    void spawner_connected();
    void front_connected() { front_there_ = true; }
    void front_gone();
    // Front: the last connection to a process that was to leave has ended.
    void on_retired(std::int64_t ask);
    const std::string& isolation() const { return isolation_; }
    // Of an app's instance, or of one of them: "ready", "starts on first use", "stopped: …".
    struct InstanceState {
        std::string state;
        std::string reason;
        std::string last_lines;
        std::int64_t since_us = 0;
    };
    std::optional<InstanceState> instance(const std::string& app, const std::string& user) const;
    std::vector<std::pair<std::string, InstanceState>> instances() const;

    // Numeric addresses ("ip:port") of a host, as far as known: a name is looked up in the
    // background, and again from time to time, as long as it is asked for.
    std::vector<std::string> resolve(const std::string& host, std::uint16_t port);

    // By peer ("@west"): apps that are asked for there where nobody else has them.
    void asked_at_peers(std::map<std::string, std::vector<std::string>> asked);
    // The peer where it is asked for; empty: this tier, its parent or a child has it, or nobody.
    std::string peer_of(const std::string& app) const;

    // Front: an address of an upstream app went down or came up.
    void upstream_said(const Json& head);
    // The addresses of an upstream app as front sees them: {address, up, since, why}; empty while
    // none has been down. All of it is front's word.
    struct Address {
        std::string address;
        bool up = true;
        std::int64_t since_us = 0; // of being down
        std::string why;
    };
    std::vector<Address> addresses(const std::string& app) const;

    // What can be reached through us, for the parent (own and children's) and for a child (all but
    // what it told us itself).
    Json facts_for_parent() const;
    Json facts_for_child(const std::string& child) const;
    // Every app that a user of this tier might see.
    std::vector<AppFacts> known() const;
    // The same, each with those of its hosts alone under which this tier serves it: not what
    // another app had first, and of a child's app no host that is this tier's own.
    std::vector<AppFacts> reached() const;
    // The child through which an app is reached; empty: none.
    std::string child_of(const std::string& app) const;
    // Names that are the parent's, or that another child had first, are left out: a child moves
    // nobody's app.
    void child_said(const std::string& child, const Json& facts);
    void parent_said(const Json& facts);
    void forget_child(const std::string& child);

    // Null: the app is not held here.
    const AppRow* row(const std::string& app) const {
        const auto at = rows_.find(app);
        return at == rows_.end() ? nullptr : &at->second;
    }
    bool parent_has(const std::string& app) const;
    // What the parent says of the app; null: it has none of the name.
    const AppFacts* of_parent(const std::string& app) const;
    const std::vector<AppFacts>& from_parent() const { return parent_; }
    // How terminals reach it here; empty: not at all, or it is not served here.
    DirectFacts direct_of(const std::string& app) const;
    // How far this tier is with the app's newest release; null: it is not held or expected here.
    const Rollout* rollout(const std::string& app) const { return world_.rollouts.own(app); }
    // What the end of a held app's lease means for it now; nothing while it lasts.
    std::optional<trust::AtExpiry> ended(const std::string& app) const {
        const auto row = rows_.find(app);
        return row == rows_.end() ? std::nullopt : ended(row->second);
    }

    // Marks the snapshot stale; flush() builds and sends it once, however many reasons there were.
    void touch() { stale_ = true; }
    void flush();
    void send_snapshot(); // to a front that has just come up
    void tick();

  private:
    struct Instance {
        std::string app;
        std::string user;
        std::string runs;    // its process by the spawner's name; empty: none
        std::string release; // of that
        bool held = false;   // its process is being replaced: those who ask wait
        InstanceState state;
        std::vector<Started> waiting;
        std::int64_t used_us = 0; // boot clock
        std::int64_t retry_after_us = 0;
        bool ordering = false; // before_start has been asked
        std::string asked_by;
        std::int64_t ordered_us = 0; // wall clock; 0: no start was ordered since it came up last
    };
    // A process on its way out: it gets no new request, and is stopped when it has none left or at
    // a limit.
    struct Leaving {
        std::string key; // of its instance
        std::string reason;
        std::int64_t ask = 0;      // front's question; 0: not asked
        std::int64_t until_us = 0; // boot clock
        bool stopping = false;
        std::vector<std::function<void()>> then; // when it has ended
    };
    // From one release of an app to the next.
    struct Switch {
        enum class Step : unsigned char { queued, trial, processes, watch };
        AppRow next;
        run::Manifest manifest; // of next
        Step step = Step::queued;
        bool first = false;     // nothing that ever served is replaced: it is the app's row already
        bool alone = false;     // never beside the old one
        std::string trial;      // its process
        bool tried = false;     // it came up in the trial
        bool committed = false; // it is the app's row, and the one before it is kept
        std::deque<std::string> remaining; // instances that run the old one
        std::string key;                   // the one that is being replaced
        std::string candidate;             // its successor's process
        std::int64_t watch_until_us = 0;   // boot clock
        int crashes = 0;
        std::optional<AppRow> after; // was assigned meanwhile
    };

    // app_instances.cpp, app_leaving.cpp
    static std::string key_of(const std::string& app, const std::string& user);
    static std::string process_name(const std::string& key, const std::string& release);
    Status send_start(const std::string& app, const std::string& user, const std::string& name,
                      const AppRow& row, const run::Manifest& manifest);
    void stop_process(const std::string& name, const std::string& reason);
    Instance* adopt(const std::string& name);
    void spawner_ready();
    void instance_event(Instance& instance, const Json& head);
    void failed_event(Instance& instance, const std::string& kind);
    std::string socket_path(const std::string& key) const;
    Status point(const Instance& instance);
    void unpoint(const std::string& key);
    void leave(const std::string& name, const std::string& key, bool cut_tunnels,
               const std::string& reason, std::function<void()> then);
    bool take_back(Instance& instance, const std::string& name);
    void left(const std::string& name);
    void tick_leaving();
    void hold(Instance& instance, const std::string& reason, std::function<void()> then);
    void release_hold(Instance& instance);
    void end_all(const std::string& app, const std::string& reason);
    void take_over(Instance& instance, const std::string& name, const std::string& release,
                   const Json& head);

    // app_switch.cpp, app_handover.cpp
    static bool same_shape(const run::Manifest& a, const run::Manifest& b);
    Status supersede(Switch& now, const AppRow& row);
    Status say(const std::string& app, const std::string& release, RolloutState state,
               const std::string& why = "", const std::string& last_lines = "");
    Status serving(const AppRow& row);
    Status replace_row(const AppRow& row);
    Status begin_switch(const AppRow& row, run::Manifest manifest);
    void begin_trials();
    Status order_trial(Switch& one);
    void drop_trial_folder(const std::string& trial);
    bool switch_event(const std::string& name, const Json& head);
    void trial_event(const std::string& app, const Json& head);
    void proceed(const std::string& app);
    void next_process(const std::string& app);
    void order_successor(const std::string& app);
    void successor_event(const std::string& app, const Json& head);
    void successor_failed(const std::string& app, const std::string& why,
                          const std::string& last_lines);
    Status commit(Switch& one);
    void finish_switch(const std::string& app);
    void settled(const std::string& app);
    void give_up(const std::string& app, const std::string& why, const std::string& last_lines);
    Status go_back(const std::string& app, const std::function<Status()>& say_so);
    bool watched_failed(const Instance& instance, const std::string& kind);
    void came_up(const Instance& instance);
    Status load_switches();
    void cancel_switch(const std::string& app);
    void switches_anew();
    void tick_switches();
    void prune(const std::string& app);

    void load_owners();
    void keep_owners();
    bool is_own_host(const std::string& host) const;
    std::optional<trust::AtExpiry> ended(const AppRow& row) const;
    void follow_expiry();
    registry::UpstreamSpec upstream_spec(const run::Manifest& manifest);
    registry::AppSpec spec_here(const AppRow& row, const run::Manifest& manifest);
    registry::AppSpec spec_there(const AppFacts& facts, registry::Route route,
                                 const std::string& child) const;
    registry::SnapshotSpec snapshot_spec();
    void order(Instance& instance);
    Status order_start(Instance& instance, const AppRow& row, const run::Manifest& manifest);
    void settle(Instance& instance, const Status& status);

    World world_;
    AskAuthority authority_;
    OnChange on_change_;
    BeforeStart before_start_;
    std::function<Status(const std::string&, const std::string&)> on_started_;
    std::map<std::string, AppRow> rows_;
    std::map<std::string, run::Manifest> manifests_;
    std::map<std::string, std::vector<AppFacts>> children_;
    std::map<std::string, std::string> owners_; // app → the child that had the name first
    std::set<std::string> importing_;
    Strand import_work_{world_.ports};
    std::vector<AppFacts> parent_;
    std::map<std::string, std::vector<AppFacts>> peers_;
    std::map<std::string, Instance> instances_;
    std::map<std::string, Leaving> leaving_; // by the spawner's name
    std::map<std::string, Switch> switches_;
    std::map<std::string, std::vector<Address>> upstreams_; // with an address that is down
    std::int64_t next_ask_ = 1;
    bool front_there_ = false;
    bool spawner_there_ = false; // and has said what runs
    std::string isolation_ = "unknown";
    struct Resolved {
        std::vector<std::string> addresses;
        std::int64_t at_us = 0;
        std::int64_t asked_us = 0; // last, by whoever has a use for it
        bool asking = false;
        bool of_an_app = false; // so that the snapshot has it
    };
    std::map<std::string, Resolved> resolved_;
    bool stale_ = true;
    std::uint64_t generation_ = 0;
    std::int64_t trusted_offset_us_ = 0;
    std::int64_t next_end_us_ = 0; // trusted time at which the next lease ends; 0: none does
    std::set<std::string> ended_;  // apps whose lease had ended when we looked last
};

// Keys as in AppFacts. facts_from_json leaves out what is malformed: one bad entry of a neighbour
// must not hide the others.
Json to_json(const std::vector<AppFacts>& facts);
std::vector<AppFacts> facts_from_json(const Json& json);

} // namespace hasp::maint

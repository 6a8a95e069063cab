// The data plane of one loop: users' and neighbours' requests in, apps and neighbours out. A front
// with several loops has an engine for each.
#pragma once

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "billing/usage_ring.h"
#include "net/reactor.h"
#include "net/tls.h"
#include "passon/access_log.h"
#include "passon/identity.h"
#include "passon/keeper_port.h"
#include "passon/settings.h"
#include "registry/snapshot.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::passon {

// Name of the direct neighbour to whom a verified chain (DER, its own first) belongs; an error
// refuses it. Called on the loop's thread after the TLS handshake, must not block.
using NamePeer = std::function<Result<std::string>(const std::vector<std::string>& chain)>;

// How this tier presents itself to its neighbours. The contexts carry the chain check
// (net::VerifyPeer).
struct LinkCredentials {
    std::shared_ptr<const net::TlsContext> client; // toward the parent; null: no parent
    NamePeer name_parent;
    // Numeric "ip:port"; tried in order, from the one that answered last on.
    std::vector<std::string> parent_addresses;
    std::string parent_name; // DNS name in its certificate; empty: name_parent alone decides
    std::string parent_tier; // what name_parent says of the right one
    NamePeer name_child;     // for connections of link listeners; also of peers
};

// A center beside this one: requests for some apps go there, and it may send us some of its own, on
// connections that it opens to our link listeners and for which name_child gives its name.
struct PeerLink {
    std::string name;                   // begins with "@", which no child's does
    std::vector<std::string> addresses; // numeric "ip:port", tried in order
    std::shared_ptr<const net::TlsContext> client;
    NamePeer name_peer; // must give `name`
};
inline bool is_peer_name(std::string_view name) {
    return name.starts_with('@');
}

enum class ListenerKind : std::uint8_t {
    users,    // browsers and programs
    children, // link: TLS with a required client certificate; peers connect there too
    metrics,  // answers GET /metrics (doc/metrics.md), and nothing else
};

// Bodies of requests and answers that crossed links, from this tier's side.
struct LinkBytes {
    std::uint64_t in = 0;
    std::uint64_t out = 0;
};

// Of the cache; since the start, but for what says "now".
struct CacheCounters {
    std::uint64_t hits = 0;      // answered from it, without a word to anybody
    std::uint64_t confirmed = 0; // answered from it, after a 304
    std::uint64_t stale = 0;     // answered from it because nobody else could
    std::uint64_t stored = 0;
    std::uint64_t collapsed = 0; // waited for the answer to another
    std::uint64_t refreshed = 0; // asked for anew beside the requests
    std::uint64_t evicted = 0;
    std::uint64_t entries = 0; // now
    std::uint64_t bytes = 0;   // now
};

struct EngineCounters {
    std::uint64_t connections = 0; // now
    std::uint64_t requests = 0;    // since the start, also all below
    std::uint64_t refused_connections = 0;
    std::uint64_t bad_requests = 0;
    std::uint64_t upstream_opened = 0;
    std::uint64_t upstream_reused = 0;
    std::uint64_t retries = 0;
    std::uint64_t log_bytes_dropped = 0; // of the access log
    std::uint64_t tunnels = 0;           // now
    std::uint64_t exchanges = 0;         // now
    std::uint64_t identities = 0;        // cached now
    std::uint64_t parked = 0;            // reversed connections of children, idle now
    LinkBytes parent;                    // of exchanges that have ended
    LinkBytes children;
    LinkBytes peers;
    CacheCounters cache;
};

// What the engines of a front with several loops share: limits that count for all of them, idle
// connections that one has and another needs, what each knows of the places that requests go to.
//
// The first engine that is made with it is the home: it alone has listeners, control streams and
// reversed connections, and gives users' connections to the loop that has the fewest.
// All engines are made before the first of their threads runs, and none is destroyed before the
// last thread has ended. What the keeper orders is told to the home's engine first, then to the
// others on their own threads (but for add_listener(), set_listener_tls(), set_cache() and
// control_*(), which are the home's alone).
class LoopGroup;
inline constexpr std::size_t loops_max = 64;
// Null for fewer than two.
std::shared_ptr<LoopGroup> make_loop_group(std::size_t loops);

struct EngineParts {
    net::Reactor& reactor; // all of these outlive the engine
    Random& random;
    KeeperPort& keeper;
    AccessLog& access_log;
    const Log& log;
    billing::UsageLane lane;
    std::shared_ptr<LoopGroup> loops{}; // null: this engine is alone
};

// What of the link to the parent an engine makes.
enum class LinkPart : std::uint8_t {
    pool,     // connections for requests upward
    reversed, // also those that the parent's requests come on
    control,  // also the control stream: one engine in all fronts
};

// One thread: its reactor's. Owns its listeners, connections and caches; the destructor closes all
// of them without a callback to the keeper.
class Engine {
  public:
    Engine(EngineParts parts, Settings settings);
    ~Engine();
    Engine(const Engine&) = delete;
    Engine& operator=(const Engine&) = delete;

    // Until the first snapshot every request is answered with 503. Requests under way go on with
    // the one they began with; tunnels whose user may no longer use the app are cut.
    void set_snapshot(std::shared_ptr<const registry::Snapshot> snapshot);
    // New settings count for new connections and requests.
    void set_settings(Settings settings);
    // Keeps answers in `file` from now on: open for reading and writing, of any content, `bytes`
    // large. What an earlier engine left in it is used again. Once; one file is of one engine at a
    // time. After the first listener, what is in the file is to be confirmed before it is used:
    // requests that changed something may have passed by. Errors: it cannot be used.
    Status set_cache(Fd file, std::uint64_t bytes);
    // What is kept up to now is to be confirmed once before it is used: something was changed by
    // way of another engine (KeeperPort::answers_changed()).
    void confirm_answers();
    // The cache takes part in no further request. True: no exchange has anything from it any more,
    // and its file is closed, so that another engine may have it; else call again later.
    bool leave_cache();
    // Forgets identities and cuts the tunnels that run under them.
    void drop_identities(const IdentityFilter& filter);

    // Another process takes, or has taken, the place of the one behind the dial socket `path`:
    // connections to it are not used again. `done` is called once, on this thread and perhaps in
    // this call, when the last of them has ended; never after the engine is gone. `cut_tunnels`:
    // WebSockets to it end at once, else as their ends please.
    void retire(const std::string& path, bool cut_tunnels, std::function<void()> done);

    // Listens on a bound, listening socket. `tls` null: plain; needed for ListenerKind::children.
    Status add_listener(Fd listening, ListenerKind kind,
                        std::shared_ptr<const net::TlsContext> tls);
    // For new connections of all TLS listeners of that kind: a renewed certificate.
    void set_listener_tls(ListenerKind kind, std::shared_ptr<const net::TlsContext> tls);
    // Trust for `upstream` apps over HTTPS. Without it they are answered with 502.
    void set_upstream_tls(std::shared_ptr<const net::TlsContext> tls);

    // Begins, changes or (client null) ends the link to the parent.
    void set_link(LinkCredentials credentials, LinkPart part = LinkPart::control);
    // All peers that there are. One that is there no more is cut off as by close_link(); new
    // credentials count for new connections.
    void set_peers(std::vector<PeerLink> peers);
    // Cuts every connection of the neighbour at once: control stream, reversed and pooled
    // connections, and the requests on them.
    void close_link(std::string_view peer);

    // Queues bytes for a control stream. Code::try_later: its queue is full; Code::unreachable: it
    // is gone.
    Status control_send(ControlId id, std::string_view bytes);
    void control_hold(ControlId id);
    void control_release(ControlId id);
    void control_close(ControlId id);

    // No new connections; idle ones are closed, the others after their request (SIGTERM). idle()
    // tells when nothing is left but tunnels.
    void drain();
    bool idle() const;
    // Another engine has taken the listeners over: no new connections, and no control streams.
    // Those that there are go on. Each connection on which requests come is told with its next
    // answer that it was the last; one that stays without a request ends by its time limit, since a
    // close could cross with a request. left() tells when none is left, tunnels included.
    // set_link() then only renews credentials.
    void leave();
    bool left() const;

    // At the home of several loops: of all of them, the others as they were a moment
    // (Settings::access_flush_ms) ago.
    const EngineCounters& counters() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

} // namespace hasp::passon

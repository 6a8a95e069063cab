// What the parts of one engine share. One thread.
#pragma once

#include "address_counts.h"
#include "endpoint.h"
#include "identity_cache.h"
#include "metrics.h"
#include "net/head.h"
#include "net/listener.h"
#include "passon/engine.h"
#include "peer_words.h"
#include "strangers.h"
#include "upstream_group.h"

#include <array>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace hasp::passon {

class AnswerCache;
class ControlStream;
class Exchange;
class Http2Conn;
class LinkChild;
class LoopGroup;
class ProxyGate;
class ServerConn;
class Shelf;
class StaticRoots;

// Room for any head that is written: the largest head that is read, and what we add to it.
inline constexpr std::size_t head_out_bytes = 48 * 1024;

class Core {
  public:
    Core(EngineParts parts, Settings settings);
    ~Core();
    Core(const Core&) = delete;
    Core& operator=(const Core&) = delete;

    net::Reactor& reactor() { return parts.reactor; }
    // Of several loops this is not the home, which has the listeners and the control streams.
    bool away() const { return loops != nullptr && loop != 0; }
    // See LoopGroup; nothing where this loop is alone, or away.
    void end_era(const std::string& key);
    // Between loops: asks that one for an idle connection; gives one, or null. The shelf outlives
    // the way there, or an era that is counted anew could be taken for the connection's.
    void call_for(const Endpoint& endpoint, std::size_t at);
    void hand_over(std::size_t to, const std::string& key, std::unique_ptr<net::Conn> conn,
                   std::uint64_t era, std::shared_ptr<Shelf> shelf);
    std::int64_t wall_us() const { return parts.reactor.clock().wall_us(); }
    std::int64_t boot_us() const { return parts.reactor.clock().boot_us(); }
    // By which sessions and leases end. Precondition: there is a snapshot.
    std::int64_t trusted_us() const { return boot_us() + snapshot->clock_offset_us(); }
    std::int64_t now_ms() const { return parts.reactor.now_ms(); }
    net::HeadLimits head_limits() const;
    std::uint64_t random_u64();
    // "Mon, 23 Nov 2026 16:20:16 GMT", formatted once a second.
    std::string_view http_date();

    // A manifest of some app maps this name to who the user is: it never comes from outside.
    bool is_mapped(net::Name id) const { return mapped_names.has(id); }
    void set_snapshot(std::shared_ptr<const registry::Snapshot> next);
    // Counters of what is there now.
    void count_now();

    // Exchanges are reused, the last given first.
    Exchange* take_exchange(ServerConn& down);
    void give_exchange(Exchange* exchange);

    // Things that end inside their own callbacks are destroyed after this round of the loop.
    void bury(std::unique_ptr<Mortal> one);

    // An identity that the keeper gave just now; null: nobody.
    void remember(WhoQuestion::Kind kind, std::string_view scope, std::string_view secret,
                  std::shared_ptr<const KnownIdentity> who);

    // Accepted or reversed connections.
    void add_server_conn(std::unique_ptr<ServerConn> conn);
    void remove_server_conn(ServerConn& conn);
    // Connections that this peer has opened and that have shown its name.
    std::size_t conns_of_peer(const std::string& peer) const;
    // One more connection of a user at this address; false: a limit is reached, and nothing is
    // counted.
    bool count(const net::Address& peer);
    void uncount(const std::string& address);
    // The same of one that is no user's, or not yet: there may be so many in all.
    bool count_any(std::size_t most);
    // One more at that listener, counted; false: a limit is reached.
    bool may_enter(ListenerKind kind, const net::Address& peer);
    // For one more at the listener for neighbours, where nobody has shown its name at first: where
    // a limit is reached, another stranger is closed. False: there is none.
    bool make_room_for_stranger(const net::Address& peer);
    // The requests of this peer say whose they are.
    bool believes(const net::Address& peer) const;
    // An accepted connection, of `peer` or of the client that a proxy named.
    void admit(ListenerKind kind, const std::shared_ptr<const net::TlsContext>& tls, Fd socket,
               const net::Address& peer);
    void remove_gate(ProxyGate& gate);
    // Its client speaks HTTP/2: the connection goes on as that, and `conn` ends.
    void begin_http2(ServerConn& conn);
    void remove_http2(Http2Conn& conn);

    ControlStream* control(ControlId id);
    void add_control(std::unique_ptr<ControlStream> stream);
    void remove_control(ControlId id);
    bool has_control_of(std::string_view peer) const;
    // `lost`: all else on the way to that neighbour is, too (ControlStream::End).
    void close_controls_of(std::string_view peer, const std::string& why, bool lost);
    void close_controls(const std::string& why); // in order

    // Marked as down while the child has no control stream and no connection here.
    Endpoint& child_endpoint(std::string_view name);

    EngineParts parts;
    LoopGroup* const loops; // null: this one is alone
    const std::size_t loop; // 0: the home
    Settings settings;
    std::shared_ptr<const registry::Snapshot> snapshot; // see set_snapshot()
    std::uint64_t snapshot_number = 0;                  // how many there were
    net::NameSet mapped_names;                          // of those that the snapshot strips
    net::NameSet passing_names; // that requests under the snapshot take along as they are
    std::shared_ptr<const net::TlsContext> upstream_tls;
    LinkCredentials credentials;
    std::map<std::string, PeerLink, std::less<>> peers;
    PeerWords peer_words;
    EngineCounters counters;
    Metrics metrics;
    IdentityCache identities;
    Endpoints endpoints;
    Upstreams upstreams; // ends before the endpoints do
    std::unique_ptr<StaticRoots> static_roots;
    std::unique_ptr<AnswerCache> cache; // null: there is none
    std::unique_ptr<LinkChild> link_child;
    std::list<std::unique_ptr<ServerConn>> conns;
    std::list<std::unique_ptr<Http2Conn>> http2_conns;
    std::list<std::unique_ptr<ProxyGate>> gates;
    AddressCounts addresses; // where there are no other loops
    Strangers strangers;
    bool draining = false;              // nothing new is begun; also when leaving
    bool leaving = false;               // Engine::leave(): what is here already gets its answers
    const std::int64_t children_due_ms; // until then, children that are not here are on their way
    std::size_t coders = 0;             // of answers that are compressed now
    // Ends with the core: callbacks of the keeper hold a weak pointer to it.
    std::shared_ptr<bool> alive = std::make_shared<bool>(true);

    // Scratch of synchronous steps; never held across a return to the loop.
    std::array<char, head_out_bytes> head_out;
    net::AnswerHead answer_head;
    net::AnswerHead stored_head;
    std::string text;
    std::string file_chunk;

    struct ListenerEntry {
        ListenerKind kind;
        std::shared_ptr<const net::TlsContext> tls;
        std::unique_ptr<net::Listener> listener;
    };
    std::vector<std::unique_ptr<ListenerEntry>> listeners;
    void accepted(const ListenerEntry& entry, Fd socket, const net::Address& peer);
    // A connection of a user, or of a proxy in front that is about to say whose it is.
    void begin_user(Fd socket, const net::Address& peer,
                    const std::shared_ptr<const net::TlsContext>& tls);

  private:
    std::size_t own_connections() const { return conns.size() + http2_conns.size() + gates.size(); }
    std::size_t all_connections() const; // of all loops
    // Users leave a share of all to links: no flood of theirs keeps a tier out.
    std::size_t users_max() const {
        return settings.connections_max - settings.connections_max / 8;
    }
    void connections_changed();
    void report();
    void empty_graveyard();
    void on_flush();

    std::vector<std::unique_ptr<Exchange>> exchanges_; // all
    std::vector<Exchange*> free_exchanges_;
    std::vector<std::unique_ptr<Mortal>> graveyard_;
    net::Task graveyard_task_;
    net::Timer flush_timer_;
    std::unordered_map<ControlId, std::unique_ptr<ControlStream>> controls_;
    std::size_t told_connections_ = 0; // that count among those of all loops
    std::string date_;
    std::int64_t date_s_ = 0;
    std::uint64_t dropped_said_ = 0; // bytes of the access log
    std::int64_t dropped_said_ms_ = 0;
    std::array<std::uint64_t, 256> random_{};
    std::size_t random_at_ = 256;
};

} // namespace hasp::passon

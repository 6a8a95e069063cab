// Where requests are sent to, and the connections kept for it.
#pragma once

#include "net/conn.h"
#include "net/dial.h"
#include "wire.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace hasp::passon {

class Core;
class Endpoint;
class Exchange;
class Peer;
class Shelf;

// Something that may end inside its own callbacks: see Core::bury().
struct Mortal {
    Mortal() = default;
    Mortal(const Mortal&) = delete;
    Mortal& operator=(const Mortal&) = delete;
    virtual ~Mortal() = default;
};

// A connection on which we are the client: of one exchange, or idle in its endpoint.
class UpstreamConn final : public Mortal, public net::ConnOwner {
  public:
    UpstreamConn(Core& core, Endpoint& endpoint);
    ~UpstreamConn() override;

    // Begins to connect; the exchange gets on_up_open or on_up_fail.
    Status connect(const net::Address& address, std::shared_ptr<const net::TlsContext> tls,
                   const std::string& name);
    // Takes an open connection: from an app's dialer, or a reversed one.
    Status adopt(Fd socket);
    void adopt(std::unique_ptr<net::Conn> conn);
    // Takes one that has left another loop (net::Conn::detach()).
    Status adopt_moved(std::unique_ptr<net::Conn> conn);

    Wire wire;
    Exchange* exchange = nullptr;
    Endpoint& endpoint;
    bool reused = false;
    const std::uint64_t generation; // of its endpoint, when it was made
    std::uint64_t era;              // of the endpoint at all loops, likewise
    std::int64_t idle_since_ms = 0;
    bool is_to_neighbour() const;
    // It is open, failed or given up: another may be dialled in its place.
    void settled();

  private:
    void on_open(net::Conn& conn) override;
    void on_ready(net::Conn& conn) override;
    void on_fail(net::Conn& conn) override;
    Core& core_;
    bool connecting_ = false;
};

enum class EndpointKind : std::uint8_t { address, process, parent, child, peer };

class Endpoint {
  public:
    Endpoint(Core& core, EndpointKind kind, std::string key);
    ~Endpoint();
    Endpoint(const Endpoint&) = delete;
    Endpoint& operator=(const Endpoint&) = delete;

    EndpointKind kind() const { return kind_; }
    const std::string& key() const { return key_; }

    // An idle connection that looks alive, the last used first; null: none.
    std::unique_ptr<UpstreamConn> take_idle();
    // Back from an exchange, to be reused. Dropped when there are enough.
    void put_idle(std::unique_ptr<UpstreamConn> conn);
    // An idle connection ended by itself.
    void drop_idle(UpstreamConn& conn);
    void close_idle();
    void close_older_than(std::int64_t idle_since_ms);
    std::size_t idle_count() const { return idle_.size(); }

    // Exchanges that wait for a start, a reversed connection, or their turn to connect. False: too
    // many.
    bool wait(Exchange& exchange);
    void forget(Exchange& exchange);
    std::size_t waiting_count() const { return waiting_.size() + borrowing_.size(); }
    // The longest waiting exchange; null: none.
    Exchange* next_waiting();

    // Of a front with several loops. Where another loop has an idle connection it is asked for it,
    // and the exchange waits: it gets on_turn() with it, or without. False: no other has one.
    bool borrow(Exchange& exchange);
    // The same for whoever waits here longest, without a word where there is none.
    void call_for_one();
    // Of another loop's call: an idle connection goes there, or the word that there is none.
    void give(std::size_t to);
    // What another loop gives; null: it has none any more.
    void arrive(std::unique_ptr<net::Conn> conn, std::uint64_t era);
    bool idle_anywhere() const;
    std::uint64_t era() const { return shelf_ == nullptr ? 0 : shared_era(); }
    // How it stands goes to the other loops, and comes from them: whoever finds out first finds out
    // for all. Not of addresses of apps, see upstream_group.h.
    struct Standing {
        bool down = false;
        std::int64_t down_since_us = 0;
        std::int64_t retry_at_ms = 0;
        std::int64_t marked_down_ms = 0;
        std::int64_t backoff_ms = 0;
        std::string why;
        std::int64_t due_ms = 0;
        bool linked = false;
        bool knocked = false;
    };
    void tell_loops();
    void follow(const Standing& standing);
    bool linked = false; // of a child, at a loop away: the home has its control stream

    // Asks the keeper to start the app's instance, unless that is under way already; waiting
    // exchanges get on_started().
    void start(const std::string& app, const std::string& user, std::string request_id);

    // Addresses in order; connects begin at the one that worked last.
    std::vector<net::Address> addresses;
    std::size_t preferred = 0;
    std::shared_ptr<const net::TlsContext> tls;
    std::string verify_name;
    // Of a neighbour: where it is now, by which certificate of ours, and under what name it shows
    // itself. Kept connections are for one of each: with another certificate or name, or where an
    // address is none any more, those that there are take no further request. The address that
    // worked last stays the preferred one, if it is still there.
    void reach(std::vector<net::Address> now, std::shared_ptr<const net::TlsContext> by,
               std::string name);
    // It has answered there.
    void answers_at(const net::Address& address);
    std::optional<net::Address> answered_at; // last
    // Of an address of an upstream app (upstream_group.h): the peer that it belongs to, null when
    // the app has gone; whether it speaks TLS; Host, and what is put before the path.
    Peer* peer = nullptr;
    bool secure = false;
    std::string host_field;
    std::string base_path;

    // All addresses failed: nobody is tried before retry_at_ms, every request is answered at once.
    bool down = false;
    std::int64_t down_since_us = 0;
    std::int64_t retry_at_ms = 0;
    std::int64_t backoff_ms = 0;
    std::string down_why;
    // Somebody else finds out when it is back (LinkChild), and no request waits for an answer to
    // that. Ends with mark_up().
    bool knocked = false;
    void mark_down(std::string why);
    void mark_up();
    std::int64_t due_ms = 0; // of a child that went in order: until then it counts as on its way
    // Nothing is known of how it stands: another may take its key.
    void forget_state();

    std::size_t busy = 0; // connections, also idle ones

    // Whoever is behind the key is replaced by another: connections that there are take no further
    // request, and `done` is called when the last of them has ended, perhaps in this call.
    void retire(std::function<void()> done);
    // The same without a word at the end.
    void renew();
    std::uint64_t generation() const { return generation_; }
    // One of them has ended.
    void gone(std::uint64_t generation);

    // Whether one more may be dialled now: see Settings::connecting_an_endpoint_max.
    bool may_connect() const;
    std::size_t connecting = 0;
    // A turn to connect or an idle connection may be there for who waits: looked at behind the
    // round, since the caller is in the middle of something.
    void turn_free();

  private:
    void give_turns();
    void prefer(const net::Address& address);
    void idle_changed() {
        if (shelf_ != nullptr) {
            tell_idle();
        }
    }
    void tell_idle();
    void waiting_changed();
    std::uint64_t shared_era() const;
    Core& core_;
    EndpointKind kind_;
    std::string key_;
    std::uint64_t generation_ = 0;
    struct Retired {
        std::uint64_t below; // generations that it waits for
        std::size_t left;
        std::function<void()> done;
    };
    std::vector<Retired> retired_; // outlives the idle ones, which count themselves out
    std::vector<std::unique_ptr<UpstreamConn>> idle_;
    struct Waiter {
        Exchange* exchange;
        std::int64_t since_ms; // more than 0
    };
    std::vector<Waiter> waiting_;      // who waits longest first
    std::vector<Exchange*> borrowing_; // wait for the answer of another loop
    std::shared_ptr<Shelf> shelf_;     // null: there are no other loops
    net::Task turns_;
    std::int64_t marked_down_ms_ = 0;
    bool starting_ = false;
    bool told_ = false; // of a peer: the keeper knows how it stands
    void tell_keeper();
};

// A pause of at least half of `ms`, and at most all of it: `chance` is a random number, so that a
// thousand locals do not come back at the same moment.
std::int64_t half_by_chance(std::int64_t ms, std::uint64_t chance);

// Of numeric "ip:port"; what is none is left out.
std::vector<net::Address> parsed_addresses(const std::vector<std::string>& texts);

class Endpoints {
  public:
    explicit Endpoints(Core& core) : core_(core) {}
    // The endpoint with this key, made when it is new.
    Endpoint& get(EndpointKind kind, std::string_view key);
    Endpoint* find(std::string_view key);
    // Closes what has been idle too long and forgets endpoints that nobody uses.
    void sweep(std::int64_t now_ms, std::int64_t idle_ms);
    template <typename Do>
    void each(Do what) {
        for (auto& [key, one] : map_) {
            what(*one);
        }
    }

  private:
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const {
            return std::hash<std::string_view>{}(text);
        }
    };
    Core& core_;
    std::unordered_map<std::string, std::unique_ptr<Endpoint>, Hash, std::equal_to<>> map_;
};

} // namespace hasp::passon

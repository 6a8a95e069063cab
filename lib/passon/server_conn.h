// A connection on which we are the server: of a user, of a child, of a peer, or a reversed one on
// which the parent is the client.
#pragma once

#include "endpoint.h"
#include "net/timer.h"
#include "request_memo.h"
#include "strangers.h"
#include "wire.h"

#include <list>
#include <memory>
#include <string>

namespace hasp::passon {

class Core;
class Exchange;

enum class From : std::uint8_t { user, child, parent, peer };

// HTTP/1.1: one exchange at a time; bytes of the next request wait unread.
class ServerConn final : public Mortal, public net::ConnOwner {
  public:
    ServerConn(Core& core, From from, bool tls);
    ~ServerConn() override;

    Status accept(Fd socket, const net::Address& peer, std::shared_ptr<const net::TlsContext> tls);
    // One stream of an HTTP/2 connection.
    void take_stream(std::unique_ptr<net::Carrier> carrier, const net::Address& peer);
    // A request of the cache's own, judged like those that come from `peer` and `address`.
    void take_beside(std::unique_ptr<net::Carrier> carrier, std::string peer,
                     const net::Address& address);
    // A reversed connection that our parent may now use; `peer` is its name. `link`:
    // LinkChild::link() when it was begun.
    void take_reversed(std::unique_ptr<net::Conn> conn, std::string peer, std::uint64_t link);

    From from() const { return from_; }
    bool tls() const { return tls_; }
    bool proxied() const { return proxied_; }               // its requests say whose they are
    const std::string& peer() const { return peer_; }       // the neighbour's name; empty for users
    const std::string& address() const { return address_; } // without port
    // The request under way is the last one here: its answer is to say so.
    bool last_request() const;
    bool is_stream() const { return single_; } // of HTTP/2
    bool busy() const { return exchange_ != nullptr; }
    bool in_request() const { return exchange_ != nullptr && !reading_head_; }
    Exchange* exchange() const { return exchange_; }
    // Null: there was no request before here, or what its requests say is not one client's.
    RequestMemo* memo() const { return memo_.get(); }
    void forget_memo();

    Wire wire;
    bool beside = false;  // nobody waits for the answer: the cache renews what it has
    bool metrics = false; // of a listener for metrics
    // For Core: among the connections of its address; and of those whose names are not known.
    bool counted = false;
    bool unverified = false;
    Strangers::Place stranger_place; // while it is unverified

    // The exchange ended. `keep`: the connection stands at the end of the request and may take
    // another.
    void finish(bool keep);
    // Drops everything now, without a word.
    void close();
    // No further request (drain): an idle connection is closed, a busy one after its exchange.
    void retire();
    // The next answer says that it was the last; an idle connection stays until then. A reversed
    // one is given back to the parent.
    void leave();
    // Leaves this object: it becomes something else (a control stream, a reversed connection). Ends
    // this one.
    std::unique_ptr<net::Conn> give_up();

    std::list<std::unique_ptr<ServerConn>>::iterator place; // for Core

  private:
    void on_open(net::Conn& conn) override;
    void on_ready(net::Conn& conn) override;
    void on_fail(net::Conn& conn) override;
    void on_time();
    std::int64_t idle_ms() const;
    void see_rest();
    void advance();
    bool take_request();
    void close_politely();
    void give_back();

    Core& core_;
    From from_;
    bool tls_;
    bool proxied_ = false;
    std::string peer_;
    std::string address_;
    Exchange* exchange_ = nullptr;
    net::Timer timer_;
    std::size_t seen_ = 0;
    std::size_t requests_ = 0;
    std::unique_ptr<RequestMemo> memo_;
    std::uint64_t rest_from_ = 0; // delivered() when the rest of an answer was looked at last
    bool reading_head_ = false;   // exchange_ is set, but its head is not complete
    bool advancing_ = false;
    bool closing_ = false; // nothing more is read; closed when flushed
    bool gone_ = false;
    bool single_ = false; // a stream of HTTP/2 has one request
    bool retired_ = false;
    bool leaving_ = false;
    bool parked_ = false;    // a reversed connection that is idle
    std::uint64_t link_ = 0; // of a reversed one: LinkChild::link()
};

} // namespace hasp::passon

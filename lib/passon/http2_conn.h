// An HTTP/2 connection of a user. Each of its streams is a ServerConn of its own, over a carrier.
#pragma once

#include "endpoint.h"
#include "net/http2.h"
#include "net/timer.h"

#include <list>
#include <memory>
#include <string>

namespace hasp::passon {

class Core;

class Http2Conn final : public Mortal, public net::ConnOwner {
  public:
    // `conn` has agreed on "h2". `address` is counted already, and released at the end.
    Http2Conn(Core& core, std::unique_ptr<net::Conn> conn, std::string address);
    ~Http2Conn() override;

    // Once it has its place: what came with the handshake is read.
    void begin();
    // No further streams (drain); closed after the last.
    void retire();
    // The client is asked to take another connection; streams that it opens meanwhile are served.
    void leave();
    void close(const std::string& why);
    //    // Something is still to be written of answers, perhaps of ones whose exchanges have
    //    ended.
    bool owes() const { return !out_.empty() || server_.owes(); }
    const std::string& address() const { return address_; }

    std::list<std::unique_ptr<Http2Conn>>::iterator place; // for Core

  private:
    void on_open(net::Conn&) override {}
    void on_ready(net::Conn& conn) override;
    void on_fail(net::Conn& conn) override;
    std::int64_t look_ms() const;
    void on_time();
    void on_head_time();
    void on_task();
    void read();
    void write();
    bool flush();
    void take_requests();

    Core& core_;
    std::unique_ptr<net::Conn> conn_;
    std::string address_;
    net::Task task_;
    net::Http2Server server_;
    net::Timer timer_; // a look at what stands still
    net::Timer head_timer_;
    std::string out_;
    std::size_t out_at_ = 0;
    std::int64_t active_ms_ = 0;         // when there was a request last
    std::uint64_t delivered_looked_ = 0; // at the last look
    bool waited_at_look_ = false;
    bool ending_ = false; // nothing more is read; closed when flushed
    bool retired_ = false;
    bool gone_ = false;
};

} // namespace hasp::passon

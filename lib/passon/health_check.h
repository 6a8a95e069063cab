// One check of one address: a connect, and the head of one answer where the app's manifest names a
// path. Ends by itself within the rules' time-out. One thread: the loop's.
#pragma once

#include "endpoint.h"
#include "net/timer.h"
#include "wire.h"

#include <cstddef>
#include <string>

namespace hasp::passon {

class Core;
class Peer;
class UpstreamGroup;

class HealthCheck final : public Mortal, public net::ConnOwner {
  public:
    // All outlive it.
    HealthCheck(Core& core, const UpstreamGroup& group, Peer& peer);
    ~HealthCheck() override;

    // Peer::checked() follows, never inside this call. Code::try_later: this machine lacks
    // something, which says nothing of the peer, and nothing follows.
    Status begin();

  private:
    void on_open(net::Conn& conn) override;
    void on_ready(net::Conn& conn) override;
    void on_fail(net::Conn& conn) override;
    void on_time();
    void read();
    void finish(const std::string& why);

    Core& core_;
    const UpstreamGroup& group_;
    Peer& peer_;
    Wire wire_;
    net::Timer timer_;
    std::size_t seen_ = 0;
    int interim_ = 0; // answers before the answer
    bool asked_ = false;
    bool over_ = false;
};

} // namespace hasp::passon

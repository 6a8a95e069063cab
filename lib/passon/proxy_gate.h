// A connection of a trusted proxy until its PROXY header has come. The bytes behind the header stay
// in the socket, for TLS or HTTP to find.
#pragma once

#include "endpoint.h"
#include "net/reactor.h"
#include "net/timer.h"

#include <list>
#include <memory>

namespace hasp::passon {

class Core;

class ProxyGate final : public Mortal, private net::Handler {
  public:
    // Takes the connected, non-blocking socket.
    ProxyGate(Core& core, Fd socket, const net::Address& proxy,
              std::shared_ptr<const net::TlsContext> tls);
    ~ProxyGate() override;
    Status begin();

    std::list<std::unique_ptr<ProxyGate>>::iterator place; // for Core

  private:
    void on_edges(net::Edges edges) override;
    void on_time();
    void look();
    void end(const char* why);

    Core& core_;
    Fd socket_;
    net::Address proxy_;
    std::shared_ptr<const net::TlsContext> tls_;
    net::Timer timer_;
    bool added_ = false;
};

} // namespace hasp::passon

// The control stream to a neighbour: its bytes go to the keeper and come from it; nothing of them
// is understood here.
#pragma once

#include "endpoint.h"
#include "passon/keeper_port.h"
#include "wire.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace hasp::passon {

class Core;

class ControlStream final : public Mortal, public net::ConnOwner {
  public:
    // Takes an upgraded connection, tells the keeper, and hands it what came early. A stream of the
    // same peer is replaced.
    static void begin(Core& core, std::unique_ptr<net::Conn> conn, const std::string& peer,
                      bool to_parent, std::string_view early);

    ControlStream(Core& core, ControlId id, std::unique_ptr<net::Conn> conn, std::string peer,
                  bool to_parent);
    ~ControlStream() override;

    ControlId id() const { return id_; }
    const std::string& peer() const { return peer_; }
    bool to_parent() const { return to_parent_; }

    Status send(std::string_view bytes);
    void hold() { held_ = true; }
    void release();
    // In order: only this stream ends, because one of the keepers was started again; the link
    // carries requests as before. Lost: so is everything else on the way to that neighbour.
    enum class End : std::uint8_t { in_order, lost };
    // Ends it and tells the keeper why. This object is destroyed later.
    void close(const std::string& why, End end = End::lost);

  private:
    void on_open(net::Conn&) override {}
    void on_ready(net::Conn& conn) override;
    void on_fail(net::Conn& conn) override;
    void read();

    Core& core_;
    ControlId id_;
    Wire wire_;
    std::string peer_;
    bool to_parent_;
    bool held_ = false;
    bool closed_ = false;
};

} // namespace hasp::passon

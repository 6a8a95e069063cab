// Our side of the link to the parent: we open everything. One control stream, some reversed
// connections, and the pool for requests.
#pragma once

#include "endpoint.h"
#include "net/timer.h"
#include "passon/engine.h"
#include "wire.h"

#include <memory>
#include <string>
#include <vector>

namespace hasp::passon {

class Core;

class LinkChild {
  public:
    explicit LinkChild(Core& core);
    ~LinkChild();

    // Uses core.credentials. Old connections are closed when the parent changed.
    void start(bool control);
    void stop(const std::string& why);
    // Opens nothing any more; what there is stays in use. What is on its way to become a reversed
    // connection arrives, since the parent may send a request on it, and is given back then.
    void leave();
    bool opening() const { return !openings_.empty(); }
    // For pools and for what is opened from now on; changes nothing else.
    void use_credentials();
    const std::string& parent() const { return parent_; }
    // On a connection of the pool.
    void met(const std::string& parent) { parent_ = parent; }
    // Somebody would have a use for the link: tries now what would be tried later.
    void knock();
    // Changes with each control stream: behind the next one there may be another process of the
    // parent's, which has none of the connections that were parked before.
    std::uint64_t link() const { return link_; }

    // Not lost: the parent's keeper or ours was started again, and requests go on meanwhile.
    void on_control_closed(const std::string& why, bool lost);
    // Of reversed connections.
    void on_parked_used(std::uint64_t link);
    void on_parked_idle(std::uint64_t link);
    void on_parked_closed(bool was_idle, std::uint64_t link);

  private:
    class Opening;
    friend class Opening;
    void open_control();
    void open_parked();
    void try_first_ones();
    void prefer(const std::string& address);
    void opened(Opening& opening, std::unique_ptr<net::Conn> conn, net::Buffer rest,
                std::string peer, const std::string& address);
    void failed(Opening& opening, const std::string& why);
    void forget(Opening& opening);
    void end_openings(bool (*which)(const Opening&));
    void retry_later();
    void on_retry();
    void on_calm();
    void report(bool up, const std::string& why);
    Endpoint& is_down(const std::string& why);

    Core& core_;
    std::vector<std::unique_ptr<Opening>> openings_;
    net::Timer retry_;
    net::Timer calm_;
    std::string parent_;
    std::string address_;                // of the control stream
    std::string reached_;                // of the last connection
    std::vector<std::string> addresses_; // as credentials last had them
    std::int64_t backoff_ms_ = 0;
    std::uint32_t calms_ = 0; // since the first ones were tried last
    std::uint32_t next_trial_ = 1;
    std::size_t preferred_ = 0;
    std::uint64_t link_ = 0;
    std::size_t idle_ = 0; // of this link
    std::size_t target_ = 0;
    bool wants_control_ = false;
    bool control_up_ = false;
    bool had_control_ = false;
    bool opening_control_ = false;
    bool running_ = false;
    bool reported_ = false;
    bool reported_up_ = false;
    std::string reported_why_;
    std::string reported_reached_;
    std::int64_t since_us_ = 0;
};

} // namespace hasp::passon

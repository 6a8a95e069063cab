// Front's questions to the keeper, over the socket pair: passon::KeeperPort as frames (catalogue:
// maint/keeper.h). Questions that wait when the keeper dies are asked again of the next one.
#pragma once

#include "ipc/channel.h"
#include "json_tools.h"
#include "net/reactor.h"
#include "passon/keeper_port.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

namespace hasp::cmd {

// That wait for the keeper at a time; one more is answered with an error at once.
inline constexpr std::size_t questions_max = 10'000;

class FrontPort final : public passon::KeeperPort, private net::Handler {
  public:
    // Frames that are no answers go to `on_order`.
    FrontPort(net::Reactor& reactor, std::function<void(const Json&, ipc::Frame&&)> on_order);
    ~FrontPort();

    // Before the first question: the id that it gets.
    void number_from(std::uint64_t first) { next_ = first; }
    // A new end of the socket pair.
    void connect(Fd socket);
    // Whether this front leads, as the supervisor says; the keeper is told, with all states.
    void lead(bool leads);
    void send(const Json& head, std::string_view body = {});

    void ask_who(passon::WhoQuestion question,
                 std::function<void(passon::WhoAnswer)> answer) override;
    void ask_page(passon::PageQuestion question,
                  std::function<void(Result<passon::PageAnswer>)> answer) override;
    void ask_start(passon::StartQuestion question,
                   std::function<void(passon::StartAnswer)> answer) override;
    void ask_assertion(passon::AssertionQuestion question,
                       std::function<void(Result<passon::AssertionAnswer>)> answer) override;
    void peer_changed(const passon::PeerState& state) override;
    void answers_changed() override;
    void parent_changed(const passon::ParentState& state) override;
    void upstream_changed(const passon::UpstreamState& state) override;
    void control_opened(const passon::ControlOpened& opened) override;
    void control_data(passon::ControlId id, std::string_view bytes) override;
    void control_closed(passon::ControlId id, const std::string& why) override;

    // The control streams that are open, so that they can be closed when the keeper behind them is
    // another.
    std::vector<passon::ControlId> open_controls() const;

  private:
    struct Waiting {
        std::string head;
        std::string body;
        std::function<void(const Json&, std::string&&)> done;
    };
    void on_edges(net::Edges edges) override;
    void pump();
    void tell_states();
    void send_peer(const passon::PeerState& state);
    void send_upstream(const passon::UpstreamState& state);
    void take(ipc::Frame&& frame);
    void ask(Json head, std::string body, std::function<void(const Json&, std::string&&)> done);

    net::Reactor& reactor_;
    std::function<void(const Json&, ipc::Frame&&)> on_order_;
    std::unique_ptr<ipc::Channel> channel_;
    int registered_ = -1;
    net::Task again_;
    std::uint64_t next_ = 1;
    std::map<std::uint64_t, Waiting> waiting_;
    std::map<passon::ControlId, std::string> controls_;
    bool leads_ = false;
    passon::ParentState parent_;
    std::map<std::string, passon::PeerState> peers_;
    std::map<std::string, passon::UpstreamState> upstreams_; // of apps with an address that is down
};

} // namespace hasp::cmd

// What an engine away from the home asks of the keeper: the home's port asks, on the home's thread,
// and the answer comes back to this engine's.
#pragma once

#include "net/reactor.h"
#include "passon/keeper_port.h"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>

namespace hasp::passon {

// Belongs to its engine's thread and outlives that engine. The callbacks stay here, so that none is
// called, or destroyed, on another thread. Both reactors and the home's port outlive it, and none
// of the two threads runs any more when it is destroyed (see LoopGroup). As many questions are
// under way as requests that wait.
class KeeperRelay final : public KeeperPort {
  public:
    KeeperRelay(net::Reactor& own, net::Reactor& home, KeeperPort& port);

    void ask_who(WhoQuestion question, std::function<void(WhoAnswer)> answer) override;
    void ask_page(PageQuestion question, std::function<void(Result<PageAnswer>)> answer) override;
    void ask_start(StartQuestion question, std::function<void(StartAnswer)> answer) override;
    void ask_assertion(AssertionQuestion question,
                       std::function<void(Result<AssertionAnswer>)> answer) override;
    void upstream_changed(const UpstreamState& state) override;
    void peer_changed(const PeerState& state) override;
    void answers_changed() override;

    // The home's alone: never called.
    void parent_changed(const ParentState&) override {}
    void control_opened(const ControlOpened&) override {}
    void control_data(ControlId, std::string_view) override {}
    void control_closed(ControlId, const std::string&) override {}

  private:
    template <typename Answer>
    using Waiting = std::map<std::uint64_t, std::function<void(Answer)>>;
    template <typename Question, typename Answer>
    void ask(Question question, std::function<void(Answer)> answer, Waiting<Answer>& waiting,
             void (KeeperPort::*asks)(Question, std::function<void(Answer)>));
    void at_home(std::function<void(KeeperPort&)> what);

    net::Reactor& own_;
    net::Reactor& home_;
    KeeperPort& port_;
    std::uint64_t next_ = 1;
    Waiting<WhoAnswer> who_;
    Waiting<Result<PageAnswer>> pages_;
    Waiting<StartAnswer> starts_;
    Waiting<Result<AssertionAnswer>> assertions_;
};

} // namespace hasp::passon

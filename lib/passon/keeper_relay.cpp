#include "passon/keeper_relay.h"

namespace hasp::passon {

KeeperRelay::KeeperRelay(net::Reactor& own, net::Reactor& home, KeeperPort& port)
    : own_(own), home_(home), port_(port) {}

template <typename Question, typename Answer>
void KeeperRelay::ask(Question question, std::function<void(Answer)> answer,
                      Waiting<Answer>& waiting,
                      void (KeeperPort::*asks)(Question, std::function<void(Answer)>)) {
    const std::uint64_t id = next_++;
    waiting.emplace(id, std::move(answer));
    const auto come_back = [this, id, &waiting](Answer said) {
        own_.post_from_any_thread([id, &waiting, said = std::move(said)]() mutable {
            if (auto at = waiting.extract(id); !at.empty()) {
                at.mapped()(std::move(said));
            }
        });
    };
    // Asked once: a page's body is handed on, not copied.
    at_home([question = std::move(question), come_back, asks](KeeperPort& port) mutable {
        (port.*asks)(std::move(question), come_back);
    });
}

void KeeperRelay::at_home(std::function<void(KeeperPort&)> what) {
    home_.post_from_any_thread([&port = port_, what = std::move(what)] { what(port); });
}

void KeeperRelay::ask_who(WhoQuestion question, std::function<void(WhoAnswer)> answer) {
    ask(std::move(question), std::move(answer), who_, &KeeperPort::ask_who);
}

void KeeperRelay::ask_page(PageQuestion question, std::function<void(Result<PageAnswer>)> answer) {
    ask(std::move(question), std::move(answer), pages_, &KeeperPort::ask_page);
}

void KeeperRelay::ask_start(StartQuestion question, std::function<void(StartAnswer)> answer) {
    ask(std::move(question), std::move(answer), starts_, &KeeperPort::ask_start);
}

void KeeperRelay::ask_assertion(AssertionQuestion question,
                                std::function<void(Result<AssertionAnswer>)> answer) {
    ask(std::move(question), std::move(answer), assertions_, &KeeperPort::ask_assertion);
}

void KeeperRelay::upstream_changed(const UpstreamState& state) {
    at_home([state](KeeperPort& port) { port.upstream_changed(state); });
}

void KeeperRelay::peer_changed(const PeerState& state) {
    at_home([state](KeeperPort& port) { port.peer_changed(state); });
}

void KeeperRelay::answers_changed() {
    at_home([](KeeperPort& port) { port.answers_changed(); });
}

} // namespace hasp::passon

#include "front_port.h"

#include "control.h"
#include "registry/snapshot.h"
#include "signon/identity.h"

#include <algorithm>

namespace hasp::cmd {

namespace {

std::shared_ptr<const passon::Identity> peer_identity_of(const Json& peer);

Result<std::shared_ptr<const passon::Identity>> identity_of(const Json& answer) {
    if (const Json& peer = member(answer, "peer"); peer.is_object()) {
        return peer_identity_of(peer);
    }
    if (!member(answer, "identity").is_object()) {
        const Error error = error_of(member(answer, "error"));
        if (error.code == Code::try_later || error.code == Code::unreachable ||
            error.code == Code::timed_out) {
            return error;
        }
        return std::shared_ptr<const passon::Identity>();
    }
    auto who = signon::decode_identity(dump(member(answer, "identity")));
    if (!who.ok()) {
        return who.error();
    }
    auto identity = std::make_shared<passon::Identity>();
    identity->sid = who->sid;
    identity->user = who->user;
    identity->name = who->name;
    identity->email = who->email;
    identity->groups = who->groups;
    for (const std::string& app : who->apps) {
        identity->apps.push_back(registry::name_hash(app));
    }
    std::sort(identity->apps.begin(), identity->apps.end());
    identity->until_us = who->until_us;
    identity->since_us = int_of(answer, "since_us");
    identity->home = true_of(answer, "home");
    identity->reads = true_of(answer, "reads");
    return std::shared_ptr<const passon::Identity>(std::move(identity));
}

// A word of the peer's keeper, good for one app. It names no session.
std::shared_ptr<const passon::Identity> peer_identity_of(const Json& peer) {
    auto identity = std::make_shared<passon::Identity>();
    identity->user = text_of(peer, "user");
    identity->apps = {registry::name_hash(text_of(peer, "app"))};
    identity->until_us = int_of(peer, "until_us");
    return identity;
}

} // namespace

FrontPort::FrontPort(net::Reactor& reactor, std::function<void(const Json&, ipc::Frame&&)> on_order)
    : reactor_(reactor), on_order_(std::move(on_order)),
      again_([](void* self) { static_cast<FrontPort*>(self)->pump(); }, this) {}

FrontPort::~FrontPort() {
    if (registered_ >= 0) {
        reactor_.remove(registered_, *this);
    }
}

void FrontPort::lead(bool leads) {
    leads_ = leads;
    tell_states();
}

// From who leads they count (FrontSet).
void FrontPort::tell_states() {
    if (leads_) {
        send({{"t", "lead"}});
    }
    send({{"t", "parent"},
          {"up", parent_.up},
          {"address", parent_.address},
          {"since_us", parent_.since_us},
          {"why", parent_.why},
          {"reached", parent_.reached}});
    for (const auto& [name, state] : peers_) {
        send_peer(state);
    }
    for (const auto& [app, state] : upstreams_) {
        send_upstream(state);
    }
}

void FrontPort::connect(Fd socket) {
    if (registered_ >= 0) {
        reactor_.remove(registered_, *this);
        registered_ = -1;
    }
    channel_ = std::make_unique<ipc::Channel>(
        std::move(socket), ipc::Channel::Callbacks{[this](ipc::Frame&& f) { take(std::move(f)); },
                                                   [](const Error&) {}});
    if (reactor_.add(channel_->fd(), *this).ok()) {
        registered_ = channel_->fd();
    }
    tell_states();
    for (const auto& [id, question] : waiting_) {
        [[maybe_unused]] const Status sent = channel_->send(question.head, question.body);
    }
}

void FrontPort::send_upstream(const passon::UpstreamState& state) {
    Json addresses = Json::array();
    for (const auto& one : state.addresses) {
        addresses.push_back({{"address", one.address},
                             {"up", one.up},
                             {"since_us", one.since_us},
                             {"why", one.why}});
    }
    send({{"t", "upstream"}, {"app", state.app}, {"addresses", addresses}});
}

void FrontPort::send(const Json& head, std::string_view body) {
    if (channel_ != nullptr && !channel_->closed()) {
        [[maybe_unused]] const Status sent = channel_->send(dump(head), body);
    }
}

void FrontPort::on_edges(net::Edges) {
    pump();
}

void FrontPort::pump() {
    if (channel_ == nullptr || channel_->closed()) {
        return;
    }
    if (channel_->on_ready()) {
        reactor_.post(again_);
    }
    if (channel_->closed() && registered_ >= 0) {
        // The descriptor is closed and left epoll with that; the supervisor brings the next one.
        reactor_.remove(registered_, *this);
        registered_ = -1;
    }
}

void FrontPort::take(ipc::Frame&& frame) {
    const Json head = parse_object(frame.head);
    const std::string type = text_of(head, "t");
    if (type == "who" || type == "page" || type == "start" || type == "assertion") {
        const auto at = waiting_.find(static_cast<std::uint64_t>(int_of(head, "id")));
        if (at == waiting_.end()) {
            return;
        }
        const auto done = std::move(at->second.done);
        waiting_.erase(at);
        done(head, std::move(frame.body));
        return;
    }
    on_order_(head, std::move(frame));
}

void FrontPort::ask(Json head, std::string body,
                    std::function<void(const Json&, std::string&&)> done) {
    if (waiting_.size() >= questions_max) {
        // The keeper has been away for long: those who asked first have given up, but are not
        // forgotten before it answers.
        done({{"status", 503},
              {"error", error_json(fail(Code::unreachable, "the keeper does not answer"))}},
             {});
        return;
    }
    const std::uint64_t id = next_++;
    head["id"] = id;
    Waiting& question = waiting_[id];
    question = {dump(head), std::move(body), std::move(done)};
    if (channel_ != nullptr && !channel_->closed()) {
        [[maybe_unused]] const Status sent = channel_->send(question.head, question.body);
    }
}

void FrontPort::ask_who(passon::WhoQuestion question,
                        std::function<void(passon::WhoAnswer)> answer) {
    Json head{{"t", "who"}, {"client", question.client_address}, {"host", question.host}};
    switch (question.kind) {
    case passon::WhoQuestion::Kind::cookie:
        head["kind"] = "cookie";
        head["secret"] = question.secret;
        break;
    case passon::WhoQuestion::Kind::bearer:
        head["kind"] = "token";
        head["secret"] = question.secret;
        break;
    case passon::WhoQuestion::Kind::basic: {
        head["kind"] = "token";
        const std::size_t colon = question.secret.find(':');
        head["user"] = question.secret.substr(0, colon);
        head["secret"] = colon == std::string::npos ? "" : question.secret.substr(colon + 1);
        break;
    }
    case passon::WhoQuestion::Kind::link:
        head["kind"] = "link";
        head["sid"] = question.secret;
        head["child"] = question.child;
        break;
    case passon::WhoQuestion::Kind::peer:
        head["kind"] = "peer";
        head["secret"] = question.secret;
        head["child"] = question.child;
        break;
    }
    ask(std::move(head), {},
        [answer](const Json& reply, std::string&&) { answer(identity_of(reply)); });
}

void FrontPort::ask_page(passon::PageQuestion question,
                         std::function<void(Result<passon::PageAnswer>)> answer) {
    Json headers = Json::object();
    for (const auto& [name, value] : question.headers) {
        headers[name] = value;
    }
    Json head{{"t", "page"},
              {"method", question.method},
              {"scheme", question.scheme},
              {"authority", question.authority},
              {"host", question.host},
              {"target", question.target},
              {"client", question.client_address},
              {"headers", headers},
              {"door", question.scheme == "link" ? "link" : "users"},
              {"sid", question.identity ? question.identity->sid : std::string()}};
    ask(std::move(head), std::move(question.body), [answer](const Json& reply, std::string&& body) {
        passon::PageAnswer page;
        page.status = static_cast<int>(int_of(reply, "status", 500));
        for (const Json& header : member(reply, "headers")) {
            if (header.is_array() && header.size() == 2 && header[0].is_string() &&
                header[1].is_string()) {
                page.headers.emplace_back(header[0].get<std::string>(),
                                          header[1].get<std::string>());
            }
        }
        page.body = std::move(body);
        answer(std::move(page));
    });
}

void FrontPort::ask_start(passon::StartQuestion question,
                          std::function<void(passon::StartAnswer)> answer) {
    ask({{"t", "start"}, {"app", question.app}, {"user", question.user}}, {},
        [answer](const Json& reply, std::string&&) {
            if (!reply.contains("error")) {
                answer({});
                return;
            }
            Error error = error_of(member(reply, "error"));
            error.hint = text_of(reply, "last_lines");
            answer(error);
        });
}

void FrontPort::ask_assertion(passon::AssertionQuestion question,
                              std::function<void(Result<passon::AssertionAnswer>)> answer) {
    ask({{"t", "assertion"},
         {"peer", question.peer},
         {"app", question.app},
         {"user", question.user}},
        {}, [answer](const Json& reply, std::string&&) {
            if (reply.contains("error")) {
                answer(error_of(member(reply, "error")));
                return;
            }
            answer(passon::AssertionAnswer{text_of(reply, "text"), int_of(reply, "until_us")});
        });
}

void FrontPort::peer_changed(const passon::PeerState& state) {
    peers_[state.name] = state;
    send_peer(state);
}

// The supervisor knows who has the kept answers.
void FrontPort::answers_changed() {
    [[maybe_unused]] const Status said = send_control(control_fd, "changed");
}

void FrontPort::send_peer(const passon::PeerState& state) {
    send({{"t", "peer"},
          {"name", state.name},
          {"up", state.up},
          {"since_us", state.since_us},
          {"why", state.why}});
}

void FrontPort::parent_changed(const passon::ParentState& state) {
    parent_ = state;
    send({{"t", "parent"},
          {"up", state.up},
          {"address", state.address},
          {"since_us", state.since_us},
          {"why", state.why},
          {"reached", state.reached}});
}

void FrontPort::upstream_changed(const passon::UpstreamState& state) {
    const bool well = std::all_of(state.addresses.begin(), state.addresses.end(),
                                  [](const auto& one) { return one.up; });
    if (well) {
        upstreams_.erase(state.app);
    } else {
        upstreams_[state.app] = state;
    }
    send_upstream(state);
}

void FrontPort::control_opened(const passon::ControlOpened& opened) {
    controls_[opened.id] = opened.to_parent ? "" : opened.peer;
    send({{"t", "link.open"}, {"link", opened.id}, {"neighbour", controls_[opened.id]}});
}

void FrontPort::control_data(passon::ControlId id, std::string_view bytes) {
    send({{"t", "link.data"}, {"link", id}}, bytes);
}

void FrontPort::control_closed(passon::ControlId id, const std::string& why) {
    controls_.erase(id);
    send({{"t", "link.close"}, {"link", id}, {"why", why}});
}

std::vector<passon::ControlId> FrontPort::open_controls() const {
    std::vector<passon::ControlId> ids;
    for (const auto& [id, neighbour] : controls_) {
        ids.push_back(id);
    }
    return ids;
}

} // namespace hasp::cmd

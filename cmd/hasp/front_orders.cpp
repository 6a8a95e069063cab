// Front: what the keeper orders.
#include "base/text.h"
#include "control.h"
#include "front_process.h"
#include "registry/snapshot.h"
#include "trust/certificate.h"

#include <algorithm>

namespace hasp::cmd {

void FrontProcess::obey(const Json& head, ipc::Frame&& frame) {
    if (ended_) {
        return; // what makes it serve may follow what made it end
    }
    const std::string type = text_of(head, "t");
    if (type == "snapshot" && frame.fds.size() == 1) {
        take_snapshot(frame.fds.front().get());
    } else if (type == "credentials") {
        if (Status taken = take_credentials(head); !taken.ok()) {
            log_.error("front.credentials", taken.error().message);
        }
    } else if (type == "web.certificate") {
        take_certificate(head);
    } else if (engine_ == nullptr) {
        return;
    } else if (type == "drop") {
        for (const std::string& user : texts_of(head, "users")) {
            everywhere([user](passon::Engine& one) { one.drop_identities({"", user, ""}); });
        }
        for (const std::string& sid : texts_of(head, "sids")) {
            everywhere([sid](passon::Engine& one) { one.drop_identities({sid, "", ""}); });
        }
    } else if (type == "retire") {
        retire(text_of(head, "path"), true_of(head, "cut_tunnels"), int_of(head, "ask"));
    } else if (type == "link.data") {
        const auto id = static_cast<passon::ControlId>(int_of(head, "link"));
        if (const Status sent = engine_->control_send(id, frame.body); !sent.ok()) {
            engine_->control_close(id);
        }
    } else if (type == "traffic.often") {
        tell_traffic_often();
    } else if (type == "link.cut") {
        std::string neighbour = text_of(head, "neighbour");
        if (neighbour.empty()) {
            neighbour = known_->me.parent().leaf();
        }
        log_.info("link.cut", text_of(head, "reason"), {{"neighbour", neighbour}});
        everywhere([neighbour](passon::Engine& one) { one.close_link(neighbour); });
    }
}

void FrontProcess::everywhere(const std::function<void(passon::Engine&)>& what) {
    what(*engine_);
    loops_->each(what);
}

void FrontProcess::confirm_answers() {
    everywhere([](passon::Engine& one) { one.confirm_answers(); });
}

void FrontProcess::retire(const std::string& path, bool cut_tunnels, std::int64_t ask) {
    const auto left = std::make_shared<std::size_t>(1 + loops_->count());
    const auto done = [this, ask, left] {
        if (--*left == 0) {
            port_->send({{"t", "retired"}, {"ask", ask}});
        }
    };
    engine_->retire(path, cut_tunnels, done);
    loops_->each([path, cut_tunnels, done, home = reactor_.get()](passon::Engine& one) {
        one.retire(path, cut_tunnels, [done, home] { home->post_from_any_thread(done); });
    });
}

Status FrontProcess::take_peers(const Json& peers, const std::string& chain,
                                const std::string& key) {
    std::vector<passon::PeerLink> links;
    for (const Json& one : peers) {
        auto tier = trust::TierName::parse(text_of(one, "tier"));
        auto context =
            net::TlsContext::client({text_of(one, "root"), false, chain, key, {}, {}, true});
        if (!tier.ok() || !context.ok()) {
            return tier.ok() ? context.error() : tier.error();
        }
        const std::string name = text_of(one, "name");
        // Good for every loop: it keeps what is known now.
        links.push_back(
            {name, texts_of(one, "addresses"), *context,
             [known = known_, name, clock = &clock_](const std::vector<std::string>& der) {
                 return known->name_beside_as(name, der, *clock);
             }});
    }
    everywhere([links](passon::Engine& one) { one.set_peers(links); });
    return {};
}

Status FrontProcess::take_credentials(const Json& head) {
    auto next = std::make_shared<Neighbours>(*known_);
    next->children.clear();
    for (const Json& child : member(head, "children")) {
        next->children[text_of(child, "name")] = text_of(child, "key");
    }
    known_ = next;
    const std::string chain = text_of(head, "chain");
    const std::string peers = dump(member(head, "peers"));
    if (chain == chain_pem_ && peers == peers_taken_) {
        take_parent_addresses(head);
        return {};
    }
    auto name = trust::TierName::parse(text_of(head, "name"));
    if (!name.ok()) {
        return name.error();
    }
    next->me = *name;
    next->realm_id = from_hex(text_of(head, "realm_id")).value_or("");
    next->beside.clear();
    for (const Json& one : member(head, "peers")) {
        if (auto tier = trust::TierName::parse(text_of(one, "tier")); tier.ok()) {
            next->beside[text_of(one, "name")] = {*tier,
                                                  from_hex(text_of(one, "realm_id")).value_or("")};
        }
    }
    if (engine_ == nullptr) {
        if (Status made = make_engine(text_of(head, "cookie")); !made.ok()) {
            exit_code_ = fail_start(made.error());
            end(); // some loops without a thread would get connections
            return {};
        }
    }
    if (Status taken = take_peers(member(head, "peers"), chain, text_of(head, "key"));
        !taken.ok()) {
        return taken;
    }
    std::string roots = text_of(head, "root");
    for (const Json& one : member(head, "peers")) {
        roots += text_of(one, "root");
    }
    net::ServerTls server{
        chain, text_of(head, "key"), roots, net::PeerCertificate::optional, {}, {}, true};
    auto server_context = net::TlsContext::server(server);
    if (!server_context.ok()) {
        return server_context.error();
    }
    link_tls_ = *server_context;
    engine_->set_listener_tls(passon::ListenerKind::children, link_tls_);
    peers_taken_ = peers;
    if (chain == chain_pem_) {
        take_parent_addresses(head);
        return {}; // else the link to the parent is as it was
    }
    passon::LinkCredentials link;
    link.name_child = [this](const std::vector<std::string>& der) {
        return known_->name(der, trust::Relation::child, clock_);
    };
    link.name_parent = [known = known_, clock = &clock_](const std::vector<std::string>& der) {
        return known->name(der, trust::Relation::parent, *clock);
    };
    if (true_of(head, "parent")) {
        auto client_context = net::TlsContext::client(
            {text_of(head, "root"), false, chain, text_of(head, "key"), {}, {}, true});
        if (!client_context.ok()) {
            return client_context.error();
        }
        link.client = *client_context;
        link.parent_addresses = texts_of(head, "addresses");
        link.parent_tier = known_->me.parent().leaf();
        if (link.parent_addresses.empty() && link.parent_tier == link_.parent_tier) {
            link.parent_addresses = link_.parent_addresses;
        }
    }
    link_ = std::move(link);
    tell_link();
    chain_pem_ = chain;
    return {};
}

void FrontProcess::take_parent_addresses(const Json& head) {
    std::vector<std::string> now = texts_of(head, "addresses");
    // None: a keeper that was started again is still looking names up.
    if (link_.client != nullptr && !now.empty() && now != link_.parent_addresses) {
        link_.parent_addresses = std::move(now);
        tell_link();
    }
}

void FrontProcess::tell_link() {
    engine_->set_link(link_, leads_ ? passon::LinkPart::control : passon::LinkPart::reversed);
    passon::LinkCredentials link = link_;
    link.name_child = nullptr; // who connects here is the home's affair
    loops_->each([link](passon::Engine& one) { one.set_link(link, passon::LinkPart::pool); });
}

void FrontProcess::take_snapshot(int fd) {
    auto snapshot = registry::Snapshot::map(fd);
    if (!snapshot.ok()) {
        log_.error("front.snapshot", snapshot.error().message);
        return;
    }
    if (engine_ == nullptr) {
        log_.error("front.snapshot", "a snapshot came before the credentials");
        return;
    }
    everywhere([taken = *std::move(snapshot)](passon::Engine& one) { one.set_snapshot(taken); });
    if (serving_) {
        return;
    }
    serving_ = true;
    listen();
    [[maybe_unused]] const Status said = send_control(control_fd, "ready");
}

void FrontProcess::take_certificate(const Json& head) {
    if (Status used = use_certificate(text_of(head, "chain"), text_of(head, "key")); !used.ok()) {
        log_.error("front.certificate", used.error().message);
        return;
    }
    if (engine_ != nullptr) {
        engine_->set_listener_tls(passon::ListenerKind::users, web_tls_);
    }
    if (serving_) {
        listen();
    }
}

} // namespace hasp::cmd

// Front: lib/passon's engine between its sockets and the keeper. Everything that it may act on
// comes from the keeper; everything that it needs from the machine is opened before the jail
// closes.
#include "base/files.h"
#include "base/random.h"
#include "base/text.h"
#include "billing/usage_ring.h"
#include "control.h"
#include "front_jail.h"
#include "front_loops.h"
#include "front_port.h"
#include "front_set.h"
#include "neighbours.h"
#include "net/conn.h"
#include "net/reactor.h"
#include "net/tls.h"
#include "passon/engine.h"
#include "process.h"
#include "registry/snapshot.h"
#include "trust/certificate.h"

#include <algorithm>
#include <csignal>
#include <fcntl.h>
#include <optional>
#include <sys/resource.h>
#include <vector>

namespace hasp::cmd {

namespace {

constexpr std::size_t pem_bytes_max = 1 << 20;
constexpr std::int64_t traffic_ms = 5'000;
// While something bulky moves on the link to the parent: so often, for so long after the keeper has
// said so.
constexpr std::int64_t traffic_often_ms = 100;
constexpr int traffic_often_times = 30;
constexpr std::int64_t drain_poll_ms = 100;
constexpr std::int64_t drain_ms_max = 10'000;
constexpr std::size_t failed_bytes_max = 2'000;
constexpr std::int64_t children_due_ms = 10'000; // of a front that follows another

passon::Settings settings_of(const maint::Config& config, const std::string& cookie, bool follows) {
    const maint::Config::Web& web = config.web;
    passon::Settings s;
    s.head_bytes_max = static_cast<std::size_t>(web.head_bytes_max);
    s.headers_max = static_cast<std::size_t>(web.header_count_max);
    s.connections_max = static_cast<std::size_t>(web.max_connections);
    s.connections_an_address_max = static_cast<std::size_t>(web.max_connections_per_address);
    s.http2_streams_max = static_cast<std::uint32_t>(web.http2_streams);
    for (const std::string& one : web.proxies) {
        [[maybe_unused]] const Status added = s.proxies.add(one); // checked with the config
    }
    using Say = maint::Config::Web::ProxiesSay;
    s.proxies_say = web.proxies_say == Say::proxy_protocol ? passon::ProxySays::proxy_protocol
                    : web.proxies_say == Say::forwarded    ? passon::ProxySays::forwarded
                                                           : passon::ProxySays::x_forwarded;
    s.target_bytes_max = static_cast<std::size_t>(web.target_bytes_max);
    s.body_bytes_max = static_cast<std::uint64_t>(web.body_mib_max) << 20;
    s.head_ms = web.head_s * 1000;
    s.body_idle_ms = web.body_idle_s * 1000;
    s.slow_bytes_min = static_cast<std::size_t>(web.slow_bytes_min);
    s.answer_head_ms = web.answer_head_s * 1000;
    s.answer_idle_ms = web.answer_idle_s * 1000;
    s.tunnel_idle_ms = web.websocket_idle_s * 1000;
    s.upstream_idle_ms = web.upstream_idle_s * 1000;
    s.keep_alive_ms = web.keepalive_s * 1000;
    s.connect_ms = web.connect_ms;
    s.whole_ms = web.whole_s * 1000;
    s.start_ms = config.apps.start_s * 1000;
    s.unverified_an_address_max = static_cast<std::size_t>(config.link.max_unverified_per_address);
    s.parked_min = static_cast<std::size_t>(config.link.park_min);
    s.parked_max = static_cast<std::size_t>(config.link.park_max);
    s.reconnect_ms_max = config.link.reconnect_s_max * 1000;
    s.access_flush_ms = config.log.access_flush_ms;
    s.cache_object_bytes_max = static_cast<std::size_t>(config.cache.object_kib_max) * 1024;
    s.cache_disconnected_s = config.cache.disconnected_s;
    s.compress = {};
    for (const std::string& one : web.compress) {
        s.compress = s.compress.with(net::coding_of(one)); // checked with the config
    }
    s.cookie = cookie;
    s.children_due_ms = follows ? children_due_ms : 0;
    return s;
}

struct Listening {
    std::string kind;
    Fd fd;
};

class FrontProcess final : private net::Handler {
  public:
    FrontProcess(const ProcessOptions& options, const Log& log)
        : options_(options), log_(log), drain_timer_(nullptr) {}

    int run() {
        raise_descriptor_limit();
        auto reactor = net::Reactor::create(clock_);
        if (!reactor.ok()) {
            return fail_start(reactor.error());
        }
        reactor_ = *std::move(reactor);
        port_ =
            std::make_unique<FrontPort>(*reactor_, [this](const Json& head, ipc::Frame&& frame) {
                obey(head, std::move(frame));
            });
        if (Status prepared = prepare(); !prepared.ok()) {
            return fail_start(prepared.error());
        }
        if (Status added = reactor_->add(control_fd, *this); !added.ok()) {
            return fail_start(added.error());
        }
        take_control();
        if (!ended_) { // it may be told so before there is a loop to stop
            reactor_->run();
        }
        reactor_->remove(control_fd, *this);
        traffic_timer_.reset();
        if (loops_) {
            loops_->stop();
        }
        engine_.reset();
        loops_.reset();
        port_.reset();
        return exit_code_;
    }

  private:
    // Shells and services set 1024 for programs that use select(2), which front does not: each user
    // may take two. The hard limit is the operator's.
    void raise_descriptor_limit() {
        rlimit files{};
        if (::getrlimit(RLIMIT_NOFILE, &files) != 0) {
            return;
        }
        files.rlim_cur = files.rlim_max;
        if (::setrlimit(RLIMIT_NOFILE, &files) != 0) {
            log_.warn("front.descriptors", "the limit of open files could not be raised");
            return;
        }
        const auto wanted = 2 * static_cast<rlim_t>(options_.config.web.max_connections);
        if (files.rlim_max < wanted) {
            log_.info(
                "front.descriptors", "fewer files may be open than web.max_connections needs",
                {{"files", std::to_string(files.rlim_max)}, {"needed", std::to_string(wanted)}});
        }
    }

    int fail_start(const Error& error) {
        log_.error("front.start", error.message);
        [[maybe_unused]] const Status said =
            send_control(control_fd, "failed " + error.message.substr(0, failed_bytes_max));
        return 1;
    }

    // Until "start": what the supervisor hands over. Then what is read from the machine; then the
    // jail.
    Status prepare() {
        for (bool started = false; !started;) {
            auto message = wait_control(control_fd);
            if (!message.ok()) {
                return message.error();
            }
            if (message->verb == "listen") {
                listening_.push_back(
                    {message->rest.substr(0, message->rest.find(' ')), std::move(message->fd)});
            } else if (message->verb == "access-log") {
                access_fd_ = std::move(message->fd);
            } else if (message->verb == "cache") {
                cache_fd_ = std::move(message->fd);
            } else if (message->verb == "ring") {
                auto ring = billing::UsageRing::map(message->fd.get());
                if (!ring.ok()) {
                    return ring.error();
                }
                ring_.emplace(*std::move(ring));
                take_lanes(message->rest);
            } else if (message->verb == "peer") {
                port_->connect(std::move(message->fd));
            } else if (message->verb == "start") {
                started = true;
                number_ = static_cast<FrontNumber>(parse_u64(message->rest).value_or(0));
            }
        }
        port_->number_from(first_question(number_));
        if (!ring_ || lane_ >= ring_->lanes()) {
            return fail(Code::failed, "the supervisor gave no usage ring");
        }
        const maint::Config::Web& web = options_.config.web;
        if (web.tls_from == maint::Config::TlsFrom::files && !web.tls_cert.empty()) {
            auto chain = read_file(web.tls_cert, pem_bytes_max);
            auto key = read_file(web.tls_key, pem_bytes_max);
            if (!chain.ok() || !key.ok()) {
                return chain.ok() ? key.error() : chain.error();
            }
            if (Status used = use_certificate(*chain, *key); !used.ok()) {
                return used;
            }
        }
        if (Status prepared = prepare_upstream_tls(); !prepared.ok()) {
            return prepared;
        }
        std::string reached;
        if (Status jailed =
                enter_jail({options_.config.process.front_user, options_.state + "/releases",
                            options_.config.process.seccomp},
                           reached);
            !jailed.ok()) {
            return jailed;
        }
        log_.info("front.jail", "privileges are given up", {{"now", reached}});
        return {};
    }

    // "LANE", or "LANE FIRST COUNT" where there are more for further loops.
    void take_lanes(const std::string& text) {
        const std::vector<std::string_view> words = split(text, ' ');
        const auto number = [&words](std::size_t at) {
            return static_cast<std::uint32_t>(words.size() > at ? parse_u64(words[at]).value_or(0)
                                                                : 0);
        };
        lane_ = number(0);
        more_lanes_ = number(1);
        more_lanes_count_ = number(2);
    }

    Status prepare_upstream_tls() {
        const maint::Config::Upstream& how = options_.config.upstream;
        net::ClientTls outside;
        outside.system_ca = true;
        for (const auto& [file, into] :
             {std::pair{&how.ca, &outside.ca_pem}, std::pair{&how.cert, &outside.chain_pem},
              std::pair{&how.key, &outside.key_pem}}) {
            if (file->empty()) {
                continue;
            }
            auto text = read_file(*file, pem_bytes_max);
            if (!text.ok()) {
                return text.error();
            }
            *into = *std::move(text);
        }
        auto context = net::TlsContext::client(outside);
        if (context.ok()) {
            upstream_tls_ = *context;
            return {};
        }
        if (!how.ca.empty() || !how.cert.empty()) {
            return fail(context.error().code,
                        "[upstream] in hasp.toml: " + context.error().message);
        }
        log_.warn("front.authorities",
                  "apps elsewhere cannot be reached by HTTPS: " + context.error().message);
        return {};
    }

    // The new one is for new connections; nothing changes where it cannot be used.
    Status use_certificate(const std::string& chain, const std::string& key) {
        const maint::Config::Web& web = options_.config.web;
        std::vector<std::string> protocols{"http/1.1"};
        if (web.http2_streams > 0) {
            protocols.insert(protocols.begin(), "h2");
        }
        auto context = net::TlsContext::server(
            {chain, key, "", net::PeerCertificate::not_asked, {}, protocols, false});
        if (!context.ok()) {
            return fail(context.error().code,
                        "the certificate " +
                            (web.tls_cert.empty() ? "for browsers" : "in " + web.tls_cert) +
                            " cannot be used: " + context.error().message);
        }
        web_tls_ = *context;
        return {};
    }

    void renew_certificate(const Fd& key_file) {
        auto chain = read_all(certificate_fd_.get(), pem_bytes_max, options_.config.web.tls_cert);
        auto key = read_all(key_file.get(), pem_bytes_max, options_.config.web.tls_key);
        certificate_fd_.reset();
        if (engine_ == nullptr) {
            return;
        }
        if (!chain.ok() || !key.ok()) {
            log_.error("front.certificate", (chain.ok() ? key : chain).error().message);
            return;
        }
        if (Status used = use_certificate(*chain, *key); !used.ok()) {
            log_.error("front.certificate", used.error().message + "; the one before stays in use");
            return;
        }
        engine_->set_listener_tls(passon::ListenerKind::users, web_tls_);
        log_.info("front.certificate", "a new certificate is in use",
                  {{"file", options_.config.web.tls_cert}});
    }

    // Of the keeper's, which asked for it: at each start, and when there is a new one.
    void take_certificate(const Json& head) {
        if (Status used = use_certificate(text_of(head, "chain"), text_of(head, "key"));
            !used.ok()) {
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

    void on_edges(net::Edges) override { take_control(); }

    void end() {
        ended_ = true;
        reactor_->stop();
    }

    void take_control() {
        for (;;) {
            auto message = receive_control(control_fd);
            if (!message.ok()) {
                end();
                return;
            }
            if (!*message) {
                return;
            }
            if ((*message)->verb == "peer") {
                port_->connect(std::move((*message)->fd));
                // Streams lead to the keeper that was: the neighbours meet the new one on new
                // streams.
                for (const passon::ControlId id : port_->open_controls()) {
                    engine_->control_close(id);
                    port_->control_closed(id, "the keeper was started again");
                }
            } else if ((*message)->verb == "drain") {
                drain();
            } else if ((*message)->verb == "lead") {
                lead();
            } else if ((*message)->verb == "leave") {
                leave();
            } else if ((*message)->verb == "cache") {
                cache_fd_ = std::move((*message)->fd);
                use_cache();
            } else if ((*message)->verb == "confirm" && engine_ != nullptr) {
                confirm_answers();
            } else if ((*message)->verb == "access-log" && access_log_) {
                loops_->reopen_log((*message)->fd.get());
                access_log_->reopen(std::move((*message)->fd));
            } else if ((*message)->verb == "web-certificate") {
                certificate_fd_ = std::move((*message)->fd);
            } else if ((*message)->verb == "web-key") {
                renew_certificate((*message)->fd);
            }
        }
    }

    void lead() {
        leads_ = true;
        port_->lead(true);
        if (engine_ != nullptr) {
            engine_->set_link(link_, passon::LinkPart::control);
        }
        if (serving_) {
            confirm_answers(); // the one before served beside it
        }
    }

    void drain() {
        if (engine_ == nullptr) {
            end();
            return;
        }
        engine_->drain();
        loops_->drain();
        drain_until_ms_ = reactor_->now_ms() + drain_ms_max;
        drain_timer_ = std::make_unique<net::Timer>(
            reactor_->timers(), net::timer_call<&FrontProcess::drain_step>, this);
        drain_timer_->arm(1);
    }

    // Another front has taken over. What was begun here goes on for as long as the supervisor lets
    // it.
    void leave() {
        leaving_ = true;
        leads_ = false;
        port_->lead(false);
        if (engine_ == nullptr) {
            end();
            return;
        }
        log_.info("front.leave", "another front has taken over; what was begun here goes on");
        engine_->leave();
        loops_->leave();
        drain_timer_ = std::make_unique<net::Timer>(
            reactor_->timers(), net::timer_call<&FrontProcess::leave_step>, this);
        drain_timer_->arm(1);
    }

    void leave_step() {
        if (!cache_left_ && engine_->leave_cache() && loops_->left_cache()) {
            cache_left_ = true;
            [[maybe_unused]] const Status said = send_control(control_fd, "cache-left");
        }
        if (!engine_->left() || !loops_->ended()) {
            gone_ms_ = 0;
        } else if (gone_ms_ == 0) {
            gone_ms_ = reactor_->now_ms();
        } else if (reactor_->now_ms() - gone_ms_ >= net::linger_ms) {
            // Nothing is on its way to a client any more.
            [[maybe_unused]] const Status said = send_control(control_fd, "drained");
            reactor_->stop();
            return;
        }
        drain_timer_->arm(drain_poll_ms);
    }

    void drain_step() {
        if (reactor_->now_ms() >= drain_until_ms_) {
            drained();
            return;
        }
        drain_timer_->arm(drain_poll_ms);
        if (engine_->idle() && loops_->ended()) {
            // As of a while ago: a request may have begun at another loop since.
            loops_->look_now([this] {
                if (engine_->idle() && loops_->ended()) {
                    drained();
                }
            });
        }
    }

    void drained() {
        if (!ended_) {
            [[maybe_unused]] const Status said = send_control(control_fd, "drained");
            end();
        }
    }

    void obey(const Json& head, ipc::Frame&& frame) {
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
            if (traffic_often_left_ == 0) {
                traffic_timer_->arm(traffic_often_ms);
            }
            traffic_often_left_ = traffic_often_times;
        } else if (type == "link.cut") {
            std::string neighbour = text_of(head, "neighbour");
            if (neighbour.empty()) {
                neighbour = known_->me.parent().leaf();
            }
            log_.info("link.cut", text_of(head, "reason"), {{"neighbour", neighbour}});
            everywhere([neighbour](passon::Engine& one) { one.close_link(neighbour); });
        }
    }

    // The home first, the others on their own threads.
    void everywhere(const std::function<void(passon::Engine&)>& what) {
        what(*engine_);
        loops_->each(what);
    }

    void confirm_answers() {
        everywhere([](passon::Engine& one) { one.confirm_answers(); });
    }

    void retire(const std::string& path, bool cut_tunnels, std::int64_t ask) {
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

    Status take_peers(const Json& peers, const std::string& chain, const std::string& key) {
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

    Status take_credentials(const Json& head) {
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
                next->beside[text_of(one, "name")] = {
                    *tier, from_hex(text_of(one, "realm_id")).value_or("")};
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

    void take_parent_addresses(const Json& head) {
        std::vector<std::string> now = texts_of(head, "addresses");
        // None: a keeper that was started again is still looking names up.
        if (link_.client != nullptr && !now.empty() && now != link_.parent_addresses) {
            link_.parent_addresses = std::move(now);
            tell_link();
        }
    }

    void tell_link() {
        engine_->set_link(link_, leads_ ? passon::LinkPart::control : passon::LinkPart::reversed);
        passon::LinkCredentials link = link_;
        link.name_child = nullptr; // who connects here is the home's affair
        loops_->each([link](passon::Engine& one) { one.set_link(link, passon::LinkPart::pool); });
    }

    // As many as there are lanes for: each writes its own.
    std::size_t loop_count() const {
        const auto wanted = static_cast<std::size_t>(options_.config.web.loops);
        const bool sane = std::size_t{more_lanes_} + more_lanes_count_ <= ring_->lanes();
        const std::size_t count = std::min<std::size_t>(wanted, 1 + (sane ? more_lanes_count_ : 0));
        if (count < wanted) {
            log_.warn("front.loops",
                      "the usage ring has no room for web.loops: fronts before this one still use "
                      "it, or it is from before an update; fewer run",
                      {{"loops", std::to_string(count)}});
        }
        return count;
    }

    Status make_engine(const std::string& cookie) {
        const passon::Settings settings = settings_of(options_.config, cookie, number_ > 1);
        const std::size_t count = loop_count();
        const std::string tier = known_->me.text();
        const std::shared_ptr<passon::LoopGroup> group = passon::make_loop_group(count);
        std::vector<Fd> logs(count - 1);
        for (Fd& one : logs) {
            one.reset(access_fd_ ? ::fcntl(access_fd_.get(), F_DUPFD_CLOEXEC, 0) : -1);
            if (access_fd_ && !one) {
                return fail(Code::failed, "not each loop gets a descriptor of the access log");
            }
        }
        access_log_ = std::make_unique<passon::AccessLog>(std::move(access_fd_), tier);
        engine_ = std::make_unique<passon::Engine>(passon::EngineParts{*reactor_, random_, *port_,
                                                                       *access_log_, log_,
                                                                       ring_->lane(lane_), group},
                                                   settings);
        loops_ = std::make_unique<FrontLoops>(*reactor_, *port_, clock_, log_);
        for (std::size_t i = 0; i + 1 < count; ++i) {
            if (Status added =
                    loops_->add(group, settings, tier, std::move(logs[i]),
                                ring_->lane(more_lanes_ + static_cast<std::uint32_t>(i)));
                !added.ok()) {
                return added;
            }
        }
        if (Status started = loops_->start(); !started.ok()) {
            return started;
        }
        use_cache();
        traffic_timer_ = std::make_unique<net::Timer>(
            reactor_->timers(), net::timer_call<&FrontProcess::tell_traffic>, this);
        traffic_timer_->arm(traffic_ms);
        traffic_since_us_ = clock_.boot_us();
        if (upstream_tls_ != nullptr) {
            everywhere([tls = upstream_tls_](passon::Engine& one) { one.set_upstream_tls(tls); });
        }
        return {};
    }

    void use_cache() {
        if (cache_fd_ && engine_ != nullptr) {
            if (const Status used = engine_->set_cache(
                    std::move(cache_fd_), static_cast<std::uint64_t>(options_.config.cache.size_mib)
                                              << 20);
                !used.ok()) {
                log_.warn("front.cache", used.error().message + "; nothing is kept");
            }
            if (serving_) {
                confirm_answers(); // what was changed since it serves was not noted there
            }
        }
    }

    void tell_traffic() {
        traffic_often_left_ = std::max(0, traffic_often_left_ - 1);
        traffic_timer_->arm(traffic_often_left_ > 0 ? traffic_often_ms : traffic_ms);
        const passon::EngineCounters& now = engine_->counters();
        const std::uint64_t sum =
            now.parent.in + now.parent.out + now.children.in + now.children.out;
        if (sum != traffic_told_) {
            traffic_told_ = sum;
            port_->send({{"t", "traffic"},
                         {"since_us", traffic_since_us_},
                         {"parent", {{"in", now.parent.in}, {"out", now.parent.out}}},
                         {"children", {{"in", now.children.in}, {"out", now.children.out}}}});
        }
    }

    void take_snapshot(int fd) {
        auto snapshot = registry::Snapshot::map(fd);
        if (!snapshot.ok()) {
            log_.error("front.snapshot", snapshot.error().message);
            return;
        }
        if (engine_ == nullptr) {
            log_.error("front.snapshot", "a snapshot came before the credentials");
            return;
        }
        everywhere(
            [taken = *std::move(snapshot)](passon::Engine& one) { one.set_snapshot(taken); });
        if (serving_) {
            return;
        }
        serving_ = true;
        listen();
        [[maybe_unused]] const Status said = send_control(control_fd, "ready");
    }

    // What waits for its certificate waits unanswered: users are shown none that they cannot
    // trust.
    void listen() {
        if (leaving_) {
            return; // another has them
        }
        std::vector<Listening> waiting;
        for (Listening& l : listening_) {
            if (l.kind == "web-tls" && web_tls_ == nullptr) {
                waiting.push_back(std::move(l));
                continue;
            }
            const bool link = l.kind == "link";
            const auto kind = link                  ? passon::ListenerKind::children
                              : l.kind == "metrics" ? passon::ListenerKind::metrics
                                                    : passon::ListenerKind::users;
            const auto tls = link ? link_tls_ : l.kind == "web-tls" ? web_tls_ : nullptr;
            if (const Status added = engine_->add_listener(std::move(l.fd), kind, tls);
                !added.ok()) {
                log_.error("front.listen", added.error().message);
            }
        }
        listening_ = std::move(waiting);
    }

    const ProcessOptions& options_;
    const Log& log_;
    SystemClock clock_;
    SystemRandom random_;
    std::unique_ptr<net::Reactor> reactor_;
    std::unique_ptr<FrontPort> port_;
    std::vector<Listening> listening_;
    Fd access_fd_;
    Fd cache_fd_;
    Fd certificate_fd_; // until its key comes
    std::optional<billing::UsageRing> ring_;
    std::shared_ptr<const net::TlsContext> web_tls_;
    std::shared_ptr<const net::TlsContext> upstream_tls_;
    std::shared_ptr<const net::TlsContext> link_tls_;
    std::unique_ptr<passon::AccessLog> access_log_;
    std::unique_ptr<passon::Engine> engine_; // the home's
    std::unique_ptr<FrontLoops> loops_;      // there while engine_ is
    std::unique_ptr<net::Timer> drain_timer_;
    std::unique_ptr<net::Timer> traffic_timer_;
    std::uint64_t traffic_told_ = 0;
    std::int64_t traffic_since_us_ = 0; // when this front began to count, boot clock
    int traffic_often_left_ = 0;
    std::int64_t drain_until_ms_ = 0;
    std::int64_t gone_ms_ = 0; // since when no connection is left
    std::shared_ptr<const Neighbours> known_ = std::make_shared<const Neighbours>();
    std::string peers_taken_;
    std::string chain_pem_;
    passon::LinkCredentials link_;
    FrontNumber number_ = 0;
    std::uint32_t lane_ = 0;
    std::uint32_t more_lanes_ = 0; // the first of those for further loops
    std::uint32_t more_lanes_count_ = 0;
    bool leads_ = false;   // opens the control stream to the parent
    bool leaving_ = false; // another leads, for good
    bool ended_ = false;
    int exit_code_ = 0;
    bool cache_left_ = false;
    bool serving_ = false;
};

} // namespace

int run_front(const ProcessOptions& options, const Log& log) {
    ::signal(SIGPIPE, SIG_IGN);
    FrontProcess process(options, log);
    return process.run();
}

} // namespace hasp::cmd

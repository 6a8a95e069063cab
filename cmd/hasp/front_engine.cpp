// Front: the engine and what it is made of, by hasp.toml and the machine.
#include "base/files.h"
#include "front_process.h"

#include <algorithm>
#include <fcntl.h>

namespace hasp::cmd {

namespace {

constexpr std::size_t pem_bytes_max = 1 << 20;
constexpr std::int64_t traffic_ms = 5'000;
// While something bulky moves on the link to the parent: so often, for so long after the keeper has
// said so.
constexpr std::int64_t traffic_often_ms = 100;
constexpr int traffic_often_times = 30;
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

} // namespace

// Of hasp.toml's files, where it names some.
Status FrontProcess::read_certificate() {
    const maint::Config::Web& web = options_.config.web;
    if (web.tls_from != maint::Config::TlsFrom::files || web.tls_cert.empty()) {
        return {};
    }
    auto chain = read_file(web.tls_cert, pem_bytes_max);
    auto key = read_file(web.tls_key, pem_bytes_max);
    if (!chain.ok() || !key.ok()) {
        return chain.ok() ? key.error() : chain.error();
    }
    return use_certificate(*chain, *key);
}

void FrontProcess::tell_traffic_often() {
    if (traffic_often_left_ == 0) {
        traffic_timer_->arm(traffic_often_ms);
    }
    traffic_often_left_ = traffic_often_times;
}

std::size_t FrontProcess::loop_count() const {
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

Status FrontProcess::make_engine(const std::string& cookie) {
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
        if (Status added = loops_->add(group, settings, tier, std::move(logs[i]),
                                       ring_->lane(more_lanes_ + static_cast<std::uint32_t>(i)),
                                       options_.config.web.coalesce_us);
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

void FrontProcess::use_cache() {
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

void FrontProcess::tell_traffic() {
    traffic_often_left_ = std::max(0, traffic_often_left_ - 1);
    traffic_timer_->arm(traffic_often_left_ > 0 ? traffic_often_ms : traffic_ms);
    const passon::EngineCounters& now = engine_->counters();
    const std::uint64_t sum = now.parent.in + now.parent.out + now.children.in + now.children.out;
    if (sum != traffic_told_) {
        traffic_told_ = sum;
        port_->send({{"t", "traffic"},
                     {"since_us", traffic_since_us_},
                     {"parent", {{"in", now.parent.in}, {"out", now.parent.out}}},
                     {"children", {{"in", now.children.in}, {"out", now.children.out}}}});
    }
}

void FrontProcess::listen() {
    if (leaving_) {
        return; // another has them
    }
    std::vector<Socket> waiting;
    for (Socket& l : listening_) {
        if (l.kind == "web-tls" && web_tls_ == nullptr) {
            waiting.push_back(std::move(l));
            continue;
        }
        const bool link = l.kind == "link";
        const auto kind = link                  ? passon::ListenerKind::children
                          : l.kind == "metrics" ? passon::ListenerKind::metrics
                                                : passon::ListenerKind::users;
        const auto tls = link ? link_tls_ : l.kind == "web-tls" ? web_tls_ : nullptr;
        if (const Status added = engine_->add_listener(std::move(l.fd), kind, tls); !added.ok()) {
            log_.error("front.listen", added.error().message);
        }
    }
    listening_ = std::move(waiting);
}

Status FrontProcess::prepare_upstream_tls() {
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
        return fail(context.error().code, "[upstream] in hasp.toml: " + context.error().message);
    }
    log_.warn("front.authorities",
              "apps elsewhere cannot be reached by HTTPS: " + context.error().message);
    return {};
}

Status FrontProcess::use_certificate(const std::string& chain, const std::string& key) {
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

void FrontProcess::renew_certificate(const Fd& key_file) {
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

} // namespace hasp::cmd

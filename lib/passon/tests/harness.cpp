#include "harness.h"

#include "base/files.h"
#include "base/text.h"
#include "net/listener.h"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <csignal>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace hasp::passon::testing {

namespace {
// As every process of hasp does, see net/conn.h.
[[maybe_unused]] const auto sigpipe_ignored = ::signal(SIGPIPE, SIG_IGN);
} // namespace

void FakeKeeper::know(const std::string& key, Identity identity) {
    const std::lock_guard lock(mutex_);
    known_[key] = std::move(identity);
}
void FakeKeeper::forget(const std::string& key) {
    const std::lock_guard lock(mutex_);
    known_.erase(key);
}

void FakeKeeper::ask_who(WhoQuestion question, std::function<void(WhoAnswer)> answer) {
    ++who_questions;
    if (silent) {
        return;
    }
    if (on_who) {
        answer(on_who(question));
        return;
    }
    constexpr const char* kinds[] = {"cookie:", "bearer:", "basic:", "link:", "peer:"};
    std::string key = kinds[static_cast<int>(question.kind)];
    if (question.kind == WhoQuestion::Kind::link || question.kind == WhoQuestion::Kind::peer) {
        key += question.child + ":";
    }
    key += question.secret;
    std::shared_ptr<const Identity> found;
    {
        const std::lock_guard lock(mutex_);
        if (const auto at = known_.find(key); at != known_.end()) {
            found = std::make_shared<const Identity>(at->second);
        }
    }
    answer(found);
}

void FakeKeeper::ask_page(PageQuestion question, std::function<void(Result<PageAnswer>)> answer) {
    Result<PageAnswer> page =
        PageAnswer{200, {{"Content-Type", "text/plain"}}, "page " + question.target};
    if (on_page) {
        page = on_page(question);
    }
    {
        const std::lock_guard lock(mutex_);
        last_page = question;
        ++page_questions;
        changed_.notify_all();
    }
    if (pageless) {
        return;
    }
    answer(std::move(page));
}

void FakeKeeper::ask_start(StartQuestion question, std::function<void(StartAnswer)> answer) {
    ++start_questions;
    if (startless) {
        return;
    }
    answer(on_start ? on_start(question) : StartAnswer(fail(Code::failed, "nothing to start")));
}

void FakeKeeper::ask_assertion(AssertionQuestion question,
                               std::function<void(Result<AssertionAnswer>)> answer) {
    ++assertion_questions;
    answer(on_assertion ? on_assertion(question)
                        : Result<AssertionAnswer>(fail(Code::refused, "there is no such peer")));
}

void FakeKeeper::peer_changed(const PeerState& state) {
    const std::lock_guard lock(mutex_);
    peers[state.name] = state;
    changed_.notify_all();
}
void FakeKeeper::parent_changed(const ParentState& state) {
    const std::lock_guard lock(mutex_);
    parent.push_back(state);
    changed_.notify_all();
}
void FakeKeeper::upstream_changed(const UpstreamState& state) {
    const std::lock_guard lock(mutex_);
    upstreams[state.app] = state;
    changed_.notify_all();
}
void FakeKeeper::control_opened(const ControlOpened& opened) {
    const std::lock_guard lock(mutex_);
    controls.push_back({opened, {}, false});
    changed_.notify_all();
}
void FakeKeeper::control_data(ControlId id, std::string_view bytes) {
    const std::lock_guard lock(mutex_);
    for (Control& one : controls) {
        if (one.opened.id == id) {
            one.bytes.append(bytes);
        }
    }
    changed_.notify_all();
}
void FakeKeeper::control_closed(ControlId id, const std::string&) {
    const std::lock_guard lock(mutex_);
    for (Control& one : controls) {
        one.closed = one.closed || one.opened.id == id;
    }
    changed_.notify_all();
}
bool FakeKeeper::wait(const std::function<bool(FakeKeeper&)>& what) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::milliseconds(wait_ms), [&] { return what(*this); });
}

Identity person(const std::string& user, const std::vector<std::string>& apps) {
    Identity out;
    out.sid = "0123456789abcdef0123456789abcdef";
    out.user = user;
    out.name = "Zoë " + user;
    out.email = user + "@clinic.example";
    out.groups = {"desk", "ward"};
    for (const std::string& app : apps) {
        out.apps.push_back(registry::name_hash(app));
    }
    std::sort(out.apps.begin(), out.apps.end());
    out.until_us = INT64_MAX;
    return out;
}

int listen_loopback(Fd& out) {
    Result<Fd> fd = net::listen_on(*net::Address::parse("127.0.0.1:0"));
    EXPECT_TRUE(fd.ok());
    out = std::move(*fd);
    return net::Address::of_socket(out.get())->port();
}

Fd connect_loopback(int port) {
    Fd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        fd.reset();
    }
    return fd;
}

Tier::Tier(std::string name, Settings settings, const TestRealm* realm)
    : name_(std::move(name)), realm_(realm) {
    reactor_ = std::move(*net::Reactor::create(clock_));
    const Result<Fd> ring = billing::UsageRing::create(1, 1024, {});
    ring_ = std::make_unique<billing::UsageRing>(std::move(*billing::UsageRing::map(ring->get())));
    char path[] = "/tmp/hasp-passon-log-XXXXXX";
    const int log = ::mkstemp(path);
    log_path_ = path;
    access_log_ = std::make_unique<AccessLog>(Fd(log), name_);
    engine_ = std::make_unique<Engine>(
        EngineParts{*reactor_, random_, keeper, *access_log_, log_, ring_->lane(0)},
        std::move(settings));
    Fd listener;
    port_ = listen_loopback(listener);
    EXPECT_TRUE(engine_->add_listener(std::move(listener), ListenerKind::users, nullptr).ok());
    if (realm_ != nullptr) {
        const TestRealm::Leaf leaf = realm_->issue(name_);
        net::ServerTls server;
        server.chain_pem = leaf.chain_pem;
        server.key_pem = leaf.key_pem;
        server.client_ca_pem = realm_->ca_pem;
        server.peer = net::PeerCertificate::required;
        server.between_tiers = true;
        auto context = net::TlsContext::server(server);
        EXPECT_TRUE(context.ok()) << context.error().message;
        Fd link;
        link_port_ = listen_loopback(link);
        EXPECT_TRUE(engine_->add_listener(std::move(link), ListenerKind::children, *context).ok());
        LinkCredentials credentials;
        credentials.name_child = TestRealm::name_of;
        engine_->set_link(credentials);
    }
    spec.tier = name_;
    spec.app_host = "{app}.localhost";
    spec.portal_hosts = {"localhost", "127.0.0.1", "clinic.example", "rfc.example"};
    thread_ = std::thread([this] { reactor_->run(); });
}

Tier::~Tier() {
    on_loop([](Engine&) {});
    std::promise<void> gone;
    reactor_->post_from_any_thread([this, &gone] {
        engine_.reset();
        gone.set_value();
    });
    gone.get_future().wait();
    reactor_->stop_from_any_thread();
    thread_.join();
    ::unlink(log_path_.c_str());
}

void Tier::on_loop(const std::function<void(Engine&)>& what) {
    std::promise<void> done;
    reactor_->post_from_any_thread([&] {
        what(*engine_);
        done.set_value();
    });
    done.get_future().wait();
}

void Tier::publish() {
    const Result<std::string> bytes = registry::build_snapshot_bytes(spec);
    ASSERT_TRUE(bytes.ok()) << bytes.error().message;
    auto snapshot = registry::Snapshot::from_bytes(*bytes);
    ASSERT_TRUE(snapshot.ok());
    on_loop([&](Engine& engine) { engine.set_snapshot(*snapshot); });
}

void Tier::join(const std::vector<int>& parent_link_ports) {
    const TestRealm::Leaf leaf = realm_->issue(name_);
    net::ClientTls client;
    client.ca_pem = realm_->ca_pem;
    client.chain_pem = leaf.chain_pem;
    client.key_pem = leaf.key_pem;
    client.between_tiers = true;
    auto context = net::TlsContext::client(client);
    ASSERT_TRUE(context.ok()) << context.error().message;
    LinkCredentials credentials;
    credentials.client = *context;
    credentials.name_parent = TestRealm::name_of;
    credentials.name_child = TestRealm::name_of;
    joined_ = credentials;
    move(parent_link_ports);
}

void Tier::move(const std::vector<int>& parent_link_ports) {
    joined_.parent_addresses.clear();
    for (const int port : parent_link_ports) {
        joined_.parent_addresses.push_back("127.0.0.1:" + std::to_string(port));
    }
    on_loop([&](Engine& engine) { engine.set_link(joined_, part); });
}

int Tier::listen_tls(const TestRealm& realm, const std::string& host) {
    const TestRealm::Leaf leaf = realm.issue(host);
    net::ServerTls server;
    server.chain_pem = leaf.chain_pem;
    server.key_pem = leaf.key_pem;
    auto context = net::TlsContext::server(server);
    EXPECT_TRUE(context.ok());
    Fd listener;
    const int port = listen_loopback(listener);
    on_loop([&](Engine& engine) {
        EXPECT_TRUE(engine.add_listener(std::move(listener), ListenerKind::users, *context).ok());
    });
    return port;
}

int Tier::listen_with_buffer(int send_bytes) {
    Fd listener;
    const int port = listen_loopback(listener);
    // What is accepted has the listener's (socket(7)); the larger ones need root.
    if (::setsockopt(listener.get(), SOL_SOCKET, SO_SNDBUFFORCE, &send_bytes, sizeof send_bytes) !=
        0) {
        ::setsockopt(listener.get(), SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof send_bytes);
    }
    on_loop([&](Engine& engine) {
        EXPECT_TRUE(engine.add_listener(std::move(listener), ListenerKind::users, nullptr).ok());
    });
    return port;
}

std::vector<billing::UsageRecord> Tier::usage() {
    std::vector<billing::UsageRecord> out;
    on_loop([&](Engine&) {
        const auto batch = ring_->peek(0);
        out.assign(batch.records.begin(), batch.records.end());
    });
    return out;
}

void Tier::log_to(const char* path) {
    on_loop(
        [&](Engine&) { access_log_->reopen(Fd(::open(path, O_WRONLY | O_APPEND | O_CLOEXEC))); });
}

std::string Tier::metrics() {
    Fd listener;
    const int port = listen_loopback(listener);
    on_loop([&](Engine& engine) {
        EXPECT_TRUE(engine.add_listener(std::move(listener), ListenerKind::metrics, nullptr).ok());
    });
    return Client(port).get("/metrics").body;
}

std::string Tier::access_log() {
    on_loop([&](Engine&) { access_log_->flush(); });
    return read_file(log_path_, 1 << 24).value_or("");
}

EngineCounters Tier::counters() {
    EngineCounters out;
    on_loop([&](Engine& engine) { out = engine.counters(); });
    return out;
}

registry::AppSpec& Tier::add(registry::AppSpec app) {
    spec.apps.push_back(std::move(app));
    return spec.apps.back();
}

registry::AppSpec& Tier::add_upstream(const std::string& name, int backend_port,
                                      registry::Access access) {
    registry::AppSpec app;
    app.name = name;
    app.route = registry::Route::here;
    app.kind = registry::Kind::upstream;
    app.access = access;
    app.upstream.addresses = {{"127.0.0.1:" + std::to_string(backend_port)}};
    return add(std::move(app));
}

} // namespace hasp::passon::testing

// A tier in this process: an engine on its own thread, a keeper in memory, and small peers to talk
// to it.
#pragma once

#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "billing/usage_ring.h"
#include "net/reactor.h"
#include "passon/engine.h"

#include <atomic>
#include <condition_variable>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace hasp::passon::testing {

inline constexpr int wait_ms = 10'000; // for what must happen; only a failing test waits so long

inline const std::string session_cookie = "Cookie: hasp-session=secret\r\n";

// A WebSocket's opening handshake, and the answer to it with what the app says first.
inline const std::string websocket_lines =
    "Connection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
inline const std::string websocket_answer =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

// Identities, pages and starts from tables. Called on the loop's thread; tables are guarded.
class FakeKeeper final : public KeeperPort {
  public:
    void know(const std::string& kind_and_secret, Identity identity);
    void forget(const std::string& kind_and_secret);
    std::function<StartAnswer(const StartQuestion&)> on_start;
    std::function<Result<PageAnswer>(const PageQuestion&)> on_page;
    std::atomic<bool> silent{false};    // answers no question about people
    std::atomic<bool> pageless{false};  // nor about pages
    std::atomic<bool> startless{false}; // nor about starts
    std::atomic<int> page_questions{0};
    std::atomic<int> who_questions{0};
    std::atomic<int> start_questions{0};
    std::function<WhoAnswer(const WhoQuestion&)> on_who; // in place of the table
    std::function<Result<AssertionAnswer>(const AssertionQuestion&)> on_assertion;
    std::atomic<int> assertion_questions{0};

    void ask_who(WhoQuestion question, std::function<void(WhoAnswer)> answer) override;
    void ask_page(PageQuestion question, std::function<void(Result<PageAnswer>)> answer) override;
    void ask_start(StartQuestion question, std::function<void(StartAnswer)> answer) override;
    void ask_assertion(AssertionQuestion question,
                       std::function<void(Result<AssertionAnswer>)> answer) override;
    void peer_changed(const PeerState& state) override;
    std::atomic<int> changes{0}; // that it was told of
    void answers_changed() override { ++changes; }
    void parent_changed(const ParentState& state) override;
    void upstream_changed(const UpstreamState& state) override;
    void control_opened(const ControlOpened& opened) override;
    void control_data(ControlId id, std::string_view bytes) override;
    void control_closed(ControlId id, const std::string& why) override;

    struct Control {
        ControlOpened opened;
        std::string bytes;
        bool closed = false;
    };
    // Waits until `what` holds for what is known of the links. False: it did not happen.
    bool wait(const std::function<bool(FakeKeeper&)>& what);
    // Guarded by wait().
    std::vector<Control> controls;
    std::vector<ParentState> parent;
    std::map<std::string, UpstreamState> upstreams; // the last of each app
    std::map<std::string, PeerState> peers;         // the last of each
    PageQuestion last_page;
    bool up() const { return !parent.empty() && parent.back().up; }
    bool down() const { return !parent.empty() && !parent.back().up; }

  private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<std::string, Identity> known_;
};

Identity person(const std::string& user, const std::vector<std::string>& apps);

// Certificates of a tiny realm.
struct TestRealm {
    std::string ca_pem;
    struct Leaf {
        std::string chain_pem;
        std::string key_pem;
    };
    TestRealm();
    ~TestRealm();
    Leaf issue(const std::string& common_name) const;
    static Result<std::string> name_of(const std::vector<std::string>& chain);

  private:
    struct Keys;
    std::unique_ptr<Keys> keys_;
};

class Tier {
  public:
    explicit Tier(std::string name, Settings settings = {}, const TestRealm* realm = nullptr);
    ~Tier();

    registry::SnapshotSpec spec; // publish() after a change
    FakeKeeper keeper;
    void publish();
    void on_loop(const std::function<void(Engine&)>& what);
    int port() const { return port_; }
    int link_port() const { return link_port_; }
    // A second listener for users, over TLS, with a certificate for `host`; its port.
    int listen_tls(const TestRealm& realm, const std::string& host);
    // One whose connections have a send buffer of so many bytes, before the kernel doubles them.
    int listen_with_buffer(int send_bytes);
    // Begins the link to a parent's link listener (or a gate before it).
    void join(int parent_link_port) { join(std::vector<int>{parent_link_port}); }
    void join(const std::vector<int>& parent_link_ports);
    LinkPart part = LinkPart::control; // of the link, that the engine has from the next join() on
    // The parent is at these ports from now on; all else stays as join() had it.
    void move(const std::vector<int>& parent_link_ports);
    std::vector<billing::UsageRecord> usage();
    std::string access_log();
    // Its lines go to another file from now on.
    void log_to(const char* path);
    // What its /metrics say.
    std::string metrics();
    EngineCounters counters();

    registry::AppSpec& add(registry::AppSpec app);
    registry::AppSpec& add_upstream(const std::string& name, int backend_port,
                                    registry::Access access);

  private:
    std::string name_;
    const TestRealm* realm_;
    SystemClock clock_;
    SystemRandom random_;
    Log log_{-1, clock_, "test", false};
    std::unique_ptr<net::Reactor> reactor_;
    std::unique_ptr<billing::UsageRing> ring_;
    std::string log_path_;
    std::unique_ptr<AccessLog> access_log_;
    LinkCredentials joined_;
    std::unique_ptr<Engine> engine_;
    std::thread thread_;
    int port_ = 0;
    int link_port_ = 0;
};

// A blocking HTTP peer.
struct Answer {
    int status = 0;
    std::string head; // with the status line
    std::string body;
    bool closed = false;              // the connection ended before a whole answer came
    std::vector<std::string> interim; // heads of 1xx answers but 100 and 101
    std::string header(const std::string& lower_name) const; // first value, empty: none
};
class Client {
  public:
    explicit Client(int port);
    void send(std::string_view bytes);
    bool try_send(std::string_view bytes);
    Answer read(bool to_head = false);
    std::string read_bytes(std::size_t count);
    // True: the peer closes within the wait.
    bool closed();
    Answer get(const std::string& path, const std::string& more = {},
               const std::string& host = "localhost");
    int fd() const { return fd_.get(); }
    void end_writing();

  private:
    Fd fd_;
    std::string buffer_;
};

// Accepts on a loopback port or a unix dial socket; one thread a connection.
class Backend {
  public:
    // Gets a connected socket and what was read of it; returns when the connection is over.
    struct Peer {
        int fd;
        std::string buffer;
        // Reads one request; false at the end. Head with lines; body by Content-Length or chunked
        // (decoded).
        bool request(std::string& head, std::string& body);
        bool head(std::string& text);
        void send(std::string_view bytes);
    };
    explicit Backend(std::function<void(Peer&)> serve);
    ~Backend();
    int port() const { return port_; }
    std::atomic<int> connections{0};

  private:
    std::function<void(Peer&)> serve_;
    Fd listener_;
    int port_ = 0;
    std::thread thread_;
    std::mutex mutex_;
    std::vector<int> open_;
    std::vector<std::thread> threads_;
    bool stopping_ = false;
};

// Answers every request with 200, its own head as the body.
std::function<void(Backend::Peer&)> echo_head();
std::function<void(Backend::Peer&)> echo_body();

// Forwards TCP to another port until it is cut.
class Gate {
  public:
    explicit Gate(int to_port);
    ~Gate();
    int port() const { return port_; }
    void cut();
    void open() { is_open_ = true; }

  private:
    int to_;
    Fd listener_;
    int port_ = 0;
    std::atomic<bool> is_open_{true};
    std::thread thread_;
    std::mutex mutex_;
    std::vector<int> fds_;
    std::vector<std::thread> pumps_;
    bool stopping_ = false;
};

int listen_loopback(Fd& out);
Fd connect_loopback(int port);

} // namespace hasp::passon::testing

// One request and its answer, from the complete head to the access log line.
//
// begin → resolve (which app) → identify (who) → route (may he, and where) → acquire (a connection)
// → send → answer → end. Each step either goes on or waits for exactly one event; on_* are the
// events. The files: exchange.cpp (life, limits of time), exchange_route.cpp, exchange_check.cpp,
// exchange_memo.cpp (what the request before came to), exchange_peer.cpp, exchange_acquire.cpp,
// exchange_upstream.cpp, exchange_headers.cpp, exchange_send.cpp, exchange_answer.cpp,
// exchange_tunnel.cpp, exchange_own.cpp, exchange_static.cpp, exchange_direct.cpp (is the browser
// sent to the tier that serves?), exchange_code.cpp (is it compressed?), and of the cache
// exchange_cache.cpp (is it there?), exchange_stored.cpp (send it), exchange_keep.cpp (store it).
#pragma once

#include "answer_cache.h"
#include "billing/usage_ring.h"
#include "body_relay.h"
#include "endpoint.h"
#include "identity_cache.h"
#include "net/content_coding.h"
#include "net/fields.h"
#include "net/head.h"
#include "net/timer.h"
#include "net/write_head.h"
#include "passon/access_log.h"
#include "passon/keeper_port.h"
#include "registry/decide.h"
#include "server_conn.h"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace hasp::passon {

class Core;
struct StaticFile;

// What a tier tells the one below instead of a page: only the tier that the user sees makes pages.
enum class Notice : std::uint8_t {
    none,
    nowhere,     // 404, the same for what does not exist and for what is not yours
    log_in,      // 303 or 401
    forbidden,   // 403: another site led the browser here
    expired,     // 503: the lease has ended
    read_only,   // 409: the same, and the app is for reading only since
    unreachable, // 503: the tier that holds the app cannot be reached
    not_running, // 503: the app did not start, or does not answer
    arriving,    // 503: its user's files are on their way
    bad_answer,  // 502
    too_slow,    // 504
    loop,        // 508
    busy,        // 503: a limit is reached
    keeper,      // 503: sign-on cannot be checked now
    guessing,    // 429
};

class Exchange {
  public:
    explicit Exchange(Core& core);
    ~Exchange();
    Exchange(const Exchange&) = delete;
    Exchange& operator=(const Exchange&) = delete;

    // For Core: from the pool, and back to it.
    void attach(ServerConn& down);
    void reset();

    // Adds what was moved over links since the last time to the counters, which are told while long
    // exchanges go on.
    void count_link_bytes();

    // For ServerConn. The head is parsed in place here, before begin(); its views point into the
    // connection's buffer, which begin() takes over.
    net::RequestHead head;
    void begin(std::size_t head_bytes);
    // The head could not be read: answers and ends the connection.
    void refuse(int status, const char* why);
    void on_down_ready();
    void on_down_gone();
    // For Engine::leave_cache(). False: this request has something from the cache still.
    bool leave_cache();

    // For UpstreamConn and Endpoint.
    void on_up_open();
    void on_up_ready();
    void on_up_fail(const std::string& why);
    void on_started(const StartAnswer& answer);
    void on_turn(); // a connection, or a turn to make one, may be there

    // For AnswerCache: what this one waited for is there, or will not be.
    void on_landed();
    const ServerConn* down() const { return down_; }

    // For Engine: a tunnel whose user may no longer have it is cut.
    bool is_tunnel() const { return at_ == At::tunnel; }
    bool matches(const IdentityFilter& filter) const;
    bool still_allowed(const registry::Snapshot& snapshot) const;
    void cut(const char* why);
    // For Engine: another has taken the app's place behind this endpoint. A dial that is under way
    // may lead to the old one, and begins again; a tunnel is cut where the old one must end now.
    void replaced(const Endpoint& at, bool cut_tunnel);
    std::string_view
    up_peer() const; // name of the child or peer behind the upstream connection; empty: none
    bool is_to_parent() const { return up_ && up_->endpoint.kind() == EndpointKind::parent; }
    // The upstream connection is taken away: an answer that has begun is cut, else the notice says
    // so.
    void lose_up(const char* why);

  private:
    enum class At : std::uint8_t {
        idle,
        who,
        word, // of the keeper, for a peer
        own_body,
        page,
        waiting,
        dialing,
        connecting,
        sent,
        answering,
        file,
        stored,    // an answer of the cache is sent
        collapsed, // another fetches it
        direct,    // the keeper is asked where to send the browser
        tunnel
    };
    // Whose turn it is; each has its own limit of time.
    enum class Due : std::uint8_t {
        nothing,
        keeper,
        start,
        borrow,
        restart,
        connect,
        client_in,
        client_out,
        app_in,
        app_head,
        app_body,
        collapsed,
        direct,
        tunnel
    };
    using Handle = std::shared_ptr<Exchange*>;

    // exchange.cpp
    Handle handle();
    void end(bool keep);
    void due(Due what);
    bool is_for_neighbour() const; // who asks is another tier
    void on_time();
    void on_whole_time();
    std::int64_t left_ms() const;
    std::int64_t in_time(std::int64_t limit_ms) const;
    bool is_out_of_time() const;
    void stop_waiting();
    void give_up(const char* why);
    std::uint64_t progress() const;
    void on_again();
    void watch_client();
    void write_log(std::int64_t now_us); // boot time
    void write_usage(billing::UsageKind kind, bool last, std::int64_t now_us);
    void release_up(bool reusable);
    void start_request_body();
    std::uint64_t body_bytes_max() const;
    bool request_body_done();
    void let_head_go();
    std::string_view request_id() const { return {id_.data(), id_.size()}; }

    // exchange_route.cpp
    void resolve();
    bool name_app();
    bool read_link_fields();
    bool read_client();
    std::string_view keep(std::string_view value, bool lower = false);
    void make_request_id();
    void identify();
    void ask_who(WhoQuestion::Kind kind, std::string_view scope, std::string_view secret);
    std::optional<WhoQuestion> who_question(WhoQuestion::Kind kind, std::string_view scope,
                                            std::string_view secret) const;
    void refresh_who(WhoQuestion::Kind kind, std::string_view scope, std::string_view secret);
    void on_who(WhoQuestion::Kind kind, const std::string& scope, const std::string& secret,
                WhoAnswer answer);
    void route();
    void notice(Notice what, std::string_view detail = {});
    void log_in_notice();
    bool wants_page() const;

    // exchange_memo.cpp
    bool know_host();
    struct HostFacts {
        registry::App app;        // that has it
        std::string_view pattern; // else the app's name by the pattern of the tier's hosts
        bool portal = false;
    };
    HostFacts find_host();
    registry::App find_app();
    bool know_path();
    UpstreamGroup* find_group();
    const RequestMemo::Cookies* know_cookies() const;
    std::string_view session_secret() const;
    void write_cookies(net::HeadWriter& out);
    void write_own_lines(net::HeadWriter& out);

    // exchange_peer.cpp
    registry::Source source() const;
    void identify_by_peer();
    void seek_at_peer();
    void on_word(Result<AssertionAnswer> answer);
    void peer_answers();
    void blame_peer(bool reused);

    // exchange_check.cpp
    bool is_for_us();
    bool is_of_this_site();
    bool is_handshake();

    // exchange_own.cpp
    std::size_t own_body_max() const;
    void own_page();
    void read_own_body();
    void ask_page();
    void ask_notice(Notice what, std::string_view detail);
    void tell_request_id(net::HeadWriter& out) const;
    void on_page(Result<PageAnswer> answer);
    struct Extra {
        std::string_view name;
        std::string_view value;
    };
    // A whole answer of ours. `keep` false ends the connection after it.
    void answer_own(int status, std::initializer_list<Extra> extra, std::string_view type,
                    std::string_view body, bool keep = true);
    void upgrade_link(bool control);
    void tell_metrics();

    // exchange_direct.cpp
    bool may_go_directly() const;
    bool go_directly();
    bool go_directly_for(const net::AnswerHead& answer);
    void ask_direct();
    void on_direct(Result<PageAnswer> answer);

    // exchange_static.cpp
    void serve_static();
    void open_static(std::string_view path);
    void send_file();
    bool send_piece(std::uint64_t left, std::size_t& sent);

    // exchange_code.cpp
    void choose_coding(const net::AnswerHead& answer);
    bool may_be_coded(const net::AnswerHead& answer) const;
    bool is_led_here() const;
    net::Coding coding_taken() const;
    bool shows_coded(std::string_view etag) const;
    std::unique_ptr<net::Coder> take_coder(std::uint64_t length);
    void write_coding_fields(net::HeadWriter& out, const net::Headers& answer) const;
    void send_coded_file();

    // exchange_cache.cpp
    void seek();
    bool ask_cache();
    bool takes_part() const;
    void begin_cached();
    bool entitled() const;
    bool has_app_cookie() const;
    cache::AskedBy asked_by() const;
    void find_stored();
    bool find_in(std::uint64_t group, bool own);
    bool answers_this(const cache::Label& label, bool own, bool& varies);
    bool is_current(std::string_view release) const;
    bool is_confirmed() const;
    bool wait_for_other();
    void renew_beside();
    bool stand_in(cache::Trouble trouble);
    void end_cached();

    // exchange_stored.cpp
    bool serve_stored();
    bool write_stored_head(int status, const net::Ranges& ranges, std::uint64_t length);
    void tell_cache_status(net::HeadWriter& out) const;
    void tell_link_cache(net::HeadWriter& out) const;
    void send_stored();
    std::string_view cache_word() const;

    // exchange_keep.cpp
    bool take_for_cache(const net::AnswerHead& answer, std::size_t head_bytes);
    void learn_of_app(const net::AnswerHead& answer);
    void confirm(const net::AnswerHead& answer, std::size_t head_bytes);
    void update_by_head(const net::AnswerHead& answer);
    bool merge_answer(const net::AnswerHead& answer);
    bool may_stay_stored(const net::AnswerHead& now) const;
    std::string vary_text(std::string_view name) const;
    bool varies_on_ours(const net::Headers& answer) const;
    void choose_scope(const net::AnswerHead& answer);
    void begin_keeping(std::string_view head);
    void finish_keeping();
    void forget_changed(const net::AnswerHead& answer, std::string_view head);

    // exchange_acquire.cpp
    void acquire(bool fresh_only);
    Endpoint* endpoint();
    bool borrow_at(Endpoint& at);
    bool answered_for(Endpoint& at);
    void wait_for_turn(Endpoint& at);
    void connect_next();
    void dial();
    void on_dialed(Result<Fd> socket);
    void start_app();
    void use(std::unique_ptr<UpstreamConn> conn);
    void unreachable(const std::string& why);

    // exchange_upstream.cpp
    bool to_upstream() const;
    void acquire_address(bool fresh_only);
    void use_address(Peer& peer, bool fresh_only);
    void address_failed(const std::string& why);
    void blame_address(const char* why, bool reused);
    bool has_other_address() const;

    // exchange_headers.cpp; all but for an app that is served here
    bool replaces_request(std::string_view name) const;
    void write_mapped_request(net::HeadWriter& out);
    void expand_who(std::string& into, std::string_view value) const;
    bool replaces_answer(std::string_view name) const;
    void write_mapped_answer(net::HeadWriter& out) const;

    // exchange_send.cpp
    void send_request();
    bool write_request_head(std::string_view& out);
    void write_tier_fields(net::HeadWriter& out);
    void write_identity_fields(net::HeadWriter& out);
    void write_trace_fields(net::HeadWriter& out);
    void pump_request();
    void request_step(BodyRelay::Step step);
    void retry_or_fail(const char* why);

    // exchange_answer.cpp
    void pump_answer();
    void read_answer_head();
    void relay_answer(std::size_t head_bytes);
    std::string location_for_user(const net::Header& field) const;
    bool takes_trailers() const;
    bool passes_trailer(std::string_view name) const;
    void write_answer_fields(net::HeadWriter& out, const net::AnswerHead& answer);
    bool relay_interim(const net::AnswerHead& answer);
    bool write_answer_head(const net::AnswerHead& answer, net::Framing framing,
                           std::string_view& out);
    void answer_step(BodyRelay::Step step);

    // exchange_tunnel.cpp
    void begin_tunnel(std::string_view head);
    void pump_tunnel();

    Core& core_;
    ServerConn* down_ = nullptr;
    std::unique_ptr<UpstreamConn> up_;
    net::Timer timer_;
    net::Timer whole_;
    net::Timer minute_;
    net::Task again_;
    std::unique_ptr<net::Dial> dial_;
    Handle handle_;

    // All below is of one request; reset() clears it.
    net::Buffer head_buffer_;
    At at_ = At::idle;
    Due due_ = Due::nothing;
    std::shared_ptr<const registry::Snapshot> snapshot_;
    std::shared_ptr<const KnownIdentity> who_;
    std::shared_ptr<const std::string> word_; // for the peer that it goes to
    registry::App app_;
    registry::Verdict verdict_ = registry::Verdict::nowhere;
    std::array<char, 32> id_{}; // of the request, in hex
    std::array<std::uint8_t, 16> id_bytes_{};
    std::array<char, 48> trace_{}; // its id and our span, in hex; where the request has one
    bool traced_ = false;
    std::string_view app_name_; // views into text_
    std::string_view mount_;
    std::string_view scheme_;
    std::string_view authority_;
    std::string_view host_; // lower case, without port
    std::string_view client_;
    std::string_view sid_;       // that a neighbour named
    std::string text_;           // reserved in begin(), never moves after it
    std::string log_text_;       // of a request whose head has gone, see let_head_go()
    std::size_t log_method_ = 0; // sizes in log_text_: method, host, path
    std::size_t log_host_ = 0;
    std::string why_;
    std::string_view served_;
    BodyRelay request_;
    BodyRelay answer_;
    std::unique_ptr<StaticFile> file_;
    CacheUse cached_;
    net::Coding coding_ = net::Coding::identity; // that is put on the answer here
    std::string own_body_;
    bool notice_asked_ = false;
    bool direct_asked_ = false;
    std::string_view head_text_; // of a file's answer, in core_.head_out, until its first write
    Endpoint* waiting_at_ = nullptr;
    const Endpoint* avoid_ = nullptr; // address where the first try failed; only compared
    std::size_t tries_ = 0;           // addresses tried
    std::int64_t boot_us_ = 0;
    std::int64_t wall_us_ = 0;
    std::int64_t trusted_us_ = 0;
    // Boot time, for the answer's head. It stands still while the request's body comes.
    std::int64_t deadline_ms_ = 0;
    std::int64_t answer_ms_ = 0; // what was left of it when the request was begun to be sent
    std::uint64_t window_from_ = 0;
    std::uint64_t minute_in_ = 0;
    std::uint64_t minute_out_ = 0;
    std::int64_t minute_us_ = 0;
    std::uint64_t own_bytes_ = 0;
    struct Counted {
        std::uint64_t request = 0;
        std::uint64_t answer = 0; // to the client
        std::uint64_t came = 0;   // of the answer, from elsewhere
    };
    Counted counted_;
    int status_ = 0;
    std::size_t up_seen_ = 0;
    std::size_t interim_ = 0;
    std::uint64_t dial_era_ = 0;
    bool borrowed_ = false; // another loop was asked for a connection
    bool retried_ = false;
    bool request_broken_ = false; // the upstream takes no more of the request
    int starts_ = 0;              // how often a start of the app was asked for
    std::int64_t asked_ms_ = 0;   // since when the app is waited for
    bool sent_bytes_ = false;     // of the request's body, to the upstream
    bool answered_ = false;       // the answer's head has gone to the client
    bool for_app_ = false;        // ours, but the answer of a static app: it is metered as one
    bool up_reusable_ = false;    // after the answer
    bool varies_ = false;         // another client might get the answer in another coding
    bool marked_ = false;         // a 304 confirms what was coded here
    bool holds_coder_ = false;    // it counts in core_.coders
    bool keep_ = true;
    bool by_credential_ = false; // the identity came from Authorization, which no app may see
    bool continue_due_ = false;
    bool begun_ = false;
    bool authorised_by_parent_ = false;
};

} // namespace hasp::passon

#include "net/http2.h"

#include "http2_stream.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <deque>
#include <nghttp2/nghttp2.h>
#include <openssl/evp.h>
#include <unordered_map>
#include <utility>
#include <vector>

namespace hasp::net {
namespace {

// What frames cost of the allowance, and what gives it back.
constexpr std::int64_t idle_frame_cost = 1;
constexpr std::int64_t reset_cost = 40;
constexpr std::int64_t request_gain = 20;
constexpr std::size_t sent_bytes_a_gain = 4'096; // a client gives a window back for what it took
constexpr std::size_t body_bytes_a_gain = 1'024;
// Fields of a request, as HPACK makes them of what came: beyond so many heads' worth a stream is
// reset. What is only too long for one head gets its 431.
constexpr std::size_t head_times_max = 4;
constexpr std::size_t field_overhead = 32; // RFC 9113 §6.5.2
// CONTINUATION frames behind one HEADERS: so much as those heads take, in frames of the size that
// every client may send. More are a flood, however little they hold (CVE-2024-28182).
constexpr std::size_t frame_bytes = 16'384; // RFC 9113 §4.2
constexpr std::size_t continuations_max = head_times_max * 32 * 1024 / frame_bytes - 1;

constexpr std::size_t resets_burst = 400; // nghttp2's own limit, besides
constexpr std::size_t resets_per_s = 50;

template <auto free_one>
struct Freed {
    template <class T>
    void operator()(T* one) const {
        free_one(one);
    }
};
using Callbacks = std::unique_ptr<nghttp2_session_callbacks, Freed<nghttp2_session_callbacks_del>>;
using Options = std::unique_ptr<nghttp2_option, Freed<nghttp2_option_del>>;
using Session = std::unique_ptr<nghttp2_session, Freed<nghttp2_session_del>>;

std::string_view view(const std::uint8_t* bytes, std::size_t size) {
    return {reinterpret_cast<const char*>(bytes), size};
}

std::uint8_t* bytes_of(std::string_view text) {
    // nghttp2 copies what it is given here and writes to none of it.
    return const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(text.data()));
}

nghttp2_nv pair_of(std::string_view name, std::string_view value) {
    return {bytes_of(name), bytes_of(value), name.size(), value.size(), NGHTTP2_NV_FLAG_NONE};
}

} // namespace

class Http2Server::State {
  public:
    State(const Http2Limits& given, Random& random, Wake on_output, void* context)
        : limits(given), random_(random), wake_(on_output), context_(context),
          allowance_(given.allowance_max) {
        nghttp2_session_callbacks* callbacks_raw = nullptr;
        nghttp2_option* options_raw = nullptr;
        nghttp2_session* session_raw = nullptr;
        if (nghttp2_session_callbacks_new(&callbacks_raw) != 0) {
            return;
        }
        const Callbacks callbacks(callbacks_raw);
        if (nghttp2_option_new(&options_raw) != 0) {
            return;
        }
        const Options options(options_raw);
        nghttp2_option_set_no_auto_window_update(options.get(), 1);
        nghttp2_option_set_no_closed_streams(options.get(), 1);
        nghttp2_option_set_stream_reset_rate_limit(options.get(), resets_burst, resets_per_s);
        nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks.get(), on_begin_frame);
        nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks.get(), on_begin_headers);
        nghttp2_session_callbacks_set_on_header_callback(callbacks.get(), on_header);
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks.get(), on_frame_recv);
        nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks.get(),
                                                                     on_invalid_frame);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks.get(), on_data);
        nghttp2_session_callbacks_set_on_frame_send_callback(callbacks.get(), on_frame_send);
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks.get(), on_stream_close);
        nghttp2_session_callbacks_set_error_callback2(callbacks.get(), on_error);
        if (nghttp2_session_server_new2(&session_raw, callbacks.get(), this, options.get()) != 0) {
            return;
        }
        session_.reset(session_raw);
        const nghttp2_settings_entry settings[] = {
            {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.streams_max},
            {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, limits.window},
            {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, static_cast<std::uint32_t>(limits.head_max)},
            {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
            {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
        };
        if (nghttp2_submit_settings(session_.get(), NGHTTP2_FLAG_NONE, settings,
                                    std::size(settings)) != 0 ||
            nghttp2_session_set_local_window_size(session_.get(), NGHTTP2_FLAG_NONE, 0,
                                                  static_cast<std::int32_t>(limits.window_all)) !=
                0) {
            session_.reset();
        }
    }

    bool receive(std::string_view bytes, std::int64_t now_ms) {
        if (!session_ || over_) {
            return false;
        }
        if (last_ms_ != 0) {
            gain((now_ms - last_ms_) * limits.allowance_per_s / 1'000);
        }
        // What is less than one is not lost.
        if (last_ms_ == 0 || (now_ms - last_ms_) * limits.allowance_per_s >= 1'000) {
            last_ms_ = now_ms;
        }
        inside_ = true;
        now_ms_ = now_ms;
        const auto taken = nghttp2_session_mem_recv(session_.get(), bytes_of(bytes), bytes.size());
        inside_ = false;
        if (breach_ != nullptr) {
            nghttp2_session_terminate_session(session_.get(), NGHTTP2_PROTOCOL_ERROR);
            end_with(breach_);
        } else if (allowance_ < 0) {
            nghttp2_session_terminate_session(session_.get(), NGHTTP2_ENHANCE_YOUR_CALM);
            end_with("the client floods the connection with frames that ask for nothing");
        } else if (taken < 0) {
            end_with(nghttp2_strerror(static_cast<int>(taken)));
        }
        return !over_;
    }

    void produce(std::string& out, std::size_t enough) {
        inside_ = true;
        while (session_ && out.size() < enough) {
            const std::uint8_t* bytes = nullptr;
            const auto size = nghttp2_session_mem_send(session_.get(), &bytes);
            if (size <= 0) {
                break;
            }
            out.append(view(bytes, static_cast<std::size_t>(size)));
        }
        inside_ = false;
    }

    std::unique_ptr<Carrier> next_request();

    void deliver() {
        // What is told now may list more; those come behind.
        while (!listed_.empty()) {
            const std::shared_ptr<Http2Stream> one = std::move(listed_.front());
            listed_.pop_front();
            one->listed = false;
            Edges edges;
            edges.readable = std::exchange(one->edge_in, false);
            edges.writable = std::exchange(one->edge_out, false);
            edges.broken = edges.peer_closed = std::exchange(one->edge_broken, false);
            if (one->conn != nullptr) {
                one->conn->carrier_edges(edges);
            }
        }
    }

    void go_away() {
        if (session_ && !over_) {
            nghttp2_submit_goaway(session_.get(), NGHTTP2_FLAG_NONE,
                                  nghttp2_session_get_last_proc_stream_id(session_.get()),
                                  NGHTTP2_NO_ERROR, nullptr, 0);
            wake();
        }
    }

    void ask_to_go() {
        if (session_ && !over_) {
            nghttp2_submit_shutdown_notice(session_.get());
            wake();
        }
    }

    void close() {
        over_ = true;
        inside_ = true; // nobody need produce anything any more
        offered_.clear();
        for (auto& [id, one] : streams_) {
            one->closed = true;
            list(one, true, false, true);
        }
        streams_.clear();
        session_.reset();
    }

    void end_with(const std::string& why) {
        over_ = true;
        why_ = why_.empty() ? why : why_;
    }

    // For carriers.
    IoResult write(const std::shared_ptr<Http2Stream>& one, std::span<const iovec> pieces);
    void leave(const std::shared_ptr<Http2Stream>& one, bool abort);
    void credit(const std::shared_ptr<Http2Stream>& one);
    void resume(const std::shared_ptr<Http2Stream>& one);
    void list(const std::shared_ptr<Http2Stream>& one, bool in, bool out, bool broken = false) {
        one->edge_in = one->edge_in || in;
        one->edge_out = one->edge_out || out;
        one->edge_broken = one->edge_broken || broken;
        if (!one->listed && (in || out || broken)) {
            one->listed = true;
            listed_.push_back(one);
            wake();
        }
    }
    bool waits_for_others(const Http2Stream& one) const {
        return session_ && !one.closed && !one.payload().empty() &&
               nghttp2_session_get_stream_remote_window_size(session_.get(), one.id) > 0 &&
               nghttp2_session_get_remote_window_size(session_.get()) > 0;
    }
    void wake() {
        if (!inside_) {
            wake_(context_);
        }
    }

    Http2Limits limits;
    std::weak_ptr<State> self;
    std::string why_;
    std::int64_t head_since_ms_ = 0;

    bool finished() const {
        return !session_ || (nghttp2_session_want_read(session_.get()) == 0 &&
                             nghttp2_session_want_write(session_.get()) == 0);
    }
    std::size_t streams() const {
        return static_cast<std::size_t>(std::count_if(
            streams_.begin(), streams_.end(), [](const auto& one) { return one.second->whole; }));
    }
    bool owes() const {
        return std::any_of(streams_.begin(), streams_.end(), [](const auto& one) {
            return one.second->answer_begun() && !one.second->payload().empty();
        });
    }
    void reset_stuck(std::size_t bytes_min) {
        for (auto& [id, one] : streams_) {
            if (!one->left || one->closed || waits_for_others(*one)) {
                continue; // the last: whoever has the connection looks at it
            }
            if (one->looked_at && one->sent_since_look < bytes_min) {
                reset(*one, NGHTTP2_CANCEL);
            }
            one->looked_at = true;
            one->sent_since_look = 0;
        }
    }

  private:
    static State& of(void* context) { return *static_cast<State*>(context); }

    std::shared_ptr<Http2Stream> find(std::int32_t id) {
        const auto at = streams_.find(id);
        return at == streams_.end() ? nullptr : at->second;
    }

    void spend(std::int64_t cost) { allowance_ -= cost; }
    void gain(std::int64_t what) {
        allowance_ = std::min(allowance_ + std::max<std::int64_t>(what, 0), limits.allowance_max);
    }

    std::string websocket_key() {
        const std::string bytes = random_.bytes(16);
        std::string out(25, '\0');
        const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                         reinterpret_cast<const unsigned char*>(bytes.data()), 16);
        out.resize(static_cast<std::size_t>(size));
        return out;
    }

    void begin_request(Http2Stream& one, bool ends) {
        one.whole = true;
        one.begin_request(ends, one.request.is_websocket() ? websocket_key() : std::string());
        if (one.bad) {
            nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, one.id,
                                      NGHTTP2_PROTOCOL_ERROR);
            return;
        }
        one.offered = true;
        offered_.push_back(one.id);
        gain(request_gain);
    }

    // Streams that the client passed by are closed (section 5.1.1). Only the newest such ranges are
    // kept: one that is forgotten is passed over.
    void note_opened(std::int32_t stream) {
        if (stream > last_opened_ + 2) {
            skipped_[next_skipped_++ % skipped_.size()] = {last_opened_ + 2, stream - 2};
        }
        last_opened_ = std::max(last_opened_, stream);
    }
    bool was_skipped(std::int32_t stream) const {
        return stream > 0 &&
               std::any_of(skipped_.begin(), skipped_.end(), [stream](const auto& range) {
                   return stream >= range.first && stream <= range.second;
               });
    }

    // Of ones that belong to a head that is ignored already, nghttp2 counts alone.
    static int on_begin_frame(nghttp2_session*, const nghttp2_frame_hd* frame, void* context) {
        State& self = of(context);
        // Two breaches of RFC 9113 that nghttp2 passes over (sections 6.3 and 5.1.1).
        if (frame->type == NGHTTP2_PRIORITY && frame->stream_id == 0) {
            self.breach_ = "the client gives the connection a priority";
        } else if (frame->type == NGHTTP2_HEADERS && self.was_skipped(frame->stream_id)) {
            self.breach_ = "the client opens a stream below its last one";
        }
        if (frame->type != NGHTTP2_CONTINUATION) {
            self.continuations_ = 0;
        } else if (++self.continuations_ > continuations_max) {
            self.spend(self.limits.allowance_max + 1);
        } else {
            self.spend(idle_frame_cost);
        }
        return 0;
    }

    static int on_begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* context) {
        State& self = of(context);
        if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
            self.head_since_ms_ = self.now_ms_;
            self.note_opened(frame->hd.stream_id);
            self.streams_.emplace(frame->hd.stream_id,
                                  std::make_shared<Http2Stream>(frame->hd.stream_id,
                                                                self.limits.head_max,
                                                                self.limits.answer_room));
        }
        return 0;
    }

    static int on_header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                         std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                         std::uint8_t, void* context) {
        // A request's trailers are dropped, as in HTTP/1.1.
        if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
            if (const auto one = of(context).find(frame->hd.stream_id)) {
                one->head_bytes += name_size + value_size + field_overhead;
                if (one->head_bytes > head_times_max * of(context).limits.head_max) {
                    of(context).spend(reset_cost);
                    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
                }
                one->request.field(view(name, name_size), view(value, value_size));
            }
        }
        return 0;
    }

    static int on_frame_recv(nghttp2_session*, const nghttp2_frame* frame, void* context) {
        State& self = of(context);
        const bool ends = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
        switch (frame->hd.type) {
        case NGHTTP2_HEADERS:
        case NGHTTP2_DATA: {
            const auto one = self.find(frame->hd.stream_id);
            if (frame->hd.type == NGHTTP2_DATA && frame->hd.length == 0 && !ends) {
                self.spend(idle_frame_cost);
            }
            if (!one) {
                break;
            }
            if (frame->hd.type == NGHTTP2_HEADERS && frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
                self.head_since_ms_ = 0;
                self.begin_request(*one, ends);
            } else if (ends) {
                one->end_request();
                self.list(one, one->wants_in, false);
            }
            break;
        }
        case NGHTTP2_RST_STREAM:
            self.spend(reset_cost);
            break;
        default:
            self.spend(idle_frame_cost);
            break;
        }
        return 0;
    }

    static int on_invalid_frame(nghttp2_session*, const nghttp2_frame*, int, void* context) {
        of(context).spend(reset_cost);
        return 0;
    }

    static int on_data(nghttp2_session* session, std::uint8_t, std::int32_t id,
                       const std::uint8_t* bytes, std::size_t size, void* context) {
        State& self = of(context);
        self.gain(static_cast<std::int64_t>(size / body_bytes_a_gain));
        const auto one = self.find(id);
        if (!one || one->left || one->bad) {
            nghttp2_session_consume(session, id, size); // nobody reads it
            return 0;
        }
        one->body(view(bytes, size));
        self.list(one, one->wants_in, false);
        return 0;
    }

    static int on_frame_send(nghttp2_session* session, const nghttp2_frame* frame, void* context) {
        State& self = of(context);
        if (frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS) {
            return 0;
        }
        if (frame->hd.type == NGHTTP2_DATA) {
            self.gain(1 + static_cast<std::int64_t>(frame->hd.length / sent_bytes_a_gain));
        }
        if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) {
            return 0;
        }
        if (const auto one = self.find(frame->hd.stream_id)) {
            one->answer_sent = true;
            // RFC 9113 §8.1: the rest of a request that is answered is not wanted.
            if (!one->request_ended && one->left) {
                nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, one->id, NGHTTP2_NO_ERROR);
            }
        }
        return 0;
    }

    static int on_stream_close(nghttp2_session* session, std::int32_t id, std::uint32_t,
                               void* context) {
        State& self = of(context);
        const auto one = self.find(id);
        if (!one) {
            return 0;
        }
        one->closed = true;
        if (!one->whole) {
            self.head_since_ms_ = 0; // its head was refused half-way
        }
        if (one->unread > 0) {
            nghttp2_session_consume_connection(session, one->unread);
            one->unread = 0;
        }
        // One whose answer has gone learns of the end by reading; one that was reset, at once.
        self.list(one, true, true, !one->answer_sent);
        self.streams_.erase(id);
        return 0;
    }

    static int on_error(nghttp2_session*, int, const char* text, std::size_t size, void* context) {
        State& self = of(context);
        if (self.why_.empty()) {
            self.why_.assign(text, size);
        }
        return 0;
    }

    static ssize_t give_payload(nghttp2_session*, std::int32_t id, std::uint8_t* into,
                                std::size_t size, std::uint32_t* flags, nghttp2_data_source*,
                                void* context) {
        State& self = of(context);
        const auto one = self.find(id);
        if (!one) {
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        }
        const std::string_view payload = one->payload();
        const std::size_t bytes = std::min(size, payload.size());
        if (bytes == 0 && !one->answered()) {
            one->deferred = true;
            return NGHTTP2_ERR_DEFERRED;
        }
        std::memcpy(into, payload.data(), bytes);
        one->payload_sent(bytes);
        if (one->payload().empty() && one->answered()) {
            *flags |= NGHTTP2_DATA_FLAG_EOF;
            if (!one->trailers().empty() && self.submit_trailers(*one)) {
                *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            }
        }
        if (one->wants_out && one->room() > self.limits.answer_room / 2) {
            one->wants_out = false;
            self.list(one, false, true);
        }
        return static_cast<ssize_t>(bytes);
    }

    void submit(const std::shared_ptr<Http2Stream>& one, const Http2Answer& answer) {
        const std::string status = std::to_string(answer.status);
        std::vector<nghttp2_nv> fields;
        fields.reserve(answer.fields.size() + 1);
        fields.push_back(pair_of(":status", status));
        for (const auto& [name, value] : answer.fields) {
            fields.push_back(pair_of(name, value));
        }
        if (answer.interim) {
            nghttp2_submit_headers(session_.get(), NGHTTP2_FLAG_NONE, one->id, nullptr,
                                   fields.data(), fields.size(), nullptr);
            return;
        }
        nghttp2_data_provider provider{};
        provider.read_callback = give_payload;
        if (nghttp2_submit_response(session_.get(), one->id, fields.data(), fields.size(),
                                    answer.ends ? nullptr : &provider) != 0) {
            reset(*one, NGHTTP2_INTERNAL_ERROR);
        }
    }

    // RFC 9113 §8.1: a last HEADERS, behind the DATA.
    bool submit_trailers(const Http2Stream& one) {
        std::vector<nghttp2_nv> fields;
        for (std::string_view rest = one.trailers(); !rest.empty();) {
            const std::size_t colon = rest.find(':');
            const std::size_t end = rest.find('\r');
            fields.push_back(
                pair_of(rest.substr(0, colon), rest.substr(colon + 2, end - colon - 2)));
            rest.remove_prefix(end + 2);
        }
        return nghttp2_submit_trailer(session_.get(), one.id, fields.data(), fields.size()) == 0;
    }

    void reset(const Http2Stream& one, std::uint32_t code) {
        if (session_ && !one.closed) {
            nghttp2_submit_rst_stream(session_.get(), NGHTTP2_FLAG_NONE, one.id, code);
            wake();
        }
    }

    Random& random_;
    Wake wake_;
    void* context_;
    Session session_;
    std::unordered_map<std::int32_t, std::shared_ptr<Http2Stream>> streams_;
    std::deque<std::int32_t> offered_;
    std::deque<std::shared_ptr<Http2Stream>> listed_;
    std::int64_t allowance_;
    std::size_t continuations_ = 0; // behind the last other frame
    std::int32_t last_opened_ = -1;
    std::array<std::pair<std::int32_t, std::int32_t>, 16> skipped_{};
    std::size_t next_skipped_ = 0;
    const char* breach_ = nullptr; // that the callbacks have seen
    std::int64_t last_ms_ = 0;
    std::int64_t now_ms_ = 0;
    bool inside_ = false;
    bool over_ = false;
};

namespace {

class StreamCarrier final : public Carrier {
  public:
    StreamCarrier(std::weak_ptr<Http2Server::State> server, std::shared_ptr<Http2Stream> stream)
        : server_(std::move(server)), stream_(std::move(stream)) {}

    void attach(Conn& conn) override {
        stream_->conn = &conn;
        stream_->taken = true;
    }

    IoResult read(std::span<char> into) override {
        const IoResult got = stream_->read(into);
        if (const auto server = server_.lock(); got.bytes > 0 && server) {
            server->credit(stream_);
        }
        return got;
    }
    IoResult write(std::span<const iovec> pieces) override {
        const auto server = server_.lock();
        return server && !stream_->closed ? server->write(stream_, pieces)
                                          : IoResult{Io::failed, 0};
    }
    void shutdown_write() override {
        stream_->end_answer();
        if (const auto server = server_.lock()) {
            server->resume(stream_);
        }
    }
    bool waits_for_others() const override {
        const auto server = server_.lock();
        return server && server->waits_for_others(*stream_);
    }
    void leave(bool abort) override {
        stream_->conn = nullptr;
        if (const auto server = server_.lock()) {
            server->leave(stream_, abort);
        }
    }

  private:
    std::weak_ptr<Http2Server::State> server_;
    std::shared_ptr<Http2Stream> stream_;
};

} // namespace

std::unique_ptr<Carrier> Http2Server::State::next_request() {
    while (!offered_.empty()) {
        const auto one = find(offered_.front());
        offered_.pop_front();
        if (one) {
            // The weak pointer comes from the server's own shared one.
            return std::make_unique<StreamCarrier>(self, one);
        }
    }
    return nullptr;
}

IoResult Http2Server::State::write(const std::shared_ptr<Http2Stream>& one,
                                   std::span<const iovec> pieces) {
    std::size_t room = one->room();
    std::size_t bytes = 0;
    for (const iovec& piece : pieces) {
        std::string_view text(static_cast<const char*>(piece.iov_base), piece.iov_len);
        one->wants_out = one->wants_out || text.size() > room;
        text = text.substr(0, room);
        room -= text.size();
        bytes += text.size();
        if (!one->take_answer(text, [&](const Http2Answer& answer) { submit(one, answer); })) {
            reset(*one, NGHTTP2_INTERNAL_ERROR);
            return {Io::failed, 0};
        }
    }
    resume(one);
    return {bytes > 0 ? Io::ok : Io::again, bytes};
}

void Http2Server::State::resume(const std::shared_ptr<Http2Stream>& one) {
    if (session_ && !one->closed && one->deferred && (!one->payload().empty() || one->answered())) {
        one->deferred = false;
        nghttp2_session_resume_data(session_.get(), one->id);
    }
    if (one->answered() && one->wants_in) {
        one->wants_in = false;
        list(one, true, false);
    }
    wake();
}

void Http2Server::State::credit(const std::shared_ptr<Http2Stream>& one) {
    const std::size_t bytes = one->take_credit();
    if (bytes > 0 && session_ && !one->closed) {
        nghttp2_session_consume(session_.get(), one->id, bytes);
        wake();
    }
}

void Http2Server::State::leave(const std::shared_ptr<Http2Stream>& one, bool abort) {
    one->left = true;
    if (!session_ || one->closed) {
        return;
    }
    if (one->unread > 0) {
        nghttp2_session_consume(session_.get(), one->id, one->unread);
        one->unread = 0;
    }
    if (!one->taken) {
        reset(*one, NGHTTP2_REFUSED_STREAM); // the client may ask again: nobody has looked at it
    } else if (abort || !one->answered()) {
        reset(*one, one->answer_begun() ? NGHTTP2_INTERNAL_ERROR : NGHTTP2_CANCEL);
    } else if (one->answer_sent && !one->request_ended) {
        reset(*one, NGHTTP2_NO_ERROR);
    }
    wake();
}

Http2Server::Http2Server(const Http2Limits& limits, Random& random, Wake wake, void* context)
    : state_(std::make_shared<State>(limits, random, wake, context)) {
    state_->self = state_;
}

Http2Server::~Http2Server() {
    state_->close();
}

bool Http2Server::receive(std::string_view bytes, std::int64_t now_ms) {
    return state_->receive(bytes, now_ms);
}
const std::string& Http2Server::why() const {
    return state_->why_;
}
void Http2Server::produce(std::string& out, std::size_t enough) {
    state_->produce(out, enough);
}
std::unique_ptr<Carrier> Http2Server::next_request() {
    return state_->next_request();
}
void Http2Server::deliver() {
    const std::shared_ptr<State> held = state_; // a callback may destroy this server
    held->deliver();
}
void Http2Server::go_away() {
    state_->go_away();
}
void Http2Server::ask_to_go() {
    state_->ask_to_go();
}
void Http2Server::close() {
    const std::shared_ptr<State> held = state_;
    held->close();
    held->deliver();
}
bool Http2Server::finished() const {
    return state_->finished();
}
std::size_t Http2Server::streams() const {
    return state_->streams();
}
bool Http2Server::owes() const {
    return state_->owes();
}
void Http2Server::reset_stuck(std::size_t bytes_min) {
    state_->reset_stuck(bytes_min);
}
std::int64_t Http2Server::head_since_ms() const {
    return state_->head_since_ms_;
}

} // namespace hasp::net

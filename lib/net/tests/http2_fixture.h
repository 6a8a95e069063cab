// An nghttp2 client in memory on one side, Conns over the streams' carriers on the other.
#pragma once

#include "io_fixture.h"
#include "net/http2.h"

#include <cstring>
#include <map>
#include <memory>
#include <nghttp2/nghttp2.h>
#include <string>
#include <utility>
#include <vector>

namespace hasp::net {

using Fields = std::vector<std::pair<std::string, std::string>>;

// What became of one request, as the client saw it.
struct Seen {
    Fields fields;
    std::vector<std::string> interim; // statuses
    std::string body;
    bool ended = false;
    bool closed = false;
    std::uint32_t error = 0;
    std::string to_send; // of the request's body
    bool to_send_ends = true;

    std::string field(const std::string& name) const {
        for (const auto& [key, value] : fields) {
            if (key == name) {
                return value;
            }
        }
        return "(none)";
    }
};

class Http2Client {
  public:
    explicit Http2Client(bool reads = true) {
        nghttp2_session_callbacks* callbacks = nullptr;
        nghttp2_session_callbacks_new(&callbacks);
        nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
        nghttp2_option* options = nullptr;
        nghttp2_option_new(&options);
        nghttp2_option_set_no_auto_window_update(options, reads ? 0 : 1);
        // What a hostile client sends, this one has to be able to send too.
        nghttp2_option_set_no_http_messaging(options, 1);
        nghttp2_session_client_new2(&session_, callbacks, this, options);
        nghttp2_option_del(options);
        nghttp2_session_callbacks_del(callbacks);
        nghttp2_submit_settings(session_, NGHTTP2_FLAG_NONE, nullptr, 0);
    }
    ~Http2Client() { nghttp2_session_del(session_); }
    Http2Client(const Http2Client&) = delete;
    Http2Client& operator=(const Http2Client&) = delete;

    // With NGHTTP2_NV_FLAG_NO_COPY_NAME names go as they are, also in upper case, and must outlive
    // the next take().
    std::int32_t ask(const Fields& fields, const std::string& body = {}, bool has_body = false,
                     bool ends = true, std::uint8_t flags = NGHTTP2_NV_FLAG_NONE) {
        std::vector<nghttp2_nv> pairs;
        for (const auto& [name, value] : fields) {
            pairs.push_back({text(name), text(value), name.size(), value.size(), flags});
        }
        nghttp2_data_provider provider{};
        provider.read_callback = give;
        const std::int32_t id =
            nghttp2_submit_request(session_, nullptr, pairs.data(), pairs.size(),
                                   has_body || !body.empty() ? &provider : nullptr, nullptr);
        seen[id].to_send = body;
        seen[id].to_send_ends = ends;
        return id;
    }
    std::int32_t get(const std::string& path, Fields more = {}) {
        Fields fields{
            {":method", "GET"}, {":scheme", "https"}, {":path", path}, {":authority", "wiki.test"}};
        fields.insert(fields.end(), more.begin(), more.end());
        return ask(fields);
    }
    std::string take() {
        std::string out;
        for (;;) {
            const std::uint8_t* bytes = nullptr;
            const auto size = nghttp2_session_mem_send(session_, &bytes);
            if (size <= 0) {
                return out;
            }
            out.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
        }
    }
    void give_bytes(const std::string& bytes) {
        nghttp2_session_mem_recv(session_, text(bytes), bytes.size());
    }
    void more(std::int32_t id, const std::string& bytes, bool ends) {
        seen[id].to_send += bytes;
        seen[id].to_send_ends = ends;
        nghttp2_session_resume_data(session_, id);
    }
    void reset(std::int32_t id) {
        nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, id, NGHTTP2_CANCEL);
    }
    nghttp2_session* session() { return session_; }

    std::map<std::int32_t, Seen> seen;
    std::map<std::int32_t, std::uint32_t> settings;
    std::uint32_t goaway = 0;
    bool gone_away = false;

  private:
    static std::uint8_t* text(const std::string& from) {
        return const_cast<std::uint8_t*>(reinterpret_cast<const std::uint8_t*>(from.data()));
    }
    static Http2Client& of(void* context) { return *static_cast<Http2Client*>(context); }
    static int on_header(nghttp2_session*, const nghttp2_frame* frame, const std::uint8_t* name,
                         std::size_t name_size, const std::uint8_t* value, std::size_t value_size,
                         std::uint8_t, void* context) {
        Seen& one = of(context).seen[frame->hd.stream_id];
        const std::string key(reinterpret_cast<const char*>(name), name_size);
        const std::string said(reinterpret_cast<const char*>(value), value_size);
        if (key == ":status" && said[0] == '1') {
            one.interim.push_back(said);
        } else {
            one.fields.emplace_back(key, said);
        }
        return 0;
    }
    static int on_data(nghttp2_session*, std::uint8_t, std::int32_t id, const std::uint8_t* bytes,
                       std::size_t size, void* context) {
        of(context).seen[id].body.append(reinterpret_cast<const char*>(bytes), size);
        return 0;
    }
    static int on_frame(nghttp2_session*, const nghttp2_frame* frame, void* context) {
        Http2Client& self = of(context);
        if (frame->hd.type == NGHTTP2_GOAWAY) {
            self.goaway = frame->goaway.error_code;
            self.gone_away = true;
        } else if (frame->hd.type == NGHTTP2_SETTINGS) {
            for (std::size_t i = 0; i < frame->settings.niv; ++i) {
                self.settings[frame->settings.iv[i].settings_id] = frame->settings.iv[i].value;
            }
        } else if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
            self.seen[frame->hd.stream_id].ended = true;
        }
        return 0;
    }
    static int on_close(nghttp2_session*, std::int32_t id, std::uint32_t error, void* context) {
        of(context).seen[id].closed = true;
        of(context).seen[id].error = error;
        return 0;
    }
    static ssize_t give(nghttp2_session*, std::int32_t id, std::uint8_t* into, std::size_t size,
                        std::uint32_t* flags, nghttp2_data_source*, void* context) {
        Seen& one = of(context).seen[id];
        const std::size_t bytes = std::min(size, one.to_send.size());
        if (bytes == 0 && !one.to_send_ends) {
            return NGHTTP2_ERR_DEFERRED;
        }
        std::memcpy(into, one.to_send.data(), bytes);
        one.to_send.erase(0, bytes);
        if (one.to_send.empty() && one.to_send_ends) {
            *flags |= NGHTTP2_DATA_FLAG_EOF;
        }
        return static_cast<ssize_t>(bytes);
    }

    nghttp2_session* session_ = nullptr;
};

struct Http2Test : LoopTest {
    SeededRandom random{1};
    Http2Limits limits;
    std::unique_ptr<Http2Server> server;
    std::int64_t now_ms = 1'000;
    int wakes = 0;
    bool good = true;
    Http2Client client;
    std::vector<std::unique_ptr<Peer>> peers; // one a stream, in order

    void SetUp() override { make(); }
    void make() {
        server = std::make_unique<Http2Server>(
            limits, random, [](void* self) { ++static_cast<Http2Test*>(self)->wakes; }, this);
    }
    // Until neither has anything to say.
    void exchange() {
        for (;;) {
            std::string out;
            server->produce(out, 1 << 20);
            client.give_bytes(out);
            const std::string in = client.take();
            if (in.empty() && out.empty()) {
                return;
            }
            good = in.empty() ? good : server->receive(in, now_ms);
            while (auto carrier = server->next_request()) {
                peers.push_back(std::make_unique<Peer>(*reactor));
                peers.back()->conn.adopt(std::move(carrier), Address{});
                peers.back()->go();
            }
            server->deliver();
        }
    }
    Peer& peer(std::size_t i = 0) { return *peers.at(i); }
    void answer(Peer& one, const std::string& text) {
        one.to_send += text;
        one.go();
        exchange();
    }
};

} // namespace hasp::net

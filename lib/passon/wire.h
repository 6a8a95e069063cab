// One connection's bytes: what was read and not yet used, what was written and not yet taken.
#pragma once

#include "link_socket.h"
#include "net/buffer.h"
#include "net/conn.h"

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <sys/uio.h>

namespace hasp::passon {

inline iovec piece(std::string_view bytes) {
    return {const_cast<char*>(bytes.data()), bytes.size()};
}

// Idle it holds no buffer. What the socket does not take is copied to `out`: at most one head and
// one buffer (72 KiB), because nobody writes while blocked().
class Wire {
  public:
    std::unique_ptr<net::Conn> conn;
    net::Buffer in;

    bool blocked() const { return pending_bytes() > 0; }
    std::size_t pending_bytes() const { return pipe_.held() + (out_.size() - out_at_); }
    // False: the connection is broken.
    bool write(std::span<const iovec> pieces);
    bool write(std::string_view bytes);
    bool flush();
    // `head`, and behind it up to `bytes` of an open file, as far as the socket takes them; `sent`
    // of the file's. False: the connection is broken, or the file ended too soon. Precondition:
    // conn->takes_files(), and not blocked().
    bool send_file(std::string_view head, int file, std::uint64_t offset, std::size_t bytes,
                   std::size_t& sent);

    // Of a connection to a neighbour, see set_window_may_close().
    void may_stand_still(bool may, std::int64_t silence_ms) {
        if (may != may_stand_still_ && conn) {
            may_stand_still_ = may;
            set_window_may_close(conn->fd(), may, silence_ms);
        }
    }

    enum class Fill : unsigned char { got, again, end, cut, failed, full };
    // Reads what is there into `in`, lending a buffer when it has none; gives an empty buffer back.
    Fill fill();
    // Takes up to `bytes` (at least one) out of `from`, whose `in` must be empty, without copying
    // them: flush() writes them. `taken` says how many. full: no pipe is to be had. Precondition:
    // both takes_files(), not blocked().
    Fill take_from(Wire& from, std::uint64_t bytes, std::size_t& taken);
    void give_back_if_empty() {
        if (in.empty()) {
            in.give_back();
        }
    }

  private:
    net::Pipe pipe_; // what is in it goes out first
    std::string out_;
    std::size_t out_at_ = 0;
    bool may_stand_still_ = false;
};

} // namespace hasp::passon

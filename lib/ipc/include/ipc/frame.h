// The one frame that crosses process and tier boundaries: a JSON head for meaning, raw bytes for
// bulk. Byte layout: PROTOCOL.md.
#pragma once

#include "base/fd.h"
#include "base/result.h"

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::ipc {

// Of a whole frame with its eight bytes of lengths.
inline constexpr std::size_t frame_bytes_max = std::size_t{16} << 20;
inline constexpr std::size_t frame_prefix_bytes = 8;
// Descriptors that may travel with one frame. Four bits of the prefix hold the number, so it cannot
// grow past 15.
inline constexpr std::size_t frame_fds_max = 8;

struct Frame {
    std::string head;    // JSON text; this library neither writes nor reads it
    std::string body;    // any bytes
    std::vector<Fd> fds; // only over a unix socket; in the order sent
};

// Appends the frame to `out`. Code::usage, and nothing is appended, when it would exceed
// `limit_bytes` or `fds` frame_fds_max.
Status encode_frame(std::string& out, std::string_view head, std::string_view body,
                    std::size_t fds = 0, std::size_t limit_bytes = frame_bytes_max);

// Incremental, bounded by one frame. One thread. After an error it stays broken: the stream has
// lost its boundaries.
class FrameDecoder {
  public:
    // `fds_allowed` is false on links between tiers: a frame that claims descriptors is an error
    // there.
    explicit FrameDecoder(bool fds_allowed, std::size_t limit_bytes = frame_bytes_max)
        : fds_allowed_(fds_allowed), limit_bytes_(limit_bytes) {}

    // Called for each complete frame with the number of descriptors that it claims; returns false
    // to stop (feed() then fails with Code::failed). It must not call feed().
    using Sink = std::function<bool(Frame&&, std::size_t fds)>;

    // Takes all of `bytes`. Code::refused when a length exceeds the limit or contradicts another.
    // Memory grows only with bytes that have arrived, never with a length that was merely
    // announced.
    Status feed(std::string_view bytes, const Sink& sink);

    // Bytes of an unfinished frame that are held.
    std::size_t pending_bytes() const { return buffer_.size(); }

  private:
    Status check_prefix();

    bool fds_allowed_;
    bool broken_ = false;
    std::size_t limit_bytes_;
    std::string buffer_;
    std::size_t total_ = 0; // of the frame in buffer_, 0 while its prefix is incomplete
    std::size_t head_ = 0;
    std::size_t fds_ = 0;
};

} // namespace hasp::ipc

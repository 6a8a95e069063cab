#include "ipc/channel.h"

#include "socket.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>

namespace hasp::ipc {
namespace {
constexpr std::size_t read_bytes = 64 * 1024;
// Descriptors that came before the frame that claims them is complete. More than one frame's worth
// cannot be legal.
constexpr std::size_t arrived_fds_max = 4 * frame_fds_max;
} // namespace

Channel::Channel(Fd socket, Callbacks callbacks, bool fds_allowed, Limits limits)
    : socket_(std::move(socket)), callbacks_(std::move(callbacks)), limits_(limits),
      fds_allowed_(fds_allowed), decoder_(fds_allowed, limits.frame_bytes) {
    const int flags = ::fcntl(socket_.get(), F_GETFL);
    ::fcntl(socket_.get(), F_SETFL, flags | O_NONBLOCK);
    ::fcntl(socket_.get(), F_SETFD, FD_CLOEXEC);
}

Status Channel::send(std::string_view head, std::string_view body, std::span<const int> fds) {
    if (closed()) {
        return fail(Code::unreachable, "the channel is closed");
    }
    if (!fds.empty() && !fds_allowed_) {
        return fail(Code::usage, "descriptors cannot be sent over this channel");
    }
    if (queued_bytes_ + head.size() + body.size() > limits_.queue_bytes) {
        return fail(Code::try_later, "the peer does not read: " + std::to_string(queued_bytes_) +
                                         " bytes wait for it");
    }
    Outgoing one;
    if (Status status = encode_frame(one.bytes, head, body, fds.size(), limits_.frame_bytes);
        !status) {
        return status;
    }
    for (const int fd : fds) {
        Fd copy{::fcntl(fd, F_DUPFD_CLOEXEC, 0)};
        if (!copy) {
            return errno_error(errno, "cannot duplicate a descriptor for a frame");
        }
        one.fds.push_back(std::move(copy));
    }
    queued_bytes_ += one.bytes.size();
    out_.push_back(std::move(one));
    // Only the first of a queue may go straight out; later ones wait for on_ready(), which finds
    // the socket writable.
    if (out_.size() == 1) {
        write_some();
    }
    return {};
}

void Channel::write_some() {
    while (!out_.empty()) {
        Outgoing& one = out_.front();
        int fds[frame_fds_max];
        std::size_t count = 0;
        for (const Fd& fd : one.fds) {
            fds[count++] = fd.get();
        }
        const ssize_t sent = send_with_fds(
            socket_.get(), std::string_view(one.bytes).substr(one.sent), std::span(fds, count));
        if (sent < 0) {
            // A dead peer is reported by reading, which on_ready() does next: send() must not call
            // back into its caller.
            return;
        }
        one.fds.clear();
        one.sent += static_cast<std::size_t>(sent);
        queued_bytes_ -= static_cast<std::size_t>(sent);
        if (one.sent < one.bytes.size()) {
            continue;
        }
        out_.pop_front();
    }
}

bool Channel::deliver(Frame&& frame, std::size_t fds) {
    if (fds > arrived_.size()) {
        return false;
    }
    for (std::size_t i = 0; i < fds; ++i) {
        frame.fds.push_back(std::move(arrived_.front()));
        arrived_.pop_front();
    }
    if (callbacks_.on_frame) {
        callbacks_.on_frame(std::move(frame));
    }
    return !closed();
}

bool Channel::read_some() {
    std::string buffer(read_bytes, '\0');
    for (std::size_t total = 0; total < limits_.read_bytes_a_turn;) {
        const ssize_t got = receive_with_fds(socket_.get(), buffer.data(), buffer.size(), arrived_);
        if (got < 0 && errno == EAGAIN) {
            return false;
        }
        if (got <= 0) {
            fail_with(got == 0 ? fail(Code::unreachable, "the peer closed the channel")
                               : fail(Code::unreachable,
                                      errno_error(errno, "the channel broke").message));
            return false;
        }
        if (arrived_.size() > (fds_allowed_ ? arrived_fds_max : 0)) {
            fail_with(fail(Code::refused, "the peer sent descriptors that no frame claims"));
            return false;
        }
        const Status status = decoder_.feed(
            std::string_view(buffer.data(), static_cast<std::size_t>(got)),
            [this](Frame&& frame, std::size_t fds) { return deliver(std::move(frame), fds); });
        if (closed()) {
            return false;
        }
        if (!status) {
            fail_with(fail(Code::refused, status.error().message));
            return false;
        }
        total += static_cast<std::size_t>(got);
    }
    return true;
}

bool Channel::on_ready() {
    if (closed()) {
        return false;
    }
    write_some();
    return read_some();
}

void Channel::fail_with(Error why) {
    close();
    if (callbacks_.on_closed) {
        callbacks_.on_closed(why);
    }
}

void Channel::close() {
    socket_.reset();
    out_.clear();
    arrived_.clear();
    queued_bytes_ = 0;
}

} // namespace hasp::ipc

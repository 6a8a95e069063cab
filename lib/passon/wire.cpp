#include "wire.h"

#include <algorithm>

namespace hasp::passon {

bool Wire::write(std::span<const iovec> pieces) {
    if (blocked()) {
        if (out_at_ > 256 * 1024) {
            out_.erase(0, out_at_);
            out_at_ = 0;
        }
        for (const iovec& one : pieces) {
            out_.append(static_cast<const char*>(one.iov_base), one.iov_len);
        }
        return true;
    }
    std::size_t taken = 0;
    if (conn->writable()) {
        const net::IoResult result = conn->write(pieces);
        if (result.state != net::Io::ok && result.state != net::Io::again) {
            return false;
        }
        taken = result.state == net::Io::ok ? result.bytes : 0;
    }
    for (const iovec& one : pieces) {
        if (taken >= one.iov_len) {
            taken -= one.iov_len;
            continue;
        }
        out_.append(static_cast<const char*>(one.iov_base) + taken, one.iov_len - taken);
        taken = 0;
    }
    return true;
}

bool Wire::write(std::string_view bytes) {
    const iovec one = piece(bytes);
    return write(std::span(&one, 1));
}

bool Wire::send_file(std::string_view head, int file, std::uint64_t offset, std::size_t bytes,
                     std::size_t& sent) {
    sent = 0;
    if (!head.empty()) {
        const net::IoResult begun = conn->write_before_file(head);
        if (begun.state != net::Io::ok && begun.state != net::Io::again) {
            return false;
        }
        out_.assign(head.substr(begun.bytes));
        if (blocked()) {
            return true;
        }
    }
    const net::IoResult result = conn->send_file(file, offset, bytes);
    sent = result.bytes;
    return result.state == net::Io::ok || result.state == net::Io::again;
}

bool Wire::flush() {
    while (pipe_.held() > 0 && conn->writable()) {
        const net::IoResult result = conn->write_from(pipe_);
        if (result.state == net::Io::again) {
            break;
        }
        if (result.state != net::Io::ok) {
            return false;
        }
    }
    if (pipe_.held() > 0) {
        return true;
    }
    pipe_.give_back();
    while (blocked() && conn->writable()) {
        const net::IoResult result = conn->write(std::string_view(out_).substr(out_at_));
        if (result.state == net::Io::again) {
            break;
        }
        if (result.state != net::Io::ok) {
            return false;
        }
        out_at_ += result.bytes;
    }
    if (!blocked() && !out_.empty()) {
        out_ = {}; // pending bytes are rare; their memory is not kept for the next time
        out_at_ = 0;
    }
    return true;
}

Wire::Fill Wire::take_from(Wire& from, std::uint64_t bytes, std::size_t& taken) {
    taken = 0;
    if (!from.conn->open() || !from.conn->readable()) {
        return Fill::again;
    }
    pipe_ = conn->reactor().pipes().lend();
    if (!pipe_) {
        return Fill::full;
    }
    const net::IoResult result = from.conn->read_into(
        pipe_, static_cast<std::size_t>(std::min<std::uint64_t>(bytes, net::PipePool::pipe_bytes)));
    taken = result.bytes;
    if (taken == 0) {
        pipe_.give_back();
    }
    switch (result.state) {
    case net::Io::ok:
        return Fill::got;
    case net::Io::again:
        return Fill::again;
    case net::Io::end:
        return Fill::end;
    case net::Io::cut:
        return Fill::cut;
    case net::Io::failed:
        break;
    }
    return Fill::failed;
}

Wire::Fill Wire::fill() {
    if (!conn->open() || !conn->readable()) {
        give_back_if_empty();
        return Fill::again;
    }
    if (!in) {
        in = conn->reactor().buffers().lend();
    }
    if (in.space().empty()) {
        in.compact();
        if (in.space().empty()) {
            return Fill::full;
        }
    }
    const net::IoResult result = conn->read(in.space());
    switch (result.state) {
    case net::Io::ok:
        in.commit(result.bytes);
        return Fill::got;
    case net::Io::again:
        give_back_if_empty();
        return Fill::again;
    case net::Io::end:
        give_back_if_empty();
        return Fill::end;
    case net::Io::cut:
        return Fill::cut;
    case net::Io::failed:
        break;
    }
    return Fill::failed;
}

} // namespace hasp::passon

#include "control.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <sys/socket.h>

namespace hasp::cmd {

Status send_control(int socket, const std::string& text, int fd) {
    const std::string_view word = std::string_view(text).substr(0, text.find(' '));
    const auto* const verb =
        std::find_if(control_verbs.begin(), control_verbs.end(),
                     [word](const ControlVerb& one) { return one.word == word; });
    if (verb == control_verbs.end() || verb->with_fd != (fd >= 0) ||
        text.size() > control_message_bytes_max) {
        return fail(Code::usage, "'" + text.substr(0, 40) + "' is no message of PROTOCOL.md");
    }
    iovec iov{const_cast<char*>(text.data()), text.size()};
    msghdr message{};
    message.msg_iov = &iov;
    message.msg_iovlen = 1;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> ancillary{};
    if (fd >= 0) {
        message.msg_control = ancillary.data();
        message.msg_controllen = ancillary.size();
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
    }
    if (::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        return errno_error(errno, "cannot send '" + text.substr(0, text.find(' ')) + "'");
    }
    return {};
}

Result<std::optional<ControlMessage>> receive_control(int socket) {
    std::array<char, control_message_bytes_max> buffer{};
    iovec iov{buffer.data(), buffer.size()};
    msghdr message{};
    message.msg_iov = &iov;
    message.msg_iovlen = 1;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> ancillary{};
    message.msg_control = ancillary.data();
    message.msg_controllen = ancillary.size();
    const ssize_t n = ::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0) {
        if (errno == EAGAIN || errno == EINTR) {
            return std::optional<ControlMessage>{};
        }
        return errno_error(errno, "cannot read from the supervisor's socket");
    }
    if (n == 0) {
        return fail(Code::unreachable, "the other side is gone");
    }
    ControlMessage out;
    const std::string text(buffer.data(), static_cast<std::size_t>(n));
    const std::size_t space = text.find(' ');
    out.verb = text.substr(0, space);
    out.rest = space == std::string::npos ? "" : text.substr(space + 1);
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
         header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
            header->cmsg_len == CMSG_LEN(sizeof(int))) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
            out.fd.reset(fd);
        }
    }
    return std::optional<ControlMessage>(std::move(out));
}

Result<ControlMessage> wait_control(int socket) {
    for (;;) {
        auto message = receive_control(socket);
        if (!message.ok()) {
            return message.error();
        }
        if (*message) {
            return std::move(**message);
        }
        pollfd p{socket, POLLIN, 0};
        ::poll(&p, 1, -1);
    }
}

} // namespace hasp::cmd

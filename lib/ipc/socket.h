// sendmsg and recvmsg with descriptors, shared by the channel and the blocking calls.
#pragma once

#include "base/fd.h"

#include <deque>
#include <span>
#include <string_view>
#include <sys/types.h>

namespace hasp::ipc {

// sendmsg without SIGPIPE; `fds` (at most frame_fds_max) go with the first byte. As sendmsg(2),
// EINTR retried.
ssize_t send_with_fds(int fd, std::string_view bytes, std::span<const int> fds);

// recvmsg; descriptors that arrive are appended to `fds`, close-on-exec. -1 with EPROTO when the
// kernel had to drop some.
ssize_t receive_with_fds(int fd, char* buffer, std::size_t size, std::deque<Fd>& fds);

} // namespace hasp::ipc

#include "listening.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <netdb.h>
#include <sys/socket.h>

namespace hasp::cmd {

namespace {

Result<Listening> listen_on(const ListenSpec& spec) {
    const std::string what = "cannot listen on " + spec.address;
    const std::size_t colon = spec.address.rfind(':');
    if (colon == std::string::npos) {
        return fail(Code::usage, what + ": no port in it",
                    "write HOST:PORT, for example 127.0.0.1:8480");
    }
    std::string host = spec.address.substr(0, colon);
    if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
        host = host.substr(1, host.size() - 2);
    }
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV;
    addrinfo* found = nullptr;
    if (const int rc = ::getaddrinfo(host.empty() ? nullptr : host.c_str(),
                                     spec.address.c_str() + colon + 1, &hints, &found);
        rc != 0) {
        return fail(Code::usage, what + ": " + ::gai_strerror(rc),
                    "write a numeric address, for example 127.0.0.1:8480 or [::]:8480");
    }
    Fd fd(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int on = 1;
    int rc = fd ? ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) : -1;
    if (rc == 0) {
        rc = ::bind(fd.get(), found->ai_addr, found->ai_addrlen);
    }
    if (rc == 0) {
        rc = ::listen(fd.get(), 4096);
    }
    const int error = errno;
    ::freeaddrinfo(found);
    if (rc != 0) {
        Error e = errno_error(error, what);
        if (error == EADDRINUSE) {
            e.code = Code::conflict;
            e.hint =
                "another program has this port: stop it, or choose another address in hasp.toml";
        }
        return e;
    }
    sockaddr_storage bound{};
    socklen_t size = sizeof bound;
    std::array<char, 16> port{};
    if (::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&bound), &size) == 0 &&
        ::getnameinfo(reinterpret_cast<sockaddr*>(&bound), size, nullptr, 0, port.data(),
                      port.size(), NI_NUMERICSERV) == 0) {
        return Listening{spec, spec.address.substr(0, colon + 1) + port.data(), std::move(fd)};
    }
    return errno_error(errno, what);
}

} // namespace

Result<std::vector<Listening>> listen_as(const std::vector<ListenSpec>& wanted,
                                         const std::vector<Listening>& have) {
    std::vector<Listening> out;
    for (const ListenSpec& spec : wanted) {
        const auto kept = std::find_if(have.begin(), have.end(),
                                       [&](const Listening& one) { return one.spec == spec; });
        if (kept != have.end()) {
            Fd same(::fcntl(kept->fd.get(), F_DUPFD_CLOEXEC, 0));
            if (!same) {
                return errno_error(errno, "cannot keep listening on " + kept->address);
            }
            out.push_back({spec, kept->address, std::move(same)});
            continue;
        }
        auto made = listen_on(spec);
        if (!made.ok()) {
            return made.error();
        }
        out.push_back(*std::move(made));
    }
    return out;
}

} // namespace hasp::cmd

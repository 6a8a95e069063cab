// clamd (ClamAV's clamd(8)): zINSTREAM and zVERSION, a connection a question.
#include "base/bytes.h"
#include "base/fd.h"
#include "base/text.h"
#include "maint/config.h"
#include "virus_scanner.h"
#include "virus_wait.h"

#include <array>
#include <cstring>
#include <memory>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace hasp::maint {

namespace {

constexpr std::string_view unix_prefix = "unix:";
constexpr std::string_view instream("zINSTREAM\0", 10);
constexpr std::string_view version_question("zVERSION\0", 9);

std::string errno_words(const char* what) {
    return std::string(what) + ": " + std::strerror(errno);
}

class Clamd final : public VirusScanner {
  public:
    Clamd(std::string address, std::int64_t limit_us, const Clock& clock)
        : address_(std::move(address)), limit_us_(limit_us), clock_(clock) {}

    std::string name() const override { return "clamd at " + address_; }
    void stop() override { stopped_ = true; }

    ScanVerdict scan(const sync::Pull& content) override {
        const ScanWait wait(clock_, stopped_, limit_us_);
        auto socket = connect(wait);
        if (!socket.ok()) {
            return ScanVerdict::unreachable(socket.error().message);
        }
        Status sent = send(*socket, instream, wait);
        std::string chunk(scan_chunk_bytes, '\0');
        // Where it has something to say before the end, it has had enough.
        while (sent.ok() && !answers(*socket)) {
            auto got = content(std::span(chunk).subspan(length_bytes));
            if (!got.ok()) {
                return ScanVerdict::unknown(got.error().message);
            }
            put_u32(chunk, *got);
            sent = send(*socket, std::string_view(chunk).substr(0, length_bytes + *got), wait);
            if (*got == 0) {
                break;
            }
        }
        // One that closed its side may have said why.
        auto answer = receive(*socket, wait);
        if (answer.ok()) {
            return parse_clamd_answer(*answer);
        }
        const std::string problem = sent.ok() ? answer.error().message : sent.error().message;
        // A content may take all its time; a daemon that says nothing at all is gone.
        *socket = Fd(); // clamd has only so many
        const bool late = answer.error().code == Code::timed_out;
        return late && version().ok() ? ScanVerdict::unknown(problem)
                                      : ScanVerdict::unreachable(problem);
    }

    Result<std::string> version() override {
        const ScanWait wait(clock_, stopped_, std::min(limit_us_, scan_version_us_max));
        auto socket = connect(wait);
        if (!socket.ok()) {
            return socket.error();
        }
        if (Status sent = send(*socket, version_question, wait); !sent.ok()) {
            return sent.error();
        }
        auto answer = receive(*socket, wait);
        if (answer.ok() && !answer->starts_with("ClamAV ")) {
            return fail(Code::unreachable, "what answers is not clamd: " + scan_words(*answer));
        }
        return answer.ok() ? Result<std::string>(scan_words(*answer)) : answer;
    }

  private:
    static constexpr std::size_t length_bytes = 4; // of a chunk, big endian

    static void put_u32(std::string& out, std::size_t value) {
        for (std::size_t i = 0; i < length_bytes; ++i) {
            out[i] = static_cast<char>(value >> (8 * (length_bytes - 1 - i)) & 0xffU);
        }
    }

    Result<Fd> connect(const ScanWait& wait) const {
        if (address_.starts_with(unix_prefix)) {
            sockaddr_un to{};
            to.sun_family = AF_UNIX;
            std::memcpy(to.sun_path, address_.data() + unix_prefix.size(),
                        address_.size() - unix_prefix.size()); // its length was checked
            return connect_to(reinterpret_cast<const sockaddr*>(&to), sizeof to, wait);
        }
        const std::size_t colon = address_.rfind(':');
        std::string host = address_.substr(0, colon);
        if (host.starts_with('[')) {
            host = host.substr(1, host.size() - 2);
        }
        addrinfo hints{};
        hints.ai_socktype = SOCK_STREAM;
        addrinfo* list = nullptr;
        if (const int code =
                ::getaddrinfo(host.c_str(), address_.c_str() + colon + 1, &hints, &list);
            code != 0) {
            return fail(Code::unreachable,
                        address_ + " cannot be looked up: " + ::gai_strerror(code));
        }
        const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> all(list, ::freeaddrinfo);
        Result<Fd> last = fail(Code::unreachable, address_ + " has no address");
        for (const addrinfo* one = list; one != nullptr; one = one->ai_next) {
            last = connect_to(one->ai_addr, one->ai_addrlen, wait);
            if (last.ok()) {
                break;
            }
        }
        return last;
    }

    static Result<Fd> connect_to(const sockaddr* to, socklen_t size, const ScanWait& wait) {
        Fd fd(::socket(to->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        if (!fd) {
            return fail(Code::unreachable, errno_words("no socket"));
        }
        if (::connect(fd.get(), to, size) != 0) {
            // A full queue of a UNIX socket is EAGAIN, and nothing says when it is no more.
            if (errno != EINPROGRESS) {
                return fail(Code::unreachable, errno_words("it cannot be reached"));
            }
            int problem = 0;
            socklen_t bytes = sizeof problem;
            if (!wait(fd.get(), POLLOUT)) {
                return fail(Code::unreachable, "it cannot be reached: nobody answers");
            }
            if (::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &problem, &bytes) != 0 ||
                problem != 0) {
                errno = problem;
                return fail(Code::unreachable, errno_words("it cannot be reached"));
            }
        }
        return fd;
    }

    static bool answers(const Fd& fd) {
        pollfd one{fd.get(), POLLIN, 0};
        return ::poll(&one, 1, 0) > 0;
    }

    static Status send(const Fd& fd, std::string_view bytes, const ScanWait& wait) {
        while (!bytes.empty()) {
            const ssize_t sent = ::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (sent > 0) {
                bytes.remove_prefix(static_cast<std::size_t>(sent));
            } else if (errno == EAGAIN) {
                std::array<pollfd, 1> either{{{fd.get(), POLLOUT | POLLIN, 0}}};
                if (!wait(either)) {
                    return fail(Code::timed_out, "it takes nothing in its time");
                }
                if ((either[0].revents & POLLOUT) == 0) {
                    return {}; // it has an answer already
                }
            } else if (errno != EINTR) {
                return fail(Code::unreachable, errno_words("it does not listen"));
            }
        }
        return {};
    }

    static Result<std::string> receive(const Fd& fd, const ScanWait& wait) {
        std::string out;
        std::array<char, 1024> piece{};
        while (out.size() <= scan_answer_bytes_max) {
            const ssize_t got = ::recv(fd.get(), piece.data(), piece.size(), 0);
            if (got > 0) {
                out.append(piece.data(), static_cast<std::size_t>(got));
                if (const std::size_t end = out.find('\0'); end != std::string::npos) {
                    return out.substr(0, end);
                }
            } else if (got == 0) {
                return fail(Code::unreachable, "its answer was cut");
            } else if (errno == EAGAIN) {
                if (!wait(fd.get(), POLLIN)) {
                    return fail(Code::timed_out, "it did not answer in its time");
                }
            } else if (errno != EINTR) {
                return fail(Code::unreachable, errno_words("its answer was cut"));
            }
        }
        return fail(Code::unreachable, "its answer is longer than one of clamd's");
    }

    std::string address_;
    std::int64_t limit_us_;
    const Clock& clock_;
    std::atomic<bool> stopped_ = false;
};

} // namespace

bool valid_clamd_address(std::string_view text) {
    if (!text.starts_with(unix_prefix)) {
        return valid_peer_address(text);
    }
    text.remove_prefix(unix_prefix.size());
    return text.starts_with('/') && text.size() < sizeof(sockaddr_un::sun_path) &&
           text.find('\0') == std::string_view::npos;
}

std::unique_ptr<VirusScanner> make_clamd(std::string address, std::int64_t limit_us,
                                         const Clock& clock) {
    return std::make_unique<Clamd>(std::move(address), limit_us, clock);
}

} // namespace hasp::maint

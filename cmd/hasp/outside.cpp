#include "outside.h"

#include "curl_trust.h"

#include "base/clock.h"
#include "base/fd.h"
#include "base/text.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <curl/curl.h>
#include <fcntl.h>
#include <memory>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace hasp::cmd {

namespace {

constexpr long connect_s_max = 10;
constexpr std::size_t headers_max = 100;
constexpr std::size_t last_words_bytes = 400;

std::size_t take_body(char* data, std::size_t one, std::size_t size, void* argument) {
    auto& answer = *static_cast<maint::OutsideAnswer*>(argument);
    if (answer.body.size() + one * size > maint::outside_answer_bytes_max) {
        return 0;
    }
    answer.body.append(data, one * size);
    return one * size;
}

std::size_t take_header(char* data, std::size_t one, std::size_t size, void* argument) {
    auto& answer = *static_cast<maint::OutsideAnswer*>(argument);
    const std::string_view line(data, one * size);
    const std::size_t colon = line.find(':');
    if (line.starts_with("HTTP/")) {
        answer.headers.clear(); // what came before was an interim answer
    } else if (colon != std::string_view::npos && answer.headers.size() < headers_max) {
        answer.headers.emplace_back(to_lower(line.substr(0, colon)),
                                    std::string(trim(line.substr(colon + 1))));
    }
    return one * size;
}

// Whether there is something to read, or an end, before the time is over.
bool ready_by(int fd, std::int64_t until_us, const Clock& clock) {
    for (;;) {
        const std::int64_t left_us = until_us - clock.boot_us();
        if (left_us <= 0) {
            return false;
        }
        pollfd one{fd, POLLIN, 0};
        const int ready = ::poll(&one, 1, static_cast<int>((left_us + 999) / 1000));
        if (ready > 0) {
            return true;
        }
        if (ready < 0 && errno != EINTR) {
            return false;
        }
    }
}

// What it says until it closes its output or its time is over.
std::string listen_to(int fd, std::int64_t until_us, const Clock& clock) {
    std::string said;
    while (ready_by(fd, until_us, clock)) {
        std::array<char, 1024> piece{};
        const ssize_t size = ::read(fd, piece.data(), piece.size());
        if (size < 0 && errno == EINTR) {
            continue;
        }
        if (size <= 0) {
            return said;
        }
        said.append(piece.data(), static_cast<std::size_t>(size));
        if (said.size() > last_words_bytes) {
            said.erase(0, said.size() - last_words_bytes);
        }
    }
    return said;
}

} // namespace

Result<maint::OutsideAnswer> call_outside(const maint::OutsideCall& call) {
    const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> handle(curl_easy_init(),
                                                                     curl_easy_cleanup);
    CURL* curl = handle.get();
    if (curl == nullptr) {
        return fail(Code::failed, "cannot load libcurl.so.4", "install the package libcurl4");
    }
    std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(
        curl_slist_append(nullptr, ("Content-Type: " + call.content_type).c_str()),
        curl_slist_free_all);
    maint::OutsideAnswer answer;
    curl_easy_setopt(curl, CURLOPT_URL, call.url.c_str());
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https,http");
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "hasp");
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &answer);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &answer);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT, static_cast<long>(maint::outside_limit_s));
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, connect_s_max);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    trust_only(curl, call.ca_file);
    if (call.method == "HEAD") {
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    } else if (call.method == "POST") {
        curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, call.body.data());
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, static_cast<long>(call.body.size()));
    }
    if (const CURLcode code = curl_easy_perform(curl); code != CURLE_OK) {
        return fail(code == CURLE_OPERATION_TIMEDOUT ? Code::timed_out : Code::unreachable,
                    call.url + " cannot be asked: " + curl_easy_strerror(code));
    }
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    answer.status = static_cast<int>(status);
    return answer;
}

Status run_outside(const std::vector<std::string>& arguments, std::int64_t limit_us) {
    const std::string& program = arguments.front();
    std::vector<char*> argv;
    for (const std::string& one : arguments) {
        argv.push_back(const_cast<char*>(one.c_str()));
    }
    argv.push_back(nullptr);
    std::array<int, 2> pipe{};
    if (::pipe2(pipe.data(), O_CLOEXEC) != 0) {
        return errno_error(errno, "cannot start " + program);
    }
    const Fd from(pipe[0]);
    Fd to(pipe[1]);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, to.get(), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, to.get(), STDERR_FILENO);
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    // A group of its own: what it started ends with it.
    posix_spawnattr_t how;
    posix_spawnattr_init(&how);
    posix_spawnattr_setflags(&how, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
    sigset_t all;
    sigfillset(&all);
    posix_spawnattr_setsigdefault(&how, &all);
    pid_t pid = -1;
    const int failed = ::posix_spawn(&pid, program.c_str(), &actions, &how, argv.data(), environ);
    posix_spawnattr_destroy(&how);
    posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) {
        return errno_error(failed, "cannot start " + program);
    }
    to.reset();
    const SystemClock clock;
    const std::int64_t until_us = clock.boot_us() + limit_us;
    const std::string said = listen_to(from.get(), until_us, clock);
    // It may have closed its output and go on. Without a handle it has had its time.
    const Fd handle(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    const bool late = !handle || !ready_by(handle.get(), until_us, clock);
    if (late) {
        ::kill(-pid, SIGKILL);
        ::kill(pid, SIGKILL); // it may have left its group
    }
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (late) {
        return fail(Code::timed_out,
                    program + " did not end within " + std::to_string(limit_us / second_us) + " s");
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        return fail(Code::failed, program +
                                      (WIFEXITED(status) ? " ended with status " +
                                                               std::to_string(WEXITSTATUS(status))
                                                         : std::string(" was killed")) +
                                      (said.empty() ? "" : ": " + std::string(trim(said))));
    }
    return {};
}

} // namespace hasp::cmd

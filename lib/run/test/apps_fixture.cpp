#include "apps_fixture.h"

#include "base/files.h"
#include "base/text.h"
#include "probe.h"

#include <cstring>
#include <fstream>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace hasp::run {
namespace {

constexpr uid_t test_uid = 212'345;
constexpr int answer_ms_max = 10'000;

// The connected socket that a dialer hands out, or why not.
Fd dial(const std::string& path, std::string& error) {
    int number = 0;
    const Fd dialer = connect_unix(path, number);
    if (!dialer) {
        error = std::string("(dial: ") + std::strerror(number) + ")";
        return Fd();
    }
    pollfd ready{dialer.get(), POLLIN, 0};
    ::poll(&ready, 1, answer_ms_max);
    char bytes[256];
    alignas(cmsghdr) char space[CMSG_SPACE(sizeof(int))];
    iovec part{bytes, sizeof bytes};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = space;
    message.msg_controllen = sizeof space;
    const ssize_t n = ::recvmsg(dialer.get(), &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n < 1 || bytes[0] != 'F' || CMSG_FIRSTHDR(&message) == nullptr) {
        error = "(dialer: " +
                (n > 1 ? std::string(bytes + 1, static_cast<std::size_t>(n - 1)) : "ended") + ")";
        return Fd();
    }
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    return Fd(fd);
}

} // namespace

const Isolation& Apps::machine() {
    static const Isolation found = detect_isolation(test_uid);
    return found;
}

void Apps::SetUp() {
    if (machine().kind != IsolationKind::bwrap) {
        GTEST_SKIP() << "user namespaces are refused here: " << machine().reason;
    }
    state_ = "/tmp/hasp_run_XXXXXX";
    ASSERT_NE(::mkdtemp(state_.data()), nullptr);
    use(machine());
}

void Apps::use(const Isolation& isolation) {
    spawner_.reset();
    Spawner::Options options;
    options.isolation = isolation;
    options.dialer_binary = HASP_TEST_DIALER;
    auto made =
        Spawner::create(options, clock_, [this](const Event& event) { events_.push_back(event); });
    ASSERT_TRUE(made.ok()) << made.error().message;
    spawner_ = std::move(*made);
}

void Apps::TearDown() {
    spawner_.reset();
    if (!state_.empty()) {
        EXPECT_TRUE(remove_tree(state_).ok());
    }
}

std::string Apps::put_code(const std::string& id, const std::string& name,
                           const std::string& text) {
    const std::string dir = state_ + "/" + id + ".code";
    EXPECT_TRUE(make_folders(dir, 0755).ok());
    ::chmod(dir.c_str(), 0755);
    std::ofstream(dir + "/" + name) << text;
    ::chmod((dir + "/" + name).c_str(), 0755);
    return dir;
}

InstanceSpec Apps::program(const std::string& id, std::vector<std::string> command,
                           const std::string& listen) {
    InstanceSpec spec;
    spec.id = id;
    spec.app = id;
    spec.uid = test_uid;
    spec.gid = test_uid;
    spec.process.command = std::move(command);
    spec.process.listen.unix_socket = listen == "unix";
    spec.process.listen.port =
        listen == "unix" ? std::uint16_t{0}
                         : static_cast<std::uint16_t>(parse_u64(listen.substr(4)).value_or(0));
    spec.process.health_path = "/";
    spec.process.stop_grace_s = 2;
    spec.code_dir = put_code(id, "hasp-app.toml", "");
    spec.data_dir = state_ + "/" + id + ".data";
    spec.socket_path = state_ + "/" + id + ".sock";
    EXPECT_TRUE(make_folders(spec.data_dir).ok());
    if (::geteuid() == 0) {
        EXPECT_EQ(::chown(spec.data_dir.c_str(), test_uid, test_uid), 0);
    }
    return spec;
}

InstanceSpec Apps::python_app(const std::string& id, const std::string& listen) {
    const auto text = read_file(HASP_TEST_APP, 1U << 20);
    EXPECT_TRUE(text.ok());
    put_code(id, "app.py", text.value_or(""));
    return program(id, {"/usr/bin/python3", "app.py", listen == "unix" ? "unix" : "{port}"},
                   listen);
}

bool Apps::run_until(const std::function<bool()>& done, int seconds) {
    const SystemClock real;
    const std::int64_t end_us = real.boot_us() + std::int64_t{seconds} * 1'000'000;
    while (!done()) {
        const std::int64_t left_us = end_us - real.boot_us();
        if (left_us <= 0) {
            return false;
        }
        const auto deadline = spawner_->next_deadline_us();
        const std::int64_t wait_us =
            deadline ? std::clamp<std::int64_t>(*deadline - clock_.boot_us(), 0, left_us) : left_us;
        pollfd ready{spawner_->poll_fd(), POLLIN, 0};
        ::poll(&ready, 1, static_cast<int>(wait_us / 1000 + 1));
        spawner_->on_ready();
    }
    return true;
}

Event Apps::next_event(int seconds) {
    if (!run_until([&] { return !events_.empty(); }, seconds)) {
        ADD_FAILURE() << "no event within " << seconds << " s";
        return {};
    }
    Event event = events_.front();
    events_.erase(events_.begin());
    return event;
}

bool Apps::started(const InstanceSpec& spec) {
    const Status s = spawner_->start(spec);
    EXPECT_TRUE(s.ok()) << s.error().message;
    if (!s) {
        return false;
    }
    const Event event = next_event(40);
    EXPECT_EQ(event.kind, EventKind::ready) << event.status.reason << "\n"
                                            << event.status.last_lines;
    return event.kind == EventKind::ready;
}

void Apps::tell(const InstanceSpec& spec, const std::string& path) {
    std::string error;
    const Fd app = dial(spec.socket_path, error);
    EXPECT_TRUE(app) << error;
    const std::string request = "GET " + path + " HTTP/1.0\r\n\r\n";
    (void)::send(app.get(), request.data(), request.size(), MSG_NOSIGNAL);
}

std::string Apps::ask(const InstanceSpec& spec, const std::string& path) {
    std::string error;
    const Fd app = dial(spec.socket_path, error);
    if (!app) {
        return error;
    }
    const std::string request = "GET " + path + " HTTP/1.0\r\n\r\n";
    (void)::send(app.get(), request.data(), request.size(), MSG_NOSIGNAL);
    std::string answer;
    for (;;) {
        pollfd ready{app.get(), POLLIN, 0};
        if (::poll(&ready, 1, answer_ms_max) != 1) {
            return "(no answer)";
        }
        char bytes[4096];
        const ssize_t n = ::recv(app.get(), bytes, sizeof bytes, MSG_DONTWAIT);
        if (n <= 0) {
            break;
        }
        answer.append(bytes, static_cast<std::size_t>(n));
    }
    const auto head = answer.find("\r\n\r\n");
    return head == std::string::npos ? "(closed)" : answer.substr(head + 4);
}

} // namespace hasp::run

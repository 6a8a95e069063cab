// What an app can and cannot do, seen from inside.
#include "test/apps_fixture.h"

#include "base/files.h"
#include "cgroup.h"
#include "crash_history.h"
#include "dialer_words.h"
#include "output_ring.h"

#include <arpa/inet.h>
#include <csignal>
#include <fstream>
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

namespace hasp::run {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

// A port of the host's loopback that somebody listens on.
class Listener {
  public:
    Listener() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in at{};
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof at;
        EXPECT_EQ(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&at), size), 0);
        EXPECT_EQ(::listen(fd_.get(), 8), 0);
        ::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&at), &size);
        port_ = ntohs(at.sin_port);
    }
    std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  private:
    Fd fd_;
    std::uint16_t port_ = 0;
};

TEST_F(Apps, AnAppCannotReachTheNetwork) {
    const Listener host;
    const InstanceSpec spec = python_app("wiki");
    ASSERT_TRUE(started(spec));
    EXPECT_THAT(ask(spec, "/connect?192.0.2.1:80"), StartsWith("refused Network is unreachable"));
    EXPECT_THAT(ask(spec, "/connect?" + host.address()), StartsWith("refused"));
}

TEST_F(Apps, AnAppSeesItsOwnDataAndNobodyElses) {
    const InstanceSpec spec = python_app("wiki");
    const InstanceSpec other = python_app("mail");
    std::ofstream(other.data_dir + "/secret") << "x";
    ASSERT_TRUE(started(spec));
    EXPECT_EQ(ask(spec, "/write?/data/mine"), "ok 1");
    EXPECT_EQ(::access((spec.data_dir + "/mine").c_str(), F_OK), 0);
    EXPECT_THAT(ask(spec, "/read?" + other.data_dir + "/secret"),
                StartsWith("refused No such file"));
    EXPECT_THAT(ask(spec, "/list?" + state_), StartsWith("refused"));
    EXPECT_EQ(ask(spec, "/list?/data"), "ok mine");
}

TEST_F(Apps, TheReleaseAndTheSystemAreReadOnly) {
    const InstanceSpec spec = python_app("wiki");
    // The mount must say no, whatever the modes say.
    ASSERT_EQ(::chmod(spec.code_dir.c_str(), 0777), 0);
    ASSERT_EQ(::chmod((spec.code_dir + "/app.py").c_str(), 0666), 0);
    ASSERT_TRUE(started(spec));
    EXPECT_EQ(ask(spec, "/write?/app/app.py"), "refused Read-only file system");
    EXPECT_EQ(ask(spec, "/write?/app/new"), "refused Read-only file system");
    EXPECT_EQ(ask(spec, "/write?/usr/new"), "refused Read-only file system");
    EXPECT_EQ(ask(spec, "/write?/new"), "refused Read-only file system");
    EXPECT_EQ(ask(spec, "/write?/tmp/new"), "ok 1");
}

TEST_F(Apps, AnAppIsNotRootAndIsHeldByTheFilter) {
    const InstanceSpec spec = python_app("wiki");
    ASSERT_TRUE(started(spec));
    EXPECT_THAT(ask(spec, "/uid"), StartsWith("1000 "));
    const std::string status = ask(spec, "/read?/proc/self/status");
    EXPECT_THAT(status, HasSubstr("NoNewPrivs:\t1"));
    EXPECT_THAT(status, HasSubstr("Seccomp:\t2"));
    EXPECT_THAT(status, HasSubstr("CapEff:\t0000000000000000"));
    EXPECT_THAT(ask(spec, "/list?/proc/1/fd"), StartsWith("refused"));
}

TEST_F(Apps, AForkBombMeetsItsLimitAndTheOthersDoNotNotice) {
    InstanceSpec spec = python_app("bomb");
    spec.process.limits.processes = 40;
    const InstanceSpec other = python_app("wiki");
    ASSERT_TRUE(started(other));
    ASSERT_TRUE(started(spec));
    const int children = std::stoi(ask(spec, "/fork"));
    EXPECT_GT(children, 10);
    EXPECT_LT(children, 40);
    EXPECT_LT(std::stoi(ask(other, "/fork")), 200);
}

TEST_F(Apps, AnAppCannotTakeMoreMemoryThanItsLimit) {
    InstanceSpec spec = python_app("big");
    spec.process.limits.memory_mb = 200;
    ASSERT_TRUE(started(spec));
    EXPECT_EQ(ask(spec, "/memory?50"), std::to_string(50 * 1024 * 1024));
    if (machine().cgroup.empty()) {
        EXPECT_EQ(ask(spec, "/memory?400"), "MemoryError");
    } else {
        ask(spec, "/memory?400");
        EXPECT_THAT(next_event().status.reason, HasSubstr("200 MiB"));
    }
}

TEST_F(Apps, WordsAndEnvironmentSayWhereThingsAre) {
    InstanceSpec spec = python_app("wiki");
    spec.user = "anna";
    spec.prefix = "/apps/wiki";
    spec.process.command.insert(spec.process.command.end(),
                                {"{prefix}/", "{user}", "{data}", "{app}"});
    spec.process.env = {{"BASE", "http://x{prefix}"}};
    ASSERT_TRUE(started(spec));
    EXPECT_EQ(ask(spec, "/argv"), "8080 /apps/wiki/ anna /data /app");
    EXPECT_EQ(ask(spec, "/env?BASE"), "http://x/apps/wiki");
    EXPECT_EQ(ask(spec, "/env?HASP_USER"), "anna");
    EXPECT_EQ(ask(spec, "/env?HOME"), "/data");
    EXPECT_EQ(ask(spec, "/env?LOGNAME"), "(none)");
}

TEST_F(Apps, WithoutADataFolderNothingIsKept) {
    InstanceSpec spec = python_app("wiki");
    spec.data_dir.clear();
    ASSERT_TRUE(started(spec));
    EXPECT_EQ(ask(spec, "/write?/data/x"), "ok 1");
    spawner_->stop("wiki", "test");
    next_event();
    ASSERT_TRUE(started(spec));
    EXPECT_EQ(ask(spec, "/list?/data"), "ok ");
}

TEST_F(Apps, AnAppIsNeverRunAsRoot) {
    if (::geteuid() != 0) {
        GTEST_SKIP() << "only root could";
    }
    InstanceSpec spec = python_app("wiki");
    spec.uid = 0;
    const auto refused = spawner_->start(spec);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, Code::usage);
}

// Without user namespaces: files, ports and signals are held by Landlock, and the network is the
// host's.
class Landlocked : public Apps {
  protected:
    void SetUp() override {
        Apps::SetUp();
        if (IsSkipped()) {
            return;
        }
        Isolation isolation = machine();
        if (isolation.landlock_abi == 0) {
            GTEST_SKIP() << "the kernel has no Landlock";
        }
        isolation.kind = IsolationKind::landlock;
        isolation.cgroup.clear();
        // Root's sandboxes reach the state by path here.
        ::chmod(state_.c_str(), 0711);
        use(isolation);
    }
};

TEST_F(Landlocked, AnAppRunsAndSeesItsOwnDataAlone) {
    const InstanceSpec spec = python_app("wiki", "unix");
    const InstanceSpec other = python_app("mail", "unix");
    std::ofstream(other.data_dir + "/secret") << "x";
    ASSERT_TRUE(started(spec));
    EXPECT_EQ(ask(spec, "/"), "hello");
    EXPECT_EQ(ask(spec, "/write?" + spec.data_dir + "/mine"), "ok 1");
    EXPECT_EQ(ask(spec, "/read?" + other.data_dir + "/secret"), "refused Permission denied");
    EXPECT_EQ(ask(spec, "/write?" + spec.code_dir + "/app.py"), "refused Permission denied");
    EXPECT_EQ(ask(spec, "/list?/home"), "refused Permission denied");
    EXPECT_THAT(ask(spec, "/connect?192.0.2.1:80"), StartsWith("refused"));
}

TEST_F(Landlocked, ATcpAppReachesItsOwnPortOnly) {
    if (machine().landlock_abi < 4) {
        GTEST_SKIP() << "this kernel's Landlock does not hold TCP";
    }
    const Listener host;
    const InstanceSpec spec = python_app("wiki", "tcp:18923");
    ASSERT_TRUE(started(spec));
    EXPECT_EQ(ask(spec, "/"), "hello");
    EXPECT_THAT(ask(spec, "/connect?" + host.address()), StartsWith("refused Permission denied"));
    const auto second = spawner_->start(python_app("mail", "tcp:18923"));
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().code, Code::conflict);
}

TEST_F(Landlocked, ItsEndTakesEverythingAlongThatItStarted) {
    const InstanceSpec spec = python_app("wiki", "unix");
    ASSERT_TRUE(started(spec));
    const pid_t away = std::stoi(ask(spec, "/fork_away"));
    ASSERT_EQ(::kill(away, 0), 0);
    spawner_->stop("wiki", "test");
    EXPECT_EQ(next_event().kind, EventKind::stopped);
    EXPECT_NE(::kill(away, 0), 0) << "a process of another session is still there";
}

TEST_F(Landlocked, AForkBombMeetsItsLimit) {
    InstanceSpec spec = python_app("wiki", "unix");
    spec.process.limits.processes = 30;
    ASSERT_TRUE(started(spec));
    // The kernel counts all tasks of the uid; those that were there at the start come on top.
    EXPECT_LT(std::stoi(ask(spec, "/fork")), 100);
    spawner_->stop("wiki", "test");
    EXPECT_EQ(next_event().kind, EventKind::stopped);
}

TEST(Isolation, IsNamedAndWhereItIsNotFullTheReasonIsGiven) {
    const Isolation found = detect_isolation(65534);
    EXPECT_THAT(found.name, ::testing::AnyOf("bwrap", "bwrap (no cgroup)", "landlock", "none"));
    EXPECT_EQ(found.reason.empty(), found.name == "bwrap") << found.reason;
    RecordProperty("isolation", found.name + ": " + found.reason);
}

TEST(Isolation, WithoutAnyTheSpawnerRefusesUnlessItIsAllowed) {
    const SystemClock clock;
    Spawner::Options options;
    options.isolation.reason = "the kernel is too old";
    options.dialer_binary = HASP_TEST_DIALER;
    const auto refused = Spawner::create(options, clock, {});
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, Code::refused);
    EXPECT_THAT(refused.error().message, HasSubstr("the kernel is too old"));
    options.allow_no_isolation = true;
    EXPECT_TRUE(Spawner::create(options, clock, {}).ok());
}

class Cgroup : public ::testing::Test {
  protected:
    void SetUp() override {
        ASSERT_NE(::mkdtemp(root_.data()), nullptr);
        ASSERT_TRUE(make_folders(root_ + "/hasp").ok());
        std::ofstream(root_ + "/hasp/cgroup.subtree_control") << "";
    }
    void TearDown() override { EXPECT_TRUE(remove_tree(root_).ok()); }
    Result<std::string> find() const {
        return find_cgroup("25 30 0:23 / " + root_ + " rw,nosuid - cgroup2 cgroup2 rw\n",
                           "4:memory:/x\n0::/hasp\n");
    }
    std::string root_ = "/tmp/hasp_cgroup_XXXXXX";
};

TEST_F(Cgroup, IsFoundWhereMemoryAndPidsCanBeDivided) {
    std::ofstream(root_ + "/hasp/cgroup.controllers") << "cpu memory pids\n";
    const auto found = find();
    ASSERT_TRUE(found.ok()) << found.error().message;
    EXPECT_EQ(*found, root_ + "/hasp");
    EXPECT_EQ(read_file(root_ + "/hasp/cgroup.subtree_control", 100).value(), "+memory +pids");
}

TEST_F(Cgroup, WithoutAControllerIsNotUsedAndItIsNamed) {
    std::ofstream(root_ + "/hasp/cgroup.controllers") << "hugetlb pids\n";
    EXPECT_THAT(find().error().message, HasSubstr("\"memory\""));
    EXPECT_THAT(find_cgroup("", "0::/\n").error().message, HasSubstr("not mounted"));
}

TEST(DialerWords, AreReadAsTheyWereWritten) {
    DialerOptions o;
    o.listen_fd = 15;
    o.control_fd = 16;
    o.unix_socket = true;
    o.socket_path = "/run/hasp/http.sock";
    o.limits.processes = 7;
    o.landlocked = true;
    auto words = dialer_words(o);
    words.erase(words.begin());
    words.insert(words.end(), {"cmd", "--", "x"});
    const auto call = parse_dialer_words(words);
    ASSERT_TRUE(call.has_value());
    EXPECT_EQ(call->options.socket_path, o.socket_path);
    EXPECT_EQ(call->options.limits.processes, 7);
    EXPECT_TRUE(call->options.landlocked);
    EXPECT_FALSE(call->options.limit_data);
    EXPECT_EQ(call->command, (std::vector<std::string>{"cmd", "--", "x"}));
    EXPECT_FALSE(parse_dialer_words({"15", "16", "udp:5", "1,2,3,4,", "--", "x"}));
}

TEST(OutputRing, KeepsTheLastLinesAndNoControlCharacters) {
    OutputRing ring;
    EXPECT_EQ(ring.last_lines(3), "");
    ring.add("a\nb\n\x1b[2Jc\nd");
    EXPECT_EQ(ring.last_lines(2), ".[2Jc\nd");
    EXPECT_EQ(ring.last_lines(9), "a\nb\n.[2Jc\nd");
    ring.add(std::string(3 * output_bytes_max, 'x') + "\nend\n");
    EXPECT_EQ(ring.last_lines(1), "end");
    EXPECT_LE(ring.bytes().size(), 2 * output_bytes_max);
}

TEST(CrashHistory, PausesGrowToTheirLimitAndEndAfterAGoodMinute) {
    constexpr std::int64_t s = 1'000'000;
    CrashHistory history;
    std::int64_t now = 100 * s;
    history.crashed(now);
    history.crashed(now + s);
    EXPECT_EQ(history.refused_until_us(now + s), 0);
    history.crashed(now + 2 * s);
    EXPECT_EQ(history.refused_until_us(now + 2 * s), now + 12 * s);
    for (int i = 0; i < 10; ++i) {
        now += 1000 * s;
        history.crashed(now);
    }
    EXPECT_EQ(history.pause_s(), back_off_s_max);
    history.ran_well(59 * s);
    EXPECT_EQ(history.pause_s(), back_off_s_max);
    history.ran_well(60 * s);
    history.crashed(now);
    EXPECT_EQ(history.refused_until_us(now), 0);
}

TEST(CrashHistory, CrashesFarApartMakeNoPause) {
    CrashHistory history;
    for (std::int64_t i = 1; i < 10; ++i) {
        history.crashed(i * 31'000'000);
        EXPECT_EQ(history.refused_until_us(i * 31'000'000), 0);
    }
}

} // namespace
} // namespace hasp::run

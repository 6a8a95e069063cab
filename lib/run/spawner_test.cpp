#include "test/apps_fixture.h"

#include "base/files.h"
#include "spawner_impl.h"

#include <csignal>
#include <dirent.h>
#include <fstream>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

namespace hasp::run {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST_F(Apps, ATcpProgramIsReachedInItsPrivateNetwork) {
    const InstanceSpec spec = python_app("wiki");
    ASSERT_TRUE(started(spec));
    EXPECT_EQ(ask(spec, "/"), "hello");
    EXPECT_EQ(spawner_->status("wiki")->state, State::ready);
}

TEST_F(Apps, AUnixSocketProgramIsReached) {
    const InstanceSpec spec = python_app("wiki", "unix");
    ASSERT_TRUE(started(spec));
    EXPECT_EQ(ask(spec, "/"), "hello");
}

TEST_F(Apps, TwoAppsMayListenOnTheSamePort) {
    const InstanceSpec a = python_app("wiki");
    const InstanceSpec b = python_app("mail");
    ASSERT_TRUE(started(a));
    ASSERT_TRUE(started(b));
    EXPECT_EQ(ask(a, "/env?HASP_APP"), "wiki");
    EXPECT_EQ(ask(b, "/env?HASP_APP"), "mail");
}

TEST_F(Apps, RadicaleStartsAnswersAndStops) {
    if (::access("/usr/lib/python3/dist-packages/radicale", R_OK) != 0) {
        GTEST_SKIP() << "radicale is not installed";
    }
    InstanceSpec spec = program("calendar",
                                {"/usr/bin/python3", "-m", "radicale", "--server-hosts",
                                 "127.0.0.1:{port}", "--auth-type", "http_x_remote_user",
                                 "--storage-filesystem-folder", "{data}", "--config", ""},
                                "tcp:5232");
    spec.process.ready_path = "/.web/";
    ASSERT_TRUE(started(spec));
    EXPECT_THAT(ask(spec, "/.web/"), HasSubstr("Radicale"));
    spawner_->stop("calendar", "it is evening");
    const Event end = next_event();
    EXPECT_EQ(end.kind, EventKind::stopped);
    EXPECT_EQ(end.status.reason, "it is evening");
    EXPECT_TRUE(spawner_->idle());
    EXPECT_NE(::access(spec.socket_path.c_str(), F_OK), 0);
}

TEST_F(Apps, AStartWhileStartingOrReadyMakesNoSecondProcess) {
    const InstanceSpec spec = python_app("wiki");
    ASSERT_TRUE(spawner_->start(spec).ok());
    const pid_t pid = spawner_->status("wiki")->pid;
    ASSERT_TRUE(spawner_->start(spec).ok());
    EXPECT_EQ(next_event().kind, EventKind::ready);
    ASSERT_TRUE(spawner_->start(spec).ok());
    EXPECT_EQ(spawner_->status("wiki")->pid, pid);
    EXPECT_TRUE(events_.empty());
}

TEST_F(Apps, ACrashIsReportedWithItsStatusAndLastLines) {
    const InstanceSpec spec = python_app("wiki");
    ASSERT_TRUE(started(spec));
    ask(spec, "/crash");
    const Event end = next_event();
    EXPECT_EQ(end.kind, EventKind::crashed);
    EXPECT_EQ(end.status.reason, "it ended with exit status 3");
    EXPECT_THAT(end.status.last_lines, HasSubstr("the database is broken"));
    EXPECT_TRUE(spawner_->start(spec).ok());
    EXPECT_EQ(next_event().kind, EventKind::ready);
}

TEST_F(Apps, AKilledAppIsReportedWithItsSignal) {
    const InstanceSpec spec = python_app("wiki");
    ASSERT_TRUE(started(spec));
    ask(spec, "/die");
    EXPECT_EQ(next_event().status.reason, "it was ended by SIGKILL");
}

TEST_F(Apps, AHungAppIsKilledAfterTwoMissedProbesAndReported) {
    InstanceSpec spec = python_app("wiki");
    spec.process.health_interval_s = 1;
    spec.process.health_timeout_s = 1;
    ASSERT_TRUE(started(spec));
    tell(spec, "/stop");
    const Event end = next_event();
    EXPECT_EQ(end.kind, EventKind::hung);
    EXPECT_THAT(end.status.reason, HasSubstr("health probes"));
    EXPECT_EQ(end.status.state, State::failing);
}

TEST_F(Apps, AHealthyAppOutlivesItsProbes) {
    InstanceSpec spec = python_app("wiki");
    spec.process.health_interval_s = 1;
    ASSERT_TRUE(started(spec));
    // One probe made it ready; each jump of the clock brings another.
    for (int probes = 2; probes < 6; ++probes) {
        clock_.ahead_us += 1'000'000;
        EXPECT_TRUE(run_until([&] { return ask(spec, "/probes") == std::to_string(probes); }));
    }
    EXPECT_TRUE(events_.empty());
    EXPECT_EQ(ask(spec, "/"), "hello");
}

TEST_F(Apps, AStopThatTheAppIgnoresEndsInAKillAfterTheGrace) {
    put_code("deaf", "deaf.py",
             "import signal,http.server\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
             "http.server.HTTPServer(('127.0.0.1', 8080), "
             "http.server.SimpleHTTPRequestHandler).serve_forever()\n");
    const InstanceSpec spec = program("deaf", {"python3", "deaf.py"}, "tcp:8080");
    ASSERT_TRUE(started(spec));
    spawner_->stop("deaf", "enough");
    EXPECT_FALSE(run_until([&] { return !events_.empty(); }, 1));
    EXPECT_EQ(spawner_->status("deaf")->state, State::stopping);
    const auto again = spawner_->start(spec);
    ASSERT_FALSE(again.ok());
    EXPECT_EQ(again.error().code, Code::try_later);
    clock_.ahead_us += 2'000'000;
    EXPECT_EQ(next_event().kind, EventKind::stopped);
}

TEST_F(Apps, AnAppThatEndsBeforeItAnswersFailsAtOnceWithItsLastLines) {
    put_code("broken", "run.sh",
             "#!/bin/sh\necho one\necho cannot open the database >&2\nexit 7\n");
    const InstanceSpec spec = program("broken", {"./run.sh"}, "tcp:8080");
    ASSERT_TRUE(spawner_->start(spec).ok());
    const Event end = next_event(5);
    EXPECT_EQ(end.kind, EventKind::failed);
    EXPECT_EQ(end.status.reason, "it ended with exit status 7 before it answered");
    EXPECT_EQ(end.status.last_lines, "one\ncannot open the database");
}

TEST_F(Apps, AProgramThatDoesNotExistIsNamed) {
    ASSERT_TRUE(spawner_->start(program("broken", {"no-such-program"}, "unix")).ok());
    EXPECT_THAT(next_event(5).status.last_lines,
                HasSubstr("cannot execute no-such-program: No such file"));
}

TEST_F(Apps, AnAppThatDoesNotAnswerInTimeFailsWithWhatWasSeen) {
    put_code("slow", "run.sh", "#!/bin/sh\necho reading 4 GB of indexes\nexec sleep 1000\n");
    InstanceSpec spec = program("slow", {"./run.sh"}, "tcp:8080");
    spec.process.ready_s = 1;
    ASSERT_TRUE(spawner_->start(spec).ok());
    const Event end = next_event(10);
    EXPECT_EQ(end.kind, EventKind::failed);
    EXPECT_THAT(end.status.reason,
                StartsWith("it was not ready within 1 s: connect: Connection refused"));
    EXPECT_EQ(end.status.last_lines, "reading 4 GB of indexes");
}

TEST_F(Apps, OnlyTheWantedStatusCountsAsReady) {
    InstanceSpec spec = python_app("wiki");
    spec.process.ready_path = "/missing";
    spec.process.ready_status = 200;
    spec.process.ready_s = 2;
    ASSERT_TRUE(spawner_->start(spec).ok());
    EXPECT_THAT(next_event().status.reason, HasSubstr("it answered with 404"));
    spec.process.ready_status = 404;
    ASSERT_TRUE(started(spec));
}

TEST_F(Apps, ThreeCrashesInAMinuteMakeGrowingPauses) {
    put_code("broken", "run.sh", "#!/bin/sh\nexit 1\n");
    const InstanceSpec spec = program("broken", {"./run.sh"}, "tcp:8080");
    for (int i = 0; i < crash_loop_count; ++i) {
        ASSERT_TRUE(spawner_->start(spec).ok()) << i;
        EXPECT_EQ(next_event().kind, EventKind::failed);
    }
    const auto refused = spawner_->start(spec);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().code, Code::try_later);
    EXPECT_THAT(refused.error().message, HasSubstr("exit status 1"));
    EXPECT_NE(spawner_->status("broken")->retry_after_us, 0);
    clock_.ahead_us += std::int64_t{back_off_s_min} * 1'000'000;
    ASSERT_TRUE(spawner_->start(spec).ok());
    next_event();
    clock_.ahead_us += std::int64_t{back_off_s_min} * 1'000'000;
    EXPECT_FALSE(spawner_->start(spec).ok()) << "the second pause is longer";
    spawner_->forget_crashes("broken");
    EXPECT_TRUE(spawner_->start(spec).ok());
    next_event();
}

TEST_F(Apps, TheInitCommandRunsOnceOnAnEmptyFolder) {
    InstanceSpec spec = python_app("wiki");
    spec.process.init = {"/bin/sh", "-c", "echo made >> {data}/seed"};
    ASSERT_TRUE(started(spec));
    EXPECT_EQ(ask(spec, "/read?/data/seed"), "ok made\n");
    spawner_->stop("wiki", "test");
    next_event();
    ASSERT_TRUE(started(spec));
    EXPECT_EQ(ask(spec, "/read?/data/seed"), "ok made\n");
}

TEST_F(Apps, AFailedInitLeavesTheFolderEmptyAndSaysWhy) {
    InstanceSpec spec = python_app("wiki");
    spec.process.init = {"/bin/sh", "-c", "echo half > {data}/seed; echo no licence >&2; exit 2"};
    ASSERT_TRUE(spawner_->start(spec).ok());
    const Event end = next_event();
    EXPECT_EQ(end.kind, EventKind::failed);
    EXPECT_THAT(
        end.status.reason,
        HasSubstr("its init command did not fill the data folder: it ended with exit status 2"));
    EXPECT_THAT(end.status.last_lines, HasSubstr("no licence"));
    EXPECT_TRUE(folder_is_empty(spec.data_dir).value());
    EXPECT_NE(::access(init_folder(spec.data_dir).c_str(), F_OK), 0);
}

TEST_F(Apps, LastLinesAreKeptInAFileOfBoundedSize) {
    InstanceSpec spec = python_app("wiki");
    spec.log_path = state_ + "/wiki.log";
    ASSERT_TRUE(started(spec));
    tell(spec, "/lines?60000");
    ASSERT_TRUE(
        run_until([&] { return spawner_->status("wiki")->last_lines.ends_with("line 59999"); }));
    spawner_->stop("wiki", "test");
    next_event();
    const auto log = read_file(spec.log_path, 2 * output_bytes_max);
    ASSERT_TRUE(log.ok()) << log.error().message;
    EXPECT_TRUE(log->ends_with("line 59999\n"));
}

TEST_F(Apps, TheDestructorLeavesNoProcessBehind) {
    const InstanceSpec spec = python_app("wiki");
    ASSERT_TRUE(started(spec));
    const pid_t pid = spawner_->status("wiki")->pid;
    spawner_.reset();
    EXPECT_NE(::kill(pid, 0), 0);
    EXPECT_NE(::access(spec.socket_path.c_str(), F_OK), 0);
}

TEST_F(Apps, AnAppThatNeverAcceptsDoesNotHangTheDialer) {
    put_code("full", "full.py",
             "import "
             "socket,time,os\ns=socket.socket(socket.AF_UNIX)\ns.bind(os.environ['HASP_SOCKET'])\n"
             "s.listen(0)\nprint('listening', flush=True)\ntime.sleep(1000)\n");
    InstanceSpec spec = program("full", {"python3", "full.py"}, "unix");
    spec.process.ready_s = 30;
    ASSERT_TRUE(spawner_->start(spec).ok());
    ASSERT_TRUE(run_until([&] { return spawner_->status("full")->last_lines == "listening"; }));
    // The first dials fill the queue; a later one gets an error in time instead of waiting for
    // ever.
    std::vector<std::unique_ptr<Probe>> dials;
    for (int i = 0; i < 4; ++i) {
        dials.push_back(std::make_unique<Probe>(spec.socket_path, "/", 0));
    }
    EXPECT_TRUE(run_until([&] {
        return std::ranges::any_of(dials, [](const auto& dial) {
            return dial->go_on() == Probe::Step::failed &&
                   dial->reason().find("queue is full") != std::string::npos;
        });
    }));
}

} // namespace
} // namespace hasp::run

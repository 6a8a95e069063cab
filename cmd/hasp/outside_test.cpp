// Programs of the operator, as bad as they may be.
#include "outside.h"

#include <gtest/gtest.h>

namespace hasp::cmd {
namespace {

Status run(const std::string& script, std::int64_t limit_us = maint::outside_limit_s * second_us) {
    return run_outside({"/bin/sh", "-c", script}, limit_us);
}

TEST(RunOutside, AProgramThatEndsWellIsDoneAndOneThatDoesNotSaysWhy) {
    EXPECT_TRUE(run("exit 0").ok());
    const Status failed = run("echo REFUSED >&2; exit 3");
    EXPECT_EQ(failed.error().code, Code::failed);
    EXPECT_EQ(failed.error().message, "/bin/sh ended with status 3: REFUSED");
    EXPECT_EQ(run("kill -9 $$").error().message, "/bin/sh was killed");
    EXPECT_FALSE(run_outside({"/nowhere"}).ok());
}

TEST(RunOutside, AProgramThatClosesItsOutputHasItsTimeAndItsStatusStillCounts) {
    EXPECT_TRUE(run("exec >&- 2>&-; exit 0").ok());
    EXPECT_EQ(run("exec >&- 2>&-; exit 4").error().code, Code::failed);
}

TEST(RunOutside, AProgramThatHangsIsKilledWhetherItClosedItsOutputOrLeftItsGroup) {
    for (const char* script :
         {"tail -f /dev/null", "exec >/dev/null 2>&1; tail -f /dev/null",
          "exec >/dev/null 2>&1; exec python3 -c 'import os, signal; os.setpgid(0, "
          "os.getpgid(os.getppid())); signal.pause()'",
          "tail -f /dev/null & exit 0"}) {
        const SystemClock clock;
        const std::int64_t began = clock.boot_us();
        EXPECT_EQ(run(script, 200'000).error().code, Code::timed_out) << script;
        EXPECT_LT(clock.boot_us() - began, 10 * second_us) << script;
    }
}

} // namespace
} // namespace hasp::cmd

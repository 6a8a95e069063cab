// Scanners, and what they answer: clamd by its protocol, and a program.
#include "virus_scanner.h"

#include "fake_clamd.h"
#include "sync/codec.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <gtest/gtest.h>
#include <sys/stat.h>

namespace hasp::maint {
namespace {

using VerdictKind = ScanVerdict::Kind;

std::string with_nul(std::string text) {
    return text + '\0';
}

sync::Pull pull_text(std::string content) {
    return [content = std::move(content),
            at = std::size_t{0}](std::span<char> into) mutable -> Result<std::size_t> {
        const std::size_t bytes = std::min(into.size(), content.size() - at);
        std::memcpy(into.data(), content.data() + at, bytes);
        at += bytes;
        return bytes;
    };
}

class Scanner : public ::testing::Test {
  protected:
    void SetUp() override {
        folder_ = ::testing::TempDir() + "hasp_scan_XXXXXX";
        ASSERT_NE(::mkdtemp(folder_.data()), nullptr);
    }
    std::string script(const std::string& text) {
        const std::string path = folder_ + "/scan";
        std::ofstream(path) << "#!/bin/sh\n" << text;
        ::chmod(path.c_str(), 0755);
        return path;
    }
    ScanVerdict by_clamd(const std::string& said, const std::string& content = "content") {
        FakeClamd clamd(folder_ + "/clamd", [said](const std::string&) { return said; });
        return make_clamd(clamd.address(), 20 * second_us, clock_)->scan(pull_text(content));
    }
    ScanVerdict by_command(const std::string& text, const std::string& content = "content",
                           std::int64_t limit_us = 20 * second_us) {
        return make_scan_command({script(text), "argument"}, limit_us, clock_)
            ->scan(pull_text(content));
    }
    SystemClock clock_;
    std::string folder_;
};

TEST(ClamdAnswer, IsCleanFoundAnErrorOrNoneOfClamds) {
    EXPECT_EQ(parse_clamd_answer("stream: OK").kind, VerdictKind::clean);
    const ScanVerdict found = parse_clamd_answer("stream: Eicar-Test-Signature FOUND");
    EXPECT_EQ(found.kind, VerdictKind::infected);
    EXPECT_EQ(found.text, "Eicar-Test-Signature");
    EXPECT_EQ(parse_clamd_answer("stream: a b\n FOUND").text, "a_b_");
    EXPECT_EQ(parse_clamd_answer("stream: " + std::string(5000, 'a') + " FOUND").text.size(), 200U);
    const ScanVerdict error = parse_clamd_answer("INSTREAM size limit exceeded. ERROR");
    EXPECT_EQ(error.kind, VerdictKind::unknown);
    EXPECT_FALSE(error.gone);
    EXPECT_EQ(error.text, "clamd says: INSTREAM size limit exceeded.");
    for (const char* other : {"", "OK", "stream: ok", "stream: OK\n", "stream:  OK", "stream: OKAY",
                              "stream:  FOUND", "x: OK", "Stream: OK", " ERROR", "stream: OK OK"}) {
        const ScanVerdict said = parse_clamd_answer(other);
        EXPECT_EQ(said.kind, VerdictKind::unknown) << other;
        EXPECT_TRUE(said.gone) << other;
    }
}

TEST_F(Scanner, ByClamdSendsTheContentInChunksAndTakesTheAnswer) {
    const std::string content(300'000, 'x');
    std::string seen;
    FakeClamd clamd(folder_ + "/clamd", [&seen](const std::string& whole) {
        seen = whole;
        return with_nul("stream: OK");
    });
    auto scanner = make_clamd(clamd.address(), 20 * second_us, clock_);
    EXPECT_EQ(scanner->scan(pull_text(content)).kind, VerdictKind::clean);
    EXPECT_EQ(seen, content);
    EXPECT_LE(clamd.largest_chunk, scan_chunk_bytes);
    EXPECT_EQ(scanner->scan(pull_text("")).kind, VerdictKind::clean);
    EXPECT_EQ(seen, "");
    EXPECT_EQ(scanner->version().value_or(""), "ClamAV 1.0.0/1/now");
}

TEST_F(Scanner, ByClamdTakesNoAnswerThatIsCutTooLongOrNoneForClean) {
    EXPECT_EQ(by_clamd(with_nul("stream: Epiz FOUND")).text, "Epiz");
    for (const std::string& said :
         {std::string("stream: OK"), std::string("stream: O"), std::string(),
          std::string(100'000, 'a'), with_nul("HTTP/1.1 400 Bad Request")}) {
        const ScanVerdict verdict = by_clamd(said);
        EXPECT_EQ(verdict.kind, VerdictKind::unknown) << said.substr(0, 50);
        EXPECT_TRUE(verdict.gone) << said.substr(0, 50);
    }
}

TEST_F(Scanner, ByClamdHearsThatAContentIsTooLargeForIt) {
    FakeClamd clamd(folder_ + "/clamd", [](const std::string&) { return with_nul("stream: OK"); });
    clamd.bytes_max = 100'000;
    auto scanner = make_clamd(clamd.address(), 20 * second_us, clock_);
    const ScanVerdict said = scanner->scan(pull_text(std::string(20'000'000, 'x')));
    EXPECT_EQ(said.kind, VerdictKind::unknown);
    EXPECT_NE(said.text.find("size limit"), std::string::npos) << said.text;
    EXPECT_FALSE(said.gone);
}

TEST_F(Scanner, ByClamdThatIsNotThereIsGone) {
    for (const std::string& address :
         {"unix:" + folder_ + "/nothing", std::string("127.0.0.1:1")}) {
        auto scanner = make_clamd(address, second_us, clock_);
        const ScanVerdict said = scanner->scan(pull_text("content"));
        EXPECT_EQ(said.kind, VerdictKind::unknown);
        EXPECT_TRUE(said.gone);
        EXPECT_NE(said.text.find("cannot be reached"), std::string::npos) << said.text;
        EXPECT_FALSE(scanner->version().ok());
    }
}

TEST_F(Scanner, ByClamdThatSaysNothingEndsAtItsLimit) {
    FakeClamd clamd(folder_ + "/clamd", [](const std::string&) { return with_nul("stream: OK"); });
    auto scanner = make_clamd(clamd.address(), 200 * ms_us, clock_);
    clamd.silent_about_contents = true;
    ScanVerdict said = scanner->scan(pull_text("content"));
    EXPECT_EQ(said.kind, VerdictKind::unknown);
    EXPECT_FALSE(said.gone) << "it is the content that takes so long";
    clamd.silent = true;
    said = scanner->scan(pull_text("content"));
    EXPECT_TRUE(said.gone);
    clamd.silent = clamd.silent_about_contents = false;
    EXPECT_EQ(scanner->scan(pull_text("content")).kind, VerdictKind::clean);
}

TEST_F(Scanner, EndsWhenItIsStopped) {
    FakeClamd clamd(folder_ + "/clamd", [](const std::string&) { return with_nul("stream: OK"); });
    clamd.silent = true;
    auto scanner = make_clamd(clamd.address(), 3600 * second_us, clock_);
    std::thread stopping([&] {
        while (clamd.scans == 0) {
            std::this_thread::yield();
        }
        scanner->stop();
    });
    EXPECT_EQ(scanner->scan(pull_text("content")).kind, VerdictKind::unknown);
    stopping.join();
    auto command = make_scan_command({"/bin/true"}, 3600 * second_us, clock_);
    command->stop();
    EXPECT_EQ(command->scan(pull_text("content")).kind, VerdictKind::unknown);
}

TEST_F(Scanner, ByAProgramIsJudgedByItsEnd) {
    EXPECT_EQ(by_command("cat >/dev/null; exit 0\n").kind, VerdictKind::clean);
    EXPECT_EQ(by_command("[ \"$(cat)\" = content ] && [ $1 = argument ]\n").kind,
              VerdictKind::clean);
    const ScanVerdict found = by_command("cat >/dev/null; echo Epiz; echo more; exit 1\n");
    EXPECT_EQ(found.kind, VerdictKind::infected);
    EXPECT_EQ(found.text, "Epiz");
    EXPECT_EQ(by_command("echo 'stdin: Win.Test-1 FOUND'; exit 1\n").text, "Win.Test-1");
    EXPECT_EQ(by_command("exit 1\n").text, "unnamed");
    const ScanVerdict other = by_command("echo 'no database'; exit 2\n");
    EXPECT_EQ(other.kind, VerdictKind::unknown);
    EXPECT_NE(other.text.find("ended with 2: no database"), std::string::npos) << other.text;
    EXPECT_EQ(by_command("kill -9 $$\n").kind, VerdictKind::unknown);
    const ScanVerdict none =
        make_scan_command({folder_ + "/nothing"}, second_us, clock_)->scan(pull_text("content"));
    EXPECT_TRUE(none.gone);
}

TEST_F(Scanner, ByAProgramNeedNotReadAllAndMaySayMuch) {
    const std::string large(5'000'000, 'x');
    EXPECT_EQ(by_command("exit 0\n", large).kind, VerdictKind::clean);
    EXPECT_EQ(by_command("exec 0<&-; exit 1\n", large).kind, VerdictKind::infected);
    const ScanVerdict much =
        by_command("yes 0123456789 | head -c 3000000; cat >/dev/null; exit 1\n", large);
    EXPECT_EQ(much.kind, VerdictKind::infected);
    EXPECT_EQ(much.text, "0123456789");
}

TEST_F(Scanner, ByAProgramEndsItsWholeGroupAtItsLimit) {
    const ScanVerdict said =
        by_command("sleep 1000 & echo $! > " + folder_ + "/child; wait\n", "content", 500 * ms_us);
    EXPECT_EQ(said.kind, VerdictKind::unknown);
    EXPECT_FALSE(said.gone) << "it is the content that takes so long";
    long child = 0;
    std::ifstream(folder_ + "/child") >> child;
    ASSERT_GT(child, 0);
    // Killed; whoever inherits it may still have to take note.
    std::string state = "R";
    const auto alive = [&] {
        std::ifstream stat("/proc/" + std::to_string(child) + "/stat");
        std::string pid;
        std::string name;
        return static_cast<bool>(stat >> pid >> name >> state) && state != "Z" && state != "X";
    };
    for (const std::int64_t until = clock_.boot_us() + 10 * second_us;
         alive() && clock_.boot_us() < until;) {
        std::this_thread::yield();
    }
    EXPECT_FALSE(alive());
}

TEST_F(Scanner, CannotLookAtAContentThatCannotBeRead) {
    FakeClamd clamd(folder_ + "/clamd", [](const std::string&) { return with_nul("stream: OK"); });
    const sync::Pull broken = [](std::span<char>) -> Result<std::size_t> {
        return fail(Code::failed, "the disk is broken");
    };
    const ScanVerdict said = make_clamd(clamd.address(), second_us, clock_)->scan(broken);
    EXPECT_EQ(said.kind, VerdictKind::unknown);
    EXPECT_EQ(said.text, "the disk is broken");
    EXPECT_EQ(make_scan_command({"/bin/cat"}, second_us, clock_)->scan(broken).text,
              "the disk is broken");
}

} // namespace
} // namespace hasp::maint

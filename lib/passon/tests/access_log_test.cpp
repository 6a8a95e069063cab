// Lines of the access log, whichever way they are put together.
#include "base/log.h"
#include "passon/access_log.h"

#include <gtest/gtest.h>

#include <string>
#include <sys/mman.h>
#include <unistd.h>

namespace hasp::passon {
namespace {

// As the log's page has it, one key behind the other.
std::string expected(const std::string& tier, const AccessLine& line) {
    std::string out = "{\"time_us\":" + std::to_string(line.time_us);
    const auto text = [&out](const std::string& key, std::string_view value) {
        if (!value.empty()) {
            out += ",\"" + key + "\":\"" + json_escape(value) + "\"";
        }
    };
    const auto number = [&out](const std::string& key, auto value) {
        out += ",\"" + key + "\":" + std::to_string(value);
    };
    text("tier", tier);
    text("request", line.request_id);
    text("from", line.from);
    text("peer", line.peer);
    text("client", line.client);
    text("user", line.user);
    text("app", line.app);
    text("method", line.method);
    text("host", line.host);
    text("path", line.path);
    number("status", line.status);
    number("bytes_in", line.bytes_in);
    number("bytes_out", line.bytes_out);
    number("duration_us", line.duration_us);
    text("served", line.served);
    text("cache", line.cache);
    text("why", line.why);
    text("trace", line.trace);
    text("span", line.span);
    return out + "}\n";
}

class Lines : public ::testing::Test {
  protected:
    Lines() : file_(::memfd_create("access log", MFD_CLOEXEC)) {
        line_.time_us = 1'790'000'000'000'042;
        line_.request_id = "00112233445566778899aabbccddeeff";
        line_.from = "user";
        line_.client = "192.0.2.7";
        line_.user = "anna";
        line_.app = "wiki";
        line_.method = "GET";
        line_.host = "wiki.example";
        line_.path = "/apps/wiki/page";
        line_.status = 200;
        line_.bytes_out = 1024;
        line_.duration_us = 731;
        line_.served = "here";
    }
    void write(AccessLog& log) {
        log.write(line_);
        expected_ += expected("tokyo", line_);
    }
    std::string written() {
        std::string out(static_cast<std::size_t>(::lseek(file_.get(), 0, SEEK_END)), '\0');
        EXPECT_EQ(::pread(file_.get(), out.data(), out.size(), 0),
                  static_cast<ssize_t>(out.size()));
        return out;
    }
    Fd log_file() { return Fd(::dup(file_.get())); }
    Fd file_;
    AccessLine line_;
    std::string expected_;
};

TEST_F(Lines, AreTheSameForEveryNumber) {
    AccessLog log(log_file(), "tokyo");
    for (const std::uint64_t value : {0UL, 1UL, 9UL, 10UL, 99UL, 100UL, 101UL, 999UL, 1'000UL,
                                      10'000UL, 123'456'789UL, std::uint64_t{INT64_MAX}}) {
        line_.bytes_in = value;
        line_.bytes_out = value;
        line_.duration_us = static_cast<std::int64_t>(value);
        line_.status = static_cast<int>(value % 1'000);
        line_.time_us = 1'790'000'000'000'000 + static_cast<std::int64_t>(value % 3'000'000'000);
        write(log);
    }
    line_.time_us = 0; // a clock that was never set
    write(log);
    log.flush();
    EXPECT_EQ(written(), expected_);
}

TEST_F(Lines, EscapeWhatATextMayHoldWhereverItStands) {
    AccessLog log(log_file(), "tokyo");
    std::string text;
    for (const std::size_t size : {1U, 15U, 16U, 17U, 40U}) {
        for (const char odd : {'"', '\\', '\n', '\x1f', '\x7f', '\xc3'}) {
            for (std::size_t at = 0; at < size; ++at) {
                text.assign(size, 'a');
                text[at] = odd;
                line_.path = text;
                write(log);
                line_.path = "/";
                line_.why = text;
                write(log);
                line_.why = {};
            }
        }
    }
    log.flush();
    EXPECT_EQ(written(), expected_);
}

TEST_F(Lines, StayInOrderHoweverLongTheyAre) {
    AccessLog log(log_file(), "tokyo");
    std::string path;
    for (int round = 0; round < 200; ++round) {
        for (const std::size_t size : {1U, 1'400U, 1'536U, 1'537U, 8'000U}) {
            path.assign(size, static_cast<char>('a' + round % 26));
            line_.path = path;
            write(log);
        }
    }
    path.assign(AccessLog::buffer_bytes + 1, 'z');
    line_.path = path;
    write(log);
    EXPECT_EQ(log.dropped_bytes(), 0U);
    log.flush();
    EXPECT_EQ(written(), expected_);
}

TEST_F(Lines, BeginWhereTheLogGetsItsFirstFile) {
    AccessLog log(Fd(), "tokyo");
    log.write(line_); // to nobody
    log.reopen(log_file());
    write(log);
    log.flush();
    EXPECT_EQ(written(), expected_);
}

} // namespace
} // namespace hasp::passon

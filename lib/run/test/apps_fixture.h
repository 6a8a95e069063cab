// A spawner with real programs in real sandboxes, and verbs to drive them.
#pragma once

#include "base/clock.h"
#include "run/spawner.h"

#include <functional>
#include <gtest/gtest.h>
#include <memory>
#include <string>
#include <vector>

namespace hasp::run {

// The machine's clock, which can be set forward.
class JumpingClock final : public Clock {
  public:
    std::int64_t ahead_us = 0;
    std::int64_t wall_us() const override { return system_.wall_us() + ahead_us; }
    std::int64_t boot_us() const override { return system_.boot_us() + ahead_us; }
    std::string boot_id() const override { return system_.boot_id(); }

  private:
    SystemClock system_;
};

class Apps : public ::testing::Test {
  protected:
    void SetUp() override;
    void TearDown() override;

    // A spawner under this isolation, in place of the present one.
    void use(const Isolation& isolation);
    // What the machine has; found out once.
    static const Isolation& machine();

    // An app of test/app.py with its own code, data and socket.
    InstanceSpec python_app(const std::string& id, const std::string& listen = "tcp:8080");
    InstanceSpec program(const std::string& id, std::vector<std::string> command,
                         const std::string& listen);
    std::string put_code(const std::string& id, const std::string& name, const std::string& text);

    // Runs the loop until `done` or the time is over.
    bool run_until(const std::function<bool()>& done, int seconds = 20);
    // Starts and waits until it is ready; false (and a test failure) when it failed.
    bool started(const InstanceSpec& spec);
    // Waits for the next event that nobody has taken yet.
    Event next_event(int seconds = 20);
    // The body of the app's answer to GET path, through its dialer; "(…)" says what went wrong.
    std::string ask(const InstanceSpec& spec, const std::string& path);

    // Sends the request and does not wait for an answer.
    void tell(const InstanceSpec& spec, const std::string& path);

    std::string state_;
    JumpingClock clock_;
    std::unique_ptr<Spawner> spawner_;
    std::vector<Event> events_;
};

} // namespace hasp::run

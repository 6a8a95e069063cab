// Time is passed in, so that a test can be its own clock.
#pragma once

#include <cstdint>
#include <string>

namespace hasp {

inline constexpr std::int64_t ms_us = 1000;
inline constexpr std::int64_t second_us = 1'000'000;
inline constexpr std::int64_t hour_us = 3600 * second_us;
inline constexpr std::int64_t day_us = 24 * hour_us;

class Clock {
  public:
    virtual ~Clock() = default;
    // Microseconds since 1970-01-01 UTC, as the machine believes. May step in either direction.
    virtual std::int64_t wall_us() const = 0;
    // Microseconds of CLOCK_BOOTTIME: goes on while suspended, never steps, starts anew at a
    // reboot.
    virtual std::int64_t boot_us() const = 0;
    // Opaque name of this boot, another one after each reboot: says whether two values of boot_us()
    // may be compared.
    virtual std::string boot_id() const = 0;
};

// The machine's clocks. Any thread.
class SystemClock final : public Clock {
  public:
    std::int64_t wall_us() const override;
    std::int64_t boot_us() const override;
    // The kernel's; "unknown" where it does not say.
    std::string boot_id() const override;
};

// A clock that stands still until it is told to move. One thread.
class ManualClock final : public Clock {
  public:
    std::int64_t wall = 1'700'000'000'000'000;
    std::int64_t boot = 1'000'000;
    std::string boot_name = "boot 1";
    std::int64_t wall_us() const override { return wall; }
    std::int64_t boot_us() const override { return boot; }
    std::string boot_id() const override { return boot_name; }
    void advance_us(std::int64_t us) {
        wall += us;
        boot += us;
    }
};

} // namespace hasp

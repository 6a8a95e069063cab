// One-time codes by which the portal hands a session over to an app's host. In memory: a restart
// voids them, and the browser is sent round once more. One thread, never blocks.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>

namespace hasp {
class Clock;
class Random;
} // namespace hasp

namespace hasp::signon {

inline constexpr std::int64_t handover_life_us = std::int64_t{30} * 1'000'000;
inline constexpr std::size_t handover_codes_max = 10'000;

class HandoverCodes {
  public:
    HandoverCodes(const Clock& clock, Random& random) : clock_(clock), random_(random) {}

    // 43 characters of base64url, good once, for 30 s, at `app_host` (as the browser names it, port
    // included). Beyond handover_codes_max the oldest is void.
    std::string issue(std::string_view sid, std::string_view app_host);

    // The sid. Code::refused when unknown, used, over or of another host; a try at the wrong host
    // voids the code.
    Result<std::string> redeem(std::string_view code, std::string_view app_host);

    std::size_t size() const { return codes_.size(); }

  private:
    struct Entry {
        std::string sid;
        std::string app_host;
        std::int64_t until_boot_us;
    };
    void drop_old();

    const Clock& clock_;
    Random& random_;
    std::unordered_map<std::string, Entry>
        codes_; // by SHA-256 of the code, so that a look-up's timing tells nothing
    std::deque<std::string> by_age_;
};

} // namespace hasp::signon

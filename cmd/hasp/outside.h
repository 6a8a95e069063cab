// What the keeper asks of the world beside its tiers: HTTP, and programs of the operator. Blocking;
// any thread.
#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "maint/keeper_ports.h"

#include <cstdint>
#include <string>
#include <vector>

namespace hasp::cmd {

// HTTPS and HTTP, at most maint::outside_limit_s and maint::outside_answer_bytes_max.
Result<maint::OutsideAnswer> call_outside(const maint::OutsideCall& call);

// Runs a program to its end, at most `limit_us`; then it is killed (timed_out), though it may have
// closed its output long before. failed: it could not be started, or ended with another status than
// 0; the message has its last lines.
Status run_outside(const std::vector<std::string>& arguments,
                   std::int64_t limit_us = maint::outside_limit_s * second_us);

} // namespace hasp::cmd

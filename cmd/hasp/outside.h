// What the keeper asks of the world beside its tiers: HTTP, and programs of the operator. Blocking;
// any thread.
#pragma once

#include "base/result.h"
#include "maint/keeper_ports.h"

#include <string>
#include <vector>

namespace hasp::cmd {

// HTTPS and HTTP, at most maint::outside_limit_s and maint::outside_answer_bytes_max.
Result<maint::OutsideAnswer> call_outside(const maint::OutsideCall& call);

// Runs a program to its end, at most maint::outside_limit_s; then it is killed (timed_out). failed:
// it could not be started, or ended with another status than 0; the message has its last lines.
Status run_outside(const std::vector<std::string>& arguments);

} // namespace hasp::cmd

// How far each tier is with the release of an app that it was last told to hold. Levels, not
// events: a tier keeps one row for each of its apps, says them upward in its report with those of
// the tiers below it, and a parent knows what each said last. `hasp app releases`, `hasp status`
// and `push-app --wait` read here.
//
// One thread (the keeper's). Own rows are durable when set() returns. What children say is kept
// with their reports and taken in again at start; at most rollouts_of_child_max rows of a child,
// texts cut to rollout_text_bytes_max: a child's words are shown, never acted on.
#pragma once

#include "base/result.h"
#include "json_tools.h"
#include "maint/tier_store.h"

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace hasp::maint {

inline constexpr std::size_t rollouts_of_child_max = 10'000;
inline constexpr std::size_t rollout_text_bytes_max = 2'000;

// waiting: cannot be had now (no link, no room, refused pack), tried again by itself; why says what
// hinders. fetching: its pack is on the way. probing: it is started and asked beside the old one,
// or in its place. serving: requests go to it. rolled_back: it did not come up; the release before
// it serves again (or nothing does, when there was none), and it is not tried again until another
// release is assigned.
enum class RolloutState : unsigned char { waiting, fetching, probing, serving, rolled_back };
const char* text(RolloutState state);

struct Rollout {
    std::string tier; // hasp://…
    std::string app;
    std::string release_id; // the one that was assigned
    RolloutState state = RolloutState::waiting;
    std::string serves;     // release that requests go to now; empty: none
    std::string why;        // for waiting and rolled_back
    std::string last_lines; // of the app, for rolled_back
    std::int64_t at_us = 0; // wall clock of that tier, when the state began
    bool operator==(const Rollout&) const = default;
};

class Rollouts {
  public:
    Rollouts(TierStore& store, std::string me) : store_(store), me_(std::move(me)) {}
    // Reads own rows, and what enrolled children said last. Once, at start.
    Status load();
    // Own rows have changed.
    void on_change(std::function<void()> call) { on_change_ = std::move(call); }

    // The tier's own: `rollout.tier` is set here. The same again changes nothing. On an error (of
    // the disk) it is known and reported all the same, and written with the next one that can be.
    Status set(Rollout rollout);
    Status drop(const std::string& app);
    const Rollout* own(const std::string& app) const;

    // What a child's report holds; false: nothing changed. What is said of tiers that are not below
    // that child is left out, as is what is malformed.
    bool child_said(const std::string& child, const Json& rollouts);
    void forget_child(const std::string& child);

    // Own and below, sorted by app and tier. Empty `app`: all.
    std::vector<Rollout> known(const std::string& app = "") const;
    Json report() const; // the same as `known`, for the parent

  private:
    TierStore& store_;
    std::string me_;
    Status write();
    std::map<std::string, Rollout> own_;
    std::set<std::string> unwritten_; // of own_, by app
    std::map<std::string, std::vector<Rollout>> children_;
    std::function<void()> on_change_;
};

// {tier, app, release, state, serves, at} and, where there is any, why and last_lines.
Json to_json(const Rollout& rollout);

} // namespace hasp::maint

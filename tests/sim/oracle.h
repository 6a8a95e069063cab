// What an all-knowing observer knows: every act that was asked for, and every one that was
// acknowledged. An act without an answer may have happened or not, so a thing has a set of possible
// values over time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace hasp::sim {

class Machine;

// The values that a thing may have had, over time.
template <typename T>
class Possible {
  public:
    explicit Possible(T first) : history_{{INT64_MIN, {std::move(first)}}} {}

    // From `at_us` on it is `value` and nothing else: acknowledged.
    void is(std::int64_t at_us, const T& value) { history_.push_back({at_us, {value}}); }
    // From `at_us` on it may also be `value`: asked for.
    void may_be(std::int64_t at_us, const T& value) {
        std::set<T> now = history_.back().second;
        now.insert(value);
        history_.push_back({at_us, std::move(now)});
    }
    const std::set<T>& now() const { return history_.back().second; }
    std::set<T> during(std::int64_t from_us, std::int64_t to_us) const {
        std::set<T> out;
        for (std::size_t i = 0; i < history_.size(); ++i) {
            const bool ended = i + 1 < history_.size() && history_[i + 1].first < from_us;
            if (!ended && history_[i].first <= to_us) {
                out.insert(history_[i].second.begin(), history_[i].second.end());
            }
        }
        return out;
    }
    bool possible(const T& value, std::int64_t from_us, std::int64_t to_us) const {
        return during(from_us, to_us).contains(value);
    }
    // It was `value` all the time.
    bool certain(const T& value, std::int64_t from_us, std::int64_t to_us) const {
        const std::set<T> all = during(from_us, to_us);
        return all.size() == 1 && *all.begin() == value;
    }
    bool certain_now(const T& value) const { return now().size() == 1 && now().contains(value); }

  private:
    std::vector<std::pair<std::int64_t, std::set<T>>> history_;
};

struct Account {
    std::string name;
    Machine* home;
    Possible<std::string> password;
    std::map<std::string, Possible<bool>> apps;
    bool busy = false;                    // an act on it waits for its answer
    std::int64_t words = 1;               // passwords that it had
    std::vector<std::string> past;        // former passwords that were certainly replaced
    std::int64_t touched_us = INT64_MIN;  // an act on it was begun or answered
    std::int64_t replaced_us = INT64_MIN; // its password was certainly replaced
};

struct Session {
    Machine* at;
    Account* account;
    std::string cookie;
    std::string sid;
    std::int64_t asked_us = 0;
    std::int64_t opened_us = 0;
    // Begun while the home could not be asked: a lease decided, perhaps by a former password.
    bool offline = false;
    bool former_password = false;
    Possible<bool> ended{false}; // by a log-out
};

// A request that was metered.
struct Usage {
    Machine* at;
    bool kept = false; // its keeper said that it is in the ledger
};

// What a child said or was told, as it passed by on the wire.
struct Watched {
    std::int64_t lease_reported = 0;
    std::int64_t generation_reported = 0;
    std::map<std::int64_t, std::string> lease_offered; // number → envelope, as reported taken
    std::int64_t offered_highest = 0;
};

// An invariant that did not hold.
struct Violation {
    std::string invariant; // a name of the table in README.md
    std::string what;
};

} // namespace hasp::sim

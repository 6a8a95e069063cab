// Limits on guessing passwords: per account, per client address, and for the whole tier.
//
// An account allows account_free_failures wrong tries, then one each 1, 2, 4 … s up to
// account_delay_max_s; failures are forgotten after account_memory_s without one, and by a success.
// So that a stranger's guesses do not lock out the user: an address from which the account was
// opened before has a count of its own. An address and the tier have token buckets of tries, right
// or wrong. A try is counted when it begins, so that parallel tries cannot outrun the count. Memory
// is bounded: beyond entries_max the entry longest unused is forgotten. One thread. Never blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace hasp {
class Clock;
}

namespace hasp::signon {

struct GuessLimits {
    unsigned account_free_failures = 5;
    std::int64_t account_delay_max_s = 15 * 60;
    std::int64_t account_memory_s = 24 * 3600;
    double address_burst = 60; // a clinic behind one address logs in at eight o'clock
    double address_per_s = 0.5;
    double tier_burst = 200;
    double tier_per_s = 10;           // about what two cores can compute
    std::size_t entries_max = 50'000; // of each kind
};

struct GuessVerdict {
    bool allowed = true;
    std::int64_t retry_after_s = 0; // when refused: at least 1
};

class GuessLimiter {
  public:
    explicit GuessLimiter(const Clock& clock, const GuessLimits& limits = {});
    ~GuessLimiter();
    GuessLimiter(const GuessLimiter&) = delete;
    GuessLimiter& operator=(const GuessLimiter&) = delete;

    // Before the password is checked. Allowed: the try counts as failed from now on. Refused:
    // nothing is counted, tell the client retry_after_s (429, Retry-After). `client` is the address
    // text; give IPv6 as its /64 (client_key).
    GuessVerdict begin(std::string_view user, std::string_view client);
    // The password was right: the account's count is reset, and `client` is known for it.
    void succeeded(std::string_view user, std::string_view client);
    // The try came to no answer (the tier above could not be reached): it is not held against the
    // account.
    void undecided(std::string_view user, std::string_view client);

    std::size_t entries() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// The key of a textual address: IPv4 whole, IPv6 its first 64 bits, an IPv4-mapped one as IPv4.
// Anything else as it is, cut to 64 bytes. Pure.
std::string client_key(std::string_view address);

// "Too many attempts. Try again in 2 minutes." For the log-in page. Pure.
std::string retry_sentence(std::int64_t retry_after_s);

} // namespace hasp::signon

#include "signon/guess_limiter.h"

#include "base/clock.h"
#include "lru.h"

#include <algorithm>
#include <arpa/inet.h>
#include <cmath>
#include <cstring>
#include <netinet/in.h>
#include <optional>

namespace hasp::signon {

namespace {

constexpr std::size_t key_bytes_max = 64;

struct AccountCount {
    unsigned failures = 0;
    std::int64_t last_us = 0;
    std::int64_t next_us = 0; // no try before this
};

struct Bucket {
    double tokens = 0;
    std::int64_t last_us = 0;
};

std::int64_t seconds_until(std::int64_t at_us, std::int64_t now_us) {
    return std::max<std::int64_t>(1, (at_us - now_us + second_us - 1) / second_us);
}

void refill(Bucket& bucket, double burst, double per_s, std::int64_t now_us) {
    const double passed_s =
        static_cast<double>(now_us - bucket.last_us) / static_cast<double>(second_us);
    bucket.tokens = std::min(burst, bucket.tokens + passed_s * per_s);
    bucket.last_us = now_us;
}

std::int64_t seconds_until_one(const Bucket& bucket, double per_s) {
    return std::max<std::int64_t>(
        1, static_cast<std::int64_t>(std::ceil((1.0 - bucket.tokens) / per_s)));
}

std::string pair_key(std::string_view user, std::string_view client) {
    return std::string(user.substr(0, key_bytes_max)) + '\n' +
           std::string(client.substr(0, key_bytes_max));
}

} // namespace

struct GuessLimiter::Impl {
    Impl(const Clock& the_clock, const GuessLimits& the_limits)
        : clock(the_clock), limits(the_limits), accounts(the_limits.entries_max),
          addresses(the_limits.entries_max),
          known_pairs(the_limits.entries_max), tier{the_limits.tier_burst, the_clock.boot_us()} {}

    // An address from which the account was opened before counts by itself.
    std::string account_key(std::string_view user, std::string_view client) {
        std::string pair = pair_key(user, client);
        return known_pairs.find(pair) != nullptr ? pair
                                                 : std::string(user.substr(0, key_bytes_max));
    }

    void delay_next(AccountCount& count, std::int64_t now_us) const {
        count.next_us = now_us;
        if (count.failures >= limits.account_free_failures) {
            const unsigned doublings = std::min(count.failures - limits.account_free_failures, 40U);
            count.next_us +=
                std::min(std::int64_t{1} << doublings, limits.account_delay_max_s) * second_us;
        }
    }

    const Clock& clock;
    const GuessLimits limits;
    Lru<AccountCount> accounts;
    Lru<Bucket> addresses;
    Lru<bool> known_pairs;
    Bucket tier;
};

GuessLimiter::GuessLimiter(const Clock& clock, const GuessLimits& limits)
    : impl_(std::make_unique<Impl>(clock, limits)) {}
GuessLimiter::~GuessLimiter() = default;

GuessVerdict GuessLimiter::begin(std::string_view user, std::string_view client) {
    Impl& m = *impl_;
    const std::int64_t now_us = m.clock.boot_us();
    refill(m.tier, m.limits.tier_burst, m.limits.tier_per_s, now_us);
    if (m.tier.tokens < 1) {
        return {false, seconds_until_one(m.tier, m.limits.tier_per_s)};
    }
    Bucket& address = m.addresses.find_or_add(std::string(client.substr(0, key_bytes_max)),
                                              Bucket{m.limits.address_burst, now_us});
    refill(address, m.limits.address_burst, m.limits.address_per_s, now_us);
    if (address.tokens < 1) {
        return {false, seconds_until_one(address, m.limits.address_per_s)};
    }
    AccountCount& account = m.accounts.find_or_add(m.account_key(user, client), AccountCount{});
    if (now_us - account.last_us > m.limits.account_memory_s * second_us) {
        account = {};
    }
    if (now_us < account.next_us) {
        return {false, seconds_until(account.next_us, now_us)};
    }
    m.tier.tokens -= 1;
    address.tokens -= 1;
    ++account.failures;
    account.last_us = now_us;
    m.delay_next(account, now_us);
    return {};
}

void GuessLimiter::succeeded(std::string_view user, std::string_view client) {
    impl_->accounts.erase(impl_->account_key(user, client));
    impl_->known_pairs.find_or_add(pair_key(user, client), true);
}

void GuessLimiter::undecided(std::string_view user, std::string_view client) {
    AccountCount* account = impl_->accounts.find(impl_->account_key(user, client));
    if (account != nullptr && account->failures > 0) {
        --account->failures;
        account->next_us = account->last_us;
    }
}

std::size_t GuessLimiter::entries() const {
    return impl_->accounts.size() + impl_->addresses.size() + impl_->known_pairs.size();
}

std::string client_key(std::string_view address) {
    const std::string text(address.substr(0, key_bytes_max));
    in6_addr v6{};
    if (::inet_pton(AF_INET6, text.c_str(), &v6) != 1) {
        return text;
    }
    char out[INET6_ADDRSTRLEN] = {};
    if (IN6_IS_ADDR_V4MAPPED(&v6)) {
        ::inet_ntop(AF_INET, &v6.s6_addr[12], out, sizeof out);
        return out;
    }
    std::memset(&v6.s6_addr[8], 0, 8);
    ::inet_ntop(AF_INET6, &v6, out, sizeof out);
    return std::string(out) + "/64";
}

std::string retry_sentence(std::int64_t retry_after_s) {
    const std::int64_t minutes = (retry_after_s + 59) / 60;
    const bool in_seconds = retry_after_s < 60;
    const std::int64_t count = std::max<std::int64_t>(1, in_seconds ? retry_after_s : minutes);
    return "Too many attempts. Try again in " + std::to_string(count) +
           (in_seconds ? " second" : " minute") + (count == 1 ? "." : "s.");
}

} // namespace hasp::signon

// What the tier that serves an app seals for browsers that come to it directly (direct return,
// doc/decisions/0021): a pass to fetch a nonce, a ticket that is exchanged for a cookie, and that
// cookie. One thread, never blocks. Texts are base64url and carry an HMAC-SHA-256; nothing is read
// of one before its MAC was compared, in constant time.
#pragma once

#include "base/result.h"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <set>
#include <string>
#include <string_view>

namespace hasp {
class Clock;
class Random;
} // namespace hasp

namespace hasp::signon {

// Of passes and tickets, by the boot clock, which nobody can set back.
inline constexpr std::int64_t direct_life_us = std::int64_t{60} * 1'000'000;
// Redeemed tickets that are remembered until they are over; beyond them none is redeemed.
inline constexpr std::size_t direct_used_max = 20'000;
inline constexpr std::size_t direct_target_bytes_max = 2048;
inline constexpr std::size_t direct_text_bytes_max = 4096; // of a sealed text
inline constexpr std::size_t direct_cookie_bytes_max = 256;

// Sends a browser that fetched its nonce back to where it came from, and nowhere else.
struct DirectPass {
    std::string app;
    std::string origin; // of the tier that the user knows: "https://wiki.tokyo.example"
    std::string state;  // that tier's own word for the request, 32 hex digits
};

// Good for one request.
struct DirectTicket {
    std::string child; // the neighbour that asked for it
    std::string sid;   // the session by which it knows the user
    std::string user;
    std::string app;
    std::string method;
    std::string target; // path and query at the app's own host
    std::string nonce;  // direct_nonce_hash() of the browser's nonce
};

// At the app's host, after a ticket was redeemed. Good while the session is that it names.
struct DirectCookie {
    std::string child;
    std::string sid;
    std::string app;
    std::int64_t until_us = 0; // wall clock
    std::string user;          // direct_user_word(): the neighbour may give the session to another
};

// 64 hex digits: names a nonce without telling it.
std::string direct_nonce_hash(std::string_view nonce);

// 16 hex digits that tell a user from others; his name would be too long for a cookie.
std::string direct_user_word(std::string_view user);

class DirectSeals {
  public:
    // `secret` is the tier's own and outlives restarts: the cookies' key comes from it. Passes and
    // tickets are under a key of this object's, so a restart voids them, and none is good twice
    // because what was used was forgotten. `clock`: its wall clock must be one that users cannot
    // set (trusted time).
    DirectSeals(const Clock& clock, Random& random, std::string_view secret);

    std::string seal(const DirectPass& pass);
    // Code::refused: not ours, or over. A pass may be used again until then: it leads to one place.
    Result<DirectPass> open(std::string_view text) const;

    // Code::usage: the target is too long.
    Result<std::string> seal(const DirectTicket& ticket);
    // Code::refused with one sentence, whether it is not ours, over, used, of another browser
    // (`nonce` is what this one shows) or of another method. Whatever comes of it, it was used;
    // one that is not ours was nobody's. Code::try_later: too many at a time.
    Result<DirectTicket> redeem(std::string_view text, std::string_view nonce,
                                std::string_view method);

    // At most direct_cookie_bytes_max bytes.
    std::string seal(const DirectCookie& cookie);
    // Code::refused: not ours, or over.
    Result<DirectCookie> open_cookie(std::string_view text) const;

  private:
    void drop_used();
    const std::string& own_key();

    const Clock& clock_;
    Random& random_;
    std::string key_; // empty until something was sealed: nothing opens before
    std::string cookie_key_;
    std::set<std::string, std::less<>> used_; // ids
    struct Used {
        std::string id;
        std::int64_t until_us;
    };
    std::deque<Used> by_age_;
};

} // namespace hasp::signon

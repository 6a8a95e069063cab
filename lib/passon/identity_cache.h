// Identities that the keeper gave, found again by what the request shows. Bounded, least recently
// used first out.
#pragma once

#include "passon/identity.h"
#include "passon/keeper_port.h"

#include <array>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

namespace hasp::passon {

// An identity with its header values rendered once.
struct KnownIdentity {
    std::shared_ptr<const Identity> identity;
    std::string name; // values as apps get them: UTF-8 percent-encoded
    std::string email;
    std::string groups;
    std::array<std::uint8_t, 16> sid_bytes{};
};

// 32 lower-case hex digits as bytes; zeros for anything else.
std::array<std::uint8_t, 16> id_bytes(std::string_view hex);
std::shared_ptr<const KnownIdentity> render(std::shared_ptr<const Identity> identity);

// Visible ASCII and spaces as they are; "%", controls and other bytes percent-encoded (groups: ","
// too).
std::string header_encode(std::string_view text, bool comma_too = false);

class IdentityCache {
    struct Entry;

  public:
    static constexpr std::int64_t ask_again_ms = 5'000;

    // `seed` makes the table's order unpredictable to whoever chooses cookies.
    IdentityCache(std::size_t entries_max, std::uint64_t seed)
        : entries_max_(entries_max), map_(16, Hash{seed}) {}

    enum class State : unsigned char { unknown, stale, fresh };
    // Of an entry; void as soon as any was erased. Its default leads nowhere.
    class Place {
        friend class IdentityCache;
        std::list<Entry>::iterator at_;
        std::uint64_t erased_ = UINT64_MAX;
    };
    struct Found {
        State state = State::unknown;
        bool ask = false; // stale: the keeper is to be asked now (once in ask_again_ms)
        // Null with state fresh: known to be nobody.
        std::shared_ptr<const KnownIdentity> who;
    };
    // `stale`: usable while the keeper is asked, for `stale_ms` after it was fresh; unknown after
    // that. Those that have ended are never given.
    // `place`, where there is one: where the question was answered last, which saves the way there;
    // it is brought up to date. Whatever it says, the answer is the same.
    Found find(WhoQuestion::Kind kind, std::string_view scope, std::string_view secret,
               std::int64_t now_ms, std::int64_t trusted_us, std::int64_t stale_ms,
               Place* place = nullptr);
    // `who` null: nobody.
    void put(WhoQuestion::Kind kind, std::string_view scope, std::string_view secret,
             std::shared_ptr<const KnownIdentity> who, std::int64_t fresh_until_ms);
    void drop(const IdentityFilter& filter);
    std::size_t size() const { return map_.size(); }
    void set_limit(std::size_t entries_max) { entries_max_ = entries_max; }

  private:
    struct Entry {
        std::string key;
        std::string child;
        std::shared_ptr<const KnownIdentity> who;
        std::int64_t fresh_until_ms = 0;
        std::int64_t asked_until_ms = 0;
    };
    struct Hash {
        using is_transparent = void;
        std::uint64_t seed;
        std::size_t operator()(std::string_view text) const;
    };
    std::string_view key_of(WhoQuestion::Kind kind, std::string_view scope,
                            std::string_view secret);
    static bool is_of(const Entry& entry, WhoQuestion::Kind kind, std::string_view scope,
                      std::string_view secret);
    void erase(std::list<Entry>::iterator at);

    std::size_t entries_max_;
    std::uint64_t erased_ = 0;
    std::list<Entry> order_; // most recently used first
    std::unordered_map<std::string_view, std::list<Entry>::iterator, Hash, std::equal_to<>> map_;
    std::string scratch_;
};

} // namespace hasp::passon

// Answers that passed through here, kept for those who ask again (RFC 9111), and what requests for
// them share: who fetches what at the moment, and which releases answer. One thread.
#pragma once

#include "cache/label.h"
#include "cache/rules.h"
#include "cache/store.h"
#include "net/address.h"
#include "net/reactor.h"
#include "net/timer.h"
#include "server_conn.h"

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace hasp::passon {

class Core;
class Exchange;

// Why a request was forwarded, in the words of RFC 9211 §2.2.
enum class Forwarded : std::uint8_t { not_at_all, bypass, uri_miss, vary_miss, stale, request };

// What one exchange has with the cache; cleared with each request that had anything.
struct CacheUse {
    bool on = false;              // the cache takes part in this request
    bool waited = false;          // for the same answer to another
    bool leads = false;           // others wait for what this one fetches
    bool validating = false;      // the request that went out asks whether `entry` is still right
    bool anew = false;            // nobody's condition goes out: `entry` was of another content
    bool may_fetch_whole = false; // what comes back can be stored: no range was asked for
    bool served = false;          // the answer is a stored one
    bool asked = false;           // and somebody confirmed it for this request
    bool told = false;            // the tier above told the four below
    bool stale_above = false;     // it gave what it had, and reached nobody either
    bool open = false;            // the app is for everybody
    bool varies_on_ours = false;  // the answer depends on a field that a tier sets
    cache::Scope scope = cache::Scope::none;
    Forwarded forwarded = Forwarded::not_at_all;
    cache::RequestDirectives wants;
    std::uint64_t shared_group = 0;
    std::uint64_t owner_group = 0; // 0: none
    std::int64_t now_s = 0;        // wall clock
    std::string target;
    std::string origin;
    std::string release;
    std::string etag; // of `entry`
    std::string modified;
    cache::EntryRef entry; // fresh, or what can stand in when nobody answers
    cache::Label label;    // of `entry`
    cache::Freshness fresh;
    std::unique_ptr<cache::Store::Writer> writer;
    cache::Label writing;
    // What is being sent of `entry`.
    std::size_t piece = 0;
    std::uint64_t skip = 0; // of that piece
    std::uint64_t left = 0;
};

class AnswerCache {
  public:
    static constexpr std::size_t flights_max = 1'024;
    static constexpr std::size_t waiting_max = 1'024; // for one answer
    static constexpr std::size_t releases_max = 4'096;
    static constexpr std::size_t refreshes_max = 32;

    // At a front with several loops they share the store; the rest is each one's own.
    AnswerCache(Core& core, std::shared_ptr<cache::Store> store);
    ~AnswerCache();
    AnswerCache(const AnswerCache&) = delete;
    AnswerCache& operator=(const AnswerCache&) = delete;

    cache::Store& store() { return *store_; }
    const std::shared_ptr<cache::Store>& shared_store() const { return store_; }
    // It takes part in no further request.
    void leave() { leaving_ = true; }
    bool leaving() const { return leaving_; }

    // Collapsed forwarding. The first who asks for a group leads; the others wait until landed().
    bool lead(std::uint64_t group);
    bool wait(std::uint64_t group, Exchange& exchange);
    void landed(std::uint64_t group);
    void forget(const Exchange& exchange);
    // Answers of that group were not to be stored lately: nobody waits for them.
    bool seldom_stored(std::uint64_t group) const;
    void not_stored(std::uint64_t group);
    // Whether answers of that kind were for everybody, when last one was. Who is signed on waits
    // for another's only then: most of what users ask for is for each alone.
    static std::uint64_t kind_of(std::string_view app, std::string_view target);
    bool often_shared(std::uint64_t kind) const;
    void was_shared(std::uint64_t kind, bool shared);

    // The release of an app that answered last; entries of another are of no use any more.
    void told_release(std::string_view app, std::string_view release);
    void heard_release(std::string_view app, std::string_view release); // of another loop
    bool is_current(std::string_view app, std::string_view release) const;

    // The link to the parent came up: what was stored before is to be confirmed once, since what
    // happened meanwhile was not told.
    void link_is_up(std::int64_t wall_s) { link_up_s_ = wall_s; }
    std::int64_t link_up_s() const { return link_up_s_; }
    // The same of all answers, those of apps that are here, too: another engine has forwarded what
    // may have changed them.
    void confirm_from(std::int64_t wall_s) { confirm_from_s_ = wall_s; }
    std::int64_t confirm_from_s() const { return confirm_from_s_; }

    // Asks for an answer anew with nobody waiting for it (stale-while-revalidate). `head` is a
    // whole request.
    void refresh(std::uint64_t group, const Exchange& like, std::string head);
    void refreshed() { --refreshes_; }

    // After an unsafe request to it: of the app, for all and for `owner`.
    void invalidate(std::string_view app, std::string_view owner, std::string_view target,
                    std::string_view mount);

  private:
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const {
            return std::hash<std::string_view>{}(text);
        }
    };
    // A request of ours that is to begin.
    struct Pending {
        From from;
        bool tls;
        std::string peer;
        net::Address address;
        std::string head;
    };
    void recover();
    void wake();
    void begin_pending();

    Core& core_;
    std::shared_ptr<cache::Store> store_;
    net::Task recovery_;
    net::Task wake_;
    net::Task begin_;
    std::vector<Pending> pending_;
    std::unordered_map<std::uint64_t, std::vector<Exchange*>> flights_;
    std::vector<Exchange*> ready_; // their answer has landed
    std::array<std::uint64_t, 4'096> not_stored_{};
    std::array<std::uint64_t, 1'024> shared_kinds_{};
    std::unordered_map<std::string, std::string, Hash, std::equal_to<>> releases_;
    std::size_t refreshes_ = 0;
    std::int64_t link_up_s_ = 0;
    std::int64_t confirm_from_s_ = 0;
    bool leaving_ = false;
};

} // namespace hasp::passon

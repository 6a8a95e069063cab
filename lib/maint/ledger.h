// Usage on its way to a bill: records from the ring become sealed batches in STATE/ledger.db, and
// batches of this tier and of those below go to the parent until it has confirmed them. A batch is
// durable before anything is said of it, in either direction. One thread (the keeper's).
#pragma once

#include "base/clock.h"
#include "base/log.h"
#include "billing/ledger_store.h"
#include "json_tools.h"
#include "ledger_keys.h"
#include "links.h"
#include "maint/tier_identity.h"
#include "maint/tier_store.h"

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace hasp::maint {

inline constexpr std::size_t usage_message_bytes_max = 256 * 1024;
inline constexpr int usage_messages_in_flight_max = 4; // of all chains
// Tiers that may ever have been below this one.
inline constexpr std::size_t usage_chains_max = 20'000;
// Starts of apps that wait for a disk that takes them.
inline constexpr std::size_t usage_starts_waiting_max = 1'000;

// For status.
struct LedgerStatus {
    struct Stream {
        std::string tier;
        std::uint64_t epoch = 0;
        billing::Position end;
        billing::Position acked; // by the parent
        std::string stopped;     // why nothing of it is sent; empty: it is
    };
    std::uint64_t events_unsent = 0;
    std::uint64_t bytes_unsent = 0;
    std::int64_t oldest_unsent_us = 0; // 0: all is sent
    std::uint64_t dropped = 0;         // records that a full ring lost, of this tier, ever
    std::uint64_t malformed = 0;       // records that made no sense, since this start
    std::string failing;               // why nothing can be written now; empty: it can
    std::vector<Stream> streams;
    std::vector<billing::Fork> forks;
};
Json ledger_json(const LedgerStatus& status);

class Ledger {
  public:
    struct World {
        Links& links;
        const Clock& clock;
        const Log& log;
        const TierIdentity& me;
        TierStore& store;
        billing::LedgerStore& ledger;
    };
    explicit Ledger(World world);

    // Seals what is new of a lane's records. The number of records, from the first, that need not
    // be given again: they are durable, or were before; less than all when the disk refused.
    std::size_t record(const billing::RingPlace& at, std::span<const billing::UsageRecord> records);
    // Durable when it returns ok. When not, it is tried again later.
    Status app_started(const std::string& app, const std::string& user);

    void parent_connected();
    // The parent was restored from a backup: it may lack what it confirmed. It is asked of each
    // chain once, and is sent again what it lacks. Before parent_connected().
    void parent_restored(std::int64_t at_us);
    // After each turn: sends what is new, at most once a second.
    void flush();
    void tick();
    LedgerStatus status();

    // Called when status has news that should not wait for the next report: what fails or is
    // refused. That usage was sent is no such news, or a busy tier would report every second.
    void on_change(std::function<void()> callback) { on_change_ = std::move(callback); }

  private:
    // What was sent of a chain and not yet answered.
    struct Sending {
        std::optional<billing::Position> sent; // none: from where it is confirmed
        int in_flight = 0;
        std::uint64_t round = 0; // goes up when sending begins anew: older answers only confirm
        bool certificates = false;
        bool ask = false; // how far the parent is, which may be less than it has confirmed
        // What a parent that was restored has confirmed before: until it confirms that again, each
        // new beginning asks first.
        std::optional<billing::Position> confirmed_before;
        std::string stopped;
        std::int64_t retry_us = 0; // boot clock
    };
    billing::ChainKey own_key() const { return {world_.me.name.text(), world_.me.epoch}; }
    Status load();
    Status seal(std::span<const billing::UsageRecord> records, const billing::RingMark* mark,
                std::uint64_t dropped);
    void note_failure(const Status& status);

    // ledger_send.cpp
    void send();
    bool send_next(const billing::Chain& chain, Sending& sending);
    void ask_where(const billing::Chain& chain, Sending& sending);
    void ask_parent(const billing::Chain& chain, Sending& sending, std::string body,
                    const billing::Position& end, const std::string& hash);
    void answered(const billing::ChainKey& key, std::uint64_t round, const billing::Position& end,
                  const std::string& hash, Result<Message> answer);
    Status take_ack(const billing::ChainKey& key, const billing::Position& until,
                    const billing::Position& end, const std::string& hash, const std::string& ack);

    // ledger_receive.cpp
    void serve_children();
    void on_usage(const std::string& child, const Message& message, const Links::Answer& answer);
    Result<billing::Chain> chain_of(const std::string& child, const billing::ChainKey& key,
                                    const std::string& certificates);
    std::string ack(const std::string& child, const billing::ChainKey& key,
                    const billing::Received& received);

    World world_;
    std::optional<billing::Chain> own_; // as it is on the disk; none: to be read
    std::uint64_t stream_ = 0;          // of this start, 0: nothing sealed yet
    std::map<std::uint32_t, billing::RingMark> marks_;
    std::vector<billing::UsageRecord> starts_; // could not be written yet
    std::uint64_t malformed_ = 0;
    std::string failing_;
    bool dirty_ = true; // there may be something to send
    std::int64_t sent_us_ = 0;
    std::int64_t asked_of_ = 0; // the parent's restore that it was asked after
    int in_flight_ = 0;
    std::map<billing::ChainKey, Sending> sending_;
    LedgerKeys keys_;
    billing::Crypto crypto_;
    std::function<void()> on_change_;
};

} // namespace hasp::maint

// Records, keys and batches for the tests of the ledger.
#pragma once

#include "billing/ledger_store.h"
#include "trust/envelope.h"
#include "trust/hash.h"
#include "trust/keys.h"

#include <gtest/gtest.h>

#include <limits>
#include <memory>
#include <string>
#include <vector>

namespace hasp::billing::tests {

inline constexpr std::int64_t second_us = 1'000'000;
inline constexpr std::int64_t start_us = 1'700'000'000 * second_us; // 2023-11-14T22:13:20Z
inline const ChainKey tokyo{"hasp://clinics/center/tokyo", 1};

inline UsageRecord record(const std::string& app, const std::string& user,
                          std::int64_t time_us = start_us, UsageKind kind = UsageKind::request) {
    UsageRecord r;
    r.kind = kind;
    r.status = 200;
    r.flags = usage_final;
    r.time_us = time_us;
    r.duration_us = 1500;
    r.bytes_in = 10;
    r.bytes_out = 2000;
    r.sid.fill(0x51);
    r.rid.fill(static_cast<std::uint8_t>(time_us));
    set_name(r.app, app);
    set_name(r.user, user);
    return r;
}

// Signs as a tier does: the header in an envelope.
inline Crypto crypto_of(const ChainKey& chain) {
    const auto name = trust::TierName::parse(chain.tier).value();
    const auto key = trust::SigningKey::from_seed(std::string(32, 'k')).value();
    return {trust::sha256, [name, key](const BatchHeader& h, std::string_view bytes) {
                return trust::seal({"usage-batch",
                                    std::string(32, 'r'),
                                    name,
                                    name.at_depth(1),
                                    {h.epoch, h.stream},
                                    h.sealed_at_us,
                                    std::numeric_limits<std::int64_t>::max()},
                                   bytes, key);
            }};
}

// One start after the other of one tier, and its batches.
class Writer {
  public:
    explicit Writer(ChainKey of = tokyo) : key(std::move(of)), crypto(crypto_of(key)) {}
    SealedBatch seal(const std::vector<UsageRecord>& records, std::uint64_t dropped = 0) {
        auto batch = seal_batch(head, key.epoch, stream, records, dropped, start_us, crypto);
        EXPECT_TRUE(batch.ok()) << batch.error().message;
        return *std::move(batch);
    }
    SealedBatch seal(std::size_t count) {
        std::vector<UsageRecord> records;
        for (std::size_t i = 0; i < count; ++i) {
            records.push_back(record("wiki", "nurse", start_us + ++made_ * second_us));
        }
        return seal(records);
    }
    ChainKey key;
    ChainHead head;
    std::uint64_t stream = 1;
    Crypto crypto;

  private:
    std::int64_t made_ = 0;
};

} // namespace hasp::billing::tests

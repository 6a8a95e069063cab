// Records, keys and batches for the tests of the ledger.
#pragma once

#include "base/clock.h"
#include "billing/ledger_store.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

namespace hasp::billing::tests {

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

inline std::string sha256(std::string_view bytes) {
    std::string out(digest_bytes, '\0');
    unsigned int size = 0;
    EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(out.data()), &size,
               EVP_sha256(), nullptr);
    return out;
}

// In the place of lib/trust's envelopes: the header, and a hash that only who knows the key can
// make.
inline std::string sealed(std::string_view header) {
    return std::string(header) + sha256("the test's key" + std::string(header));
}
inline Result<std::string> opened(const std::string& envelope) {
    const std::string header =
        envelope.substr(0, envelope.size() - std::min(envelope.size(), digest_bytes));
    return envelope == sealed(header) ? Result<std::string>(header)
                                      : fail(Code::refused, "the signature does not hold");
}
inline Crypto test_crypto() {
    return {sha256, [](const BatchHeader&, std::string_view bytes) -> Result<std::string> {
                return sealed(bytes);
            }};
}

// One start after the other of one tier, and its batches.
class Writer {
  public:
    explicit Writer(ChainKey of = tokyo) : key(std::move(of)), crypto(test_crypto()) {}
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

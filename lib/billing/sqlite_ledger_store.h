// The ledger in SQLite; the two .cpp files are its batches and its bills.
#pragma once

#include "billing/ledger_store.h"
#include "store/db.h"

namespace hasp::billing {

class SqliteLedgerStore final : public LedgerStore {
  public:
    SqliteLedgerStore(store::Db& db, std::string tenant) : db_(db), tenant_(std::move(tenant)) {}

    Result<std::vector<Chain>> chains() override;
    Result<std::optional<Chain>> chain(const ChainKey& key) override;
    Status open_chain(const ChainKey& key, const std::string& certificates) override;
    Status append(const ChainKey& key, std::span<const SealedBatch> batches, const RingMark* mark,
                  std::int64_t now_us) override;
    Result<RingMark> ring_mark(const std::string& ring, std::uint32_t lane) override;
    Result<Received> receive(const ChainKey& key, std::span<const SealedBatch> batches,
                             std::int64_t now_us) override;
    Result<std::vector<Fork>> forks() override;
    Result<std::vector<StoredBatch>> batches_from(const ChainKey& key, const Position& from,
                                                  std::size_t bytes_max) override;
    Result<std::int64_t> oldest_unsent_us() override;
    Status acked(const ChainKey& key, const Position& until, const std::string& ack) override;
    Status scan(std::int64_t from_us, std::int64_t to_us,
                const std::function<Status(const StoredBatch&)>& on_batch) override;
    Result<std::vector<DayTotals>> days(const ChainKey& key) override;

    Status put_tariff(const TariffRow& row) override;
    Result<std::vector<TariffRow>> tariffs() override;
    Status close(ClosedPeriod period,
                 const std::vector<std::pair<std::string, std::string>>& invoices) override;
    Result<std::vector<ClosedPeriod>> periods() override;
    Result<std::vector<std::pair<std::string, std::string>>>
    invoices(std::int64_t period_from_us) override;

  private:
    Status insert(const ChainKey& chain, const SealedBatch& batch, std::int64_t now_us);
    Status advance(const Chain& chain);
    // Moves a chain behind the batches of which `first` is the first, by what they add to it, in a
    // single step. False: they do not continue it, or there is none; nothing has changed.
    Result<bool> continue_chain(const BatchHeader& first, const Chain& added);
    Status put_mark(const RingMark& mark);

    store::Db& db_;
    std::string tenant_;
};

} // namespace hasp::billing

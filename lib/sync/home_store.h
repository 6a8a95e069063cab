// The rows behind Home. See sql/0001_home.sql.
#pragma once

#include "store/db.h"
#include "store/transaction.h"
#include "sync/home.h"

#include <optional>
#include <string>
#include <vector>

namespace hasp::sync {

// A row as it is now or was; nothing: removed.
struct Row {
    std::string path;
    std::optional<Entry> entry; // with its revision
    std::uint64_t revision = 0;
};

class HomeStore {
  public:
    HomeStore(store::Db& db, std::string tenant) : db_(db), tenant_(std::move(tenant)) {}
    Status migrate();
    store::Db& db() { return db_; }

    // {0, 0} when nothing of it was ever sent.
    Result<Revision> revision(const FolderId& folder);
    Status set_revision(const FolderId& folder, Revision revision);

    Result<std::optional<Row>> row(const FolderId& folder, const std::string& path);
    Result<std::vector<Row>> rows_below(const FolderId& folder, const std::string& path); // live
    Result<std::vector<Row>> rows_since(const FolderId& folder, std::uint64_t number);
    // What stood at the path when the folder was at `number`.
    Result<std::optional<Row>> version_at(const FolderId& folder, const std::string& path,
                                          std::uint64_t number);
    // A path at which this content stood when the folder was at `number`.
    Result<bool> had_content(const FolderId& folder, const std::string& hash, std::uint64_t number);
    // Somewhere among the user's files, now or before.
    Result<bool> user_has(const std::string& user, const std::string& hash);
    Status put(const FolderId& folder, const Row& row, const std::string& operation,
               std::int64_t at_us, const std::string& who);

    struct Batch {
        std::uint64_t number = 0;
        std::string verdicts;
    };
    Result<std::optional<Batch>> batch(const FolderId& folder, const std::string& id);
    Status put_batch(const FolderId& folder, const std::string& id, const Batch& batch,
                     std::int64_t at_us);
    Status drop_batches(std::int64_t before_us);

  private:
    store::Db& db_;
    std::string tenant_;
};

} // namespace hasp::sync

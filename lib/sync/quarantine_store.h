// The rows of contents that do not count. See sql/home/0004_quarantine.sql.
#pragma once

#include "store/db.h"
#include "sync/quarantine.h"

#include <optional>
#include <string>
#include <vector>

namespace hasp::sync {

struct FolderId;

class QuarantineStore {
  public:
    QuarantineStore(store::Db& db, std::string tenant) : db_(db), tenant_(std::move(tenant)) {}

    Result<bool> empty(const std::string& user);
    // What is known of a content, wherever the user has it: that it was released, else what was
    // found, else that it waits.
    Result<std::optional<Quarantined>> of(const std::string& user, const std::string& hash);
    Result<std::optional<Quarantined>> row(std::int64_t id);
    // What the user's contents of that size are called, also the released ones.
    Result<std::vector<std::string>> names_of_size(const std::string& user, std::uint64_t size);
    // The same content at the same path keeps its number.
    Status put(const Quarantined& one);
    Status release(const std::string& user, const std::string& hash);
    Status drop(std::int64_t id);
    // It was looked at, and counts.
    Status drop_waiting(const std::string& user, const std::string& hash);
    // Without the released ones, by number: of a content, wherever the user has it.
    Result<std::vector<Quarantined>> with(const std::string& user, const std::string& hash);
    // Without the released ones; by number.
    Result<std::vector<Quarantined>> list(std::size_t max);
    // Those from before that, and of each user's infected ones those beyond the newest
    // quarantine_files_max.
    Result<std::vector<Quarantined>> superfluous(std::int64_t before_us, std::size_t max);
    struct Count {
        std::uint64_t infected = 0;
        std::uint64_t waiting = 0;
    };
    Result<Count> count();

  private:
    store::Db& db_;
    std::string tenant_;
};

} // namespace hasp::sync

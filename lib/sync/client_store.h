// The rows behind Client. See sql/client/.
#pragma once

#include "scan.h"
#include "store/db.h"
#include "store/transaction.h"
#include "sync/client.h"
#include "sync/watch.h"

#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace hasp::sync {

// A file as both sides last had it.
struct BaseRow {
    Entry entry;
    std::string signature;
    Seen seen;
};

struct FolderRow {
    FolderStatus status;
    bool whole = false;
    bool released = false;
    std::string identity; // of the folder on the disk, as of the last look; empty: not known
    // While changes come in parts: how far they came, and the revision up to which nothing of them
    // was left out. The folder's own revision moves with the last part.
    Position after = {};
    std::uint64_t complete = complete_all;
    // The highest number of the home's that an answer had. What was sent while parts came has such
    // a one, beyond the folder's own: a home that is at less now was restored.
    std::uint64_t met = 0;
    // The attributes of all that was agreed on are known; else the home is asked for them.
    bool attributes_told = true;
    static constexpr std::uint64_t complete_all = std::numeric_limits<std::uint64_t>::max();
};

struct BatchRow {
    std::string batch;
    std::uint64_t bytes = 0;
    std::uint64_t content = 0;
    bool more = false;
};

struct OperationRow {
    std::string path;
    bool remove = false;
    BaseRow row; // put: as it is to stand in the base
};

class ClientStore {
  public:
    ClientStore(store::Db& db, std::string tenant) : db_(db), tenant_(std::move(tenant)) {}
    Status migrate();
    store::Db& db() { return db_; }
    const std::string& tenant() const { return tenant_; }

    Result<FolderRow> folder(const FolderId& folder);
    Status put_folder(const FolderRow& row);

    // client_leave.cpp
    Status put_ended(const FolderId& folder, bool wholly);
    Result<std::map<FolderId, bool>> ended();
    Status drop_ended(const FolderId& folder);
    Result<std::vector<FolderRow>> folders();

    // Without signatures, which are large.
    Result<std::map<std::string, BaseRow>> base(const FolderId& folder);
    Result<std::optional<BaseRow>> base_row(const FolderId& folder, const std::string& path);
    // Of what is beneath `path`, without signatures.
    Result<std::map<std::string, BaseRow>> base_below(const FolderId& folder,
                                                      const std::string& path);
    // Files and links, but no more than `most` are counted.
    Result<std::uint64_t> count_files(const FolderId& folder, std::uint64_t most);
    // Of the content that was agreed on at the path; empty: none was.
    Result<std::string> hash_at(const FolderId& folder, const std::string& path);
    // A large content of this size was agreed on, and is not called by its chunks.
    Result<bool> large_flat(const FolderId& folder, std::uint64_t size);
    Result<std::vector<std::string>> paths_with(const FolderId& folder, const std::string& hash);
    // Files that were seen with this inode number, but no more than `most`.
    Result<std::vector<std::string>> paths_of(const FolderId& folder, std::uint64_t inode,
                                              std::uint64_t most);
    Status put_base(const FolderId& folder, const std::string& path, const BaseRow& row);
    // The same content, seen anew.
    Status put_seen(const FolderId& folder, const std::string& path, const Seen& seen);
    // Of files that were agreed on with this content, or are being, and have no signature.
    Status put_signature(const FolderId& folder, const std::string& hash,
                         const std::string& signature);
    Status drop_base(const FolderId& folder, const std::string& path);
    Status drop_all_base(const FolderId& folder);

    // What the home does not count, by path.
    Result<std::vector<RefusedFile>> refused(const FolderId& folder);
    Status put_refused(const FolderId& folder, const RefusedFile& file);
    Status drop_refused(const FolderId& folder, const std::string& path);
    Status drop_all_refused(const FolderId& folder);

    // client_absent.cpp: contents that are to come.
    struct ToCome {
        std::string hash;
        std::uint64_t size = 0;
        std::int64_t mtime_us = 0;
    };
    Status put_to_come(const FolderId& folder, const ToCome& content);
    Status drop_to_come(const FolderId& folder, const std::string& hash);
    // The newest first, behind `after`; nothing: that was the last.
    Result<std::optional<ToCome>> next_to_come(const FolderId& folder,
                                               const std::optional<ToCome>& after);
    Status count_to_come(FolderStatus& status);

    // What is being put in place; `seen` is of nothing.
    Status put_placing(const FolderId& folder, const std::string& path, const BaseRow& row);
    Result<std::map<std::string, BaseRow>> placing(const FolderId& folder);
    Status drop_placing(const FolderId& folder);
    Result<std::vector<FolderId>> folders_placing();

    // What was noted of folders that were closed in order, which is true of them once.
    Result<std::map<FolderId, Noticed>> take_noted();
    Status put_noted(const FolderId& folder, const Noticed& noted);

    // client_leave.cpp
    // All rows of the folder go, but for its being removed. In the caller's transaction.
    Status begin_leaving(const FolderId& folder, std::int64_t looked_ns);
    // Since when nobody has looked at what changes in them, by the file system's clock.
    Result<std::map<FolderId, std::int64_t>> folders_leaving();
    Status drop_leaving(const FolderId& folder);
    Result<std::map<std::string, std::uint64_t>> bytes_by_user();

    Result<std::optional<BatchRow>> batch(const FolderId& folder);
    Result<std::vector<OperationRow>> operations(const FolderId& folder);
    Status put_batch(const FolderId& folder, const BatchRow& batch,
                     const std::vector<OperationRow>& operations, std::int64_t at_us);
    Status drop_batch(const FolderId& folder);

  private:
    store::Db& db_;
    std::string tenant_;
};

} // namespace hasp::sync

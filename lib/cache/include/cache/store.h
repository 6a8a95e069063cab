// Stored answers in one file of a fixed size: labels (what an answer is to, and its head) and
// bodies. What does not fit pushes out what was used longest ago.
//
// Nothing is ever synced. Every piece carries a checksum that is looked at before a byte of it is
// given out, so that what a crash left half-written, or another file's content, is never taken for
// an answer; it is found missing.
#pragma once

#include "base/fd.h"
#include "base/result.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace hasp::cache {

inline constexpr std::size_t block_bytes = 4'096;
inline constexpr std::size_t piece_bytes_max = 64 * 1024; // of a body: one read, one checksum
inline constexpr std::size_t label_bytes_max = 64 * 1024;

class Blocks;
class Store;

// One stored answer. Immutable; its blocks are free again when nobody holds it and the store has
// dropped it.
class Entry {
  public:
    struct Piece {
        std::uint32_t block;
        std::uint32_t bytes;
        std::uint64_t sum;
    };
    // The body's blocks, which a new label may share.
    struct Body {
        explicit Body(std::shared_ptr<Blocks> of) : blocks(std::move(of)) {}
        ~Body();
        Body(const Body&) = delete;
        Body& operator=(const Body&) = delete;
        std::shared_ptr<Blocks> blocks;
        std::vector<Piece> pieces;
        std::uint64_t bytes = 0;
    };
    ~Entry();
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

    std::uint64_t group() const { return group_; }
    std::uint64_t sequence() const { return sequence_; } // rises with each that is stored
    std::uint64_t body_bytes() const { return body_->bytes; }
    std::size_t pieces() const { return body_->pieces.size(); }
    std::size_t piece_bytes(std::size_t index) const { return body_->pieces[index].bytes; }

  private:
    friend class Store;
    Entry() = default;
    std::shared_ptr<Blocks> blocks_;
    std::shared_ptr<const Body> body_;
    std::uint64_t group_ = 0;
    std::uint64_t sequence_ = 0;
    std::uint32_t record_block_ = 0;
    std::uint32_t record_bytes_ = 0;
};
using EntryRef = std::shared_ptr<const Entry>;

struct StoreLimits {
    std::uint64_t bytes = 0;      // of the file: at least 64 blocks
    std::uint64_t object_max = 0; // of one body
    std::size_t group_max = 32;   // answers in one group
    std::size_t entries_max = 262'144;
    std::size_t writers_max = 256; // bodies on their way in at once, each with a piece in memory
};

// One thread, until share(). Calls read and write through the page cache, a piece at a time, and
// wait for the disk only where the kernel does.
class Store {
  public:
    // Of an answer that is on its way in. Destruction without commit() leaves nothing behind.
    class Writer {
      public:
        ~Writer();
        Writer(const Writer&) = delete;
        Writer& operator=(const Writer&) = delete;
        // False: it is too large, there is no room, or the disk failed; nothing more is taken.
        bool append(std::string_view bytes);
        std::uint64_t bytes() const { return body_->bytes + pending_.size(); }
        // The answer is whole. Null: it could not be kept.
        EntryRef commit(std::uint64_t group, std::string_view label);

      private:
        friend class Store;
        explicit Writer(Store& store);
        bool write_out();
        Store& store_;
        std::shared_ptr<Entry::Body> body_;
        std::string pending_;
        bool failed_ = false;
    };

    // Takes over a file of any content, open for reading and writing, and makes it as large as
    // `limits` say. `id` is random: a file without a store of this shape becomes an empty one under
    // it. Code::usage: too small; failed: the file cannot be used.
    static Result<std::unique_ptr<Store>> open(Fd file, StoreLimits limits, std::uint64_t id);
    ~Store();
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;

    // From now on several threads use it, each a writer of its own. Before the second one does.
    // What they look up and change waits for its turn; bodies and labels are read, and written,
    // beside each other.
    void share();

    // Looks at the next blocks of what an earlier process left. True: there is more to look at. One
    // thread's affair.
    // Until the end nothing is found, and writer() gives null.
    bool recover(std::size_t blocks);
    bool ready() const { return ready_; }

    // What an answer is found by: the app, the target without the mount, so that an unsafe request
    // reaches it under every name of its app, and the owner. The same for equal ones as long as the
    // file lives; never 0.
    std::uint64_t group_of(std::string_view app, std::string_view target,
                           std::string_view mount) const;
    // Of the same, for one user.
    std::uint64_t group_of(std::uint64_t shared, std::string_view owner) const;
    // Those of a group, the newest first.
    std::vector<EntryRef> find(std::uint64_t group) const;
    // Its label, read from the disk; false: it is damaged, and dropped.
    bool label(const EntryRef& entry, std::string& into);
    // Piece `index` of its body, whole; false: it is damaged, and dropped.
    bool read(const EntryRef& entry, std::size_t index, std::string& into);
    void used(const EntryRef& entry);
    // Null: not ready, or too many at once.
    std::unique_ptr<Writer> writer();
    // The same body under another label; the old entry is dropped. Null: it could not be written,
    // and the old one stands; or that was dropped before.
    EntryRef relabel(const EntryRef& entry, std::string_view label);
    void drop(const EntryRef& entry);
    void drop_group(std::uint64_t group);

    std::size_t entries() const { return entries_; }
    std::uint64_t used_bytes() const;
    std::uint64_t evicted() const { return evicted_; } // since the start

  private:
    Store(Fd file, StoreLimits limits);
    using Order = std::list<EntryRef>;
    struct Found;
    EntryRef write(std::uint64_t group, std::shared_ptr<const Entry::Body> body,
                   std::string_view label);
    std::vector<EntryRef> in_group(std::uint64_t group) const; // with the lock
    EntryRef keep(std::uint64_t group, std::shared_ptr<const Entry::Body> body,
                  std::string_view label);
    void index(EntryRef entry);
    bool evict_one();
    bool room_for(std::size_t blocks, std::size_t at_once);
    void look_at(std::uint32_t block);
    void finish_recovery();
    bool read_record(std::uint32_t block, std::string& into) const;
    void wipe(std::uint32_t block);
    using Lock = std::unique_lock<std::recursive_mutex>;
    Lock lock() const { return shared_ ? Lock(mutex_) : Lock(mutex_, std::defer_lock); }

    mutable std::recursive_mutex mutex_; // of all below, once it is shared
    bool shared_ = false;
    Fd file_;
    StoreLimits limits_;
    std::uint64_t id_ = 0;
    std::uint64_t sequence_ = 0;
    std::atomic<std::uint64_t> evicted_{0};
    std::atomic<std::size_t> entries_{0}; // in order_, for who only counts
    std::size_t writers_ = 0;
    std::shared_ptr<Blocks> blocks_;
    Order order_; // the last used first
    std::unordered_map<const Entry*, Order::iterator> places_;
    std::unordered_multimap<std::uint64_t, EntryRef> groups_;
    std::uint32_t looked_at_ = 1;
    std::unique_ptr<std::vector<Found>> found_;
    std::atomic<bool> ready_{false};
};

} // namespace hasp::cache

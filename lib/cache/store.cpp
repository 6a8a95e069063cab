#include "cache/store.h"

#include "blocks.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <type_traits>
#include <unistd.h>

namespace hasp::cache {
namespace {

constexpr std::uint64_t file_magic = 0x31306568'63617068;   // of block 0
constexpr std::uint64_t record_magic = 0x31306364'72657268; // of a record
constexpr std::uint64_t blocks_min = 64;
constexpr std::uint64_t blocks_max = std::uint64_t{1} << 24; // 64 GiB
constexpr std::size_t record_bytes_max = 4 * 1024 * 1024;

// Not against an attacker, who cannot write to the file: against what a crash or a disk makes of
// it.
std::uint64_t mix(std::uint64_t value) {
    value ^= value >> 32;
    value *= 0xd6e8feb86659fd93U;
    value ^= value >> 32;
    return value;
}
std::uint64_t checksum(std::string_view bytes, std::uint64_t seed) {
    std::uint64_t out = mix(seed ^ (0x9e3779b97f4a7c15U + bytes.size()));
    while (bytes.size() >= 8) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes.data(), 8);
        out = mix(out ^ word) + 0x9e3779b97f4a7c15U;
        bytes.remove_prefix(8);
    }
    if (!bytes.empty()) {
        std::uint64_t word = 0;
        std::memcpy(&word, bytes.data(), bytes.size());
        out = mix(out ^ word ^ 0x2545f4914f6cdd1dU);
    }
    return mix(out);
}

// Written and read by the same machine: numbers lie as it has them.
struct Super {
    std::uint64_t magic;
    std::uint64_t blocks;
    std::uint64_t id;
    std::uint64_t sum;
};
// At the front of a record; pieces and the label follow.
struct RecordHead {
    std::uint64_t magic;
    std::uint64_t id;
    std::uint64_t sequence;
    std::uint64_t group;
    std::uint32_t bytes; // of the record
    std::uint32_t pieces;
    std::uint64_t sum; // of the record with 0 here
};
static_assert(std::is_trivially_copyable_v<RecordHead> && sizeof(RecordHead) == 48);
static_assert(sizeof(Entry::Piece) == 16);

off_t offset_of(std::uint32_t block) {
    return static_cast<off_t>(block) * static_cast<off_t>(block_bytes);
}

bool read_at(int fd, char* into, std::size_t bytes, off_t from) {
    while (bytes > 0) {
        const ssize_t got = ::pread(fd, into, bytes, from);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        into += got;
        from += got;
        bytes -= static_cast<std::size_t>(got);
    }
    return true;
}

bool write_at(int fd, std::string_view bytes, off_t to) {
    while (!bytes.empty()) {
        const ssize_t wrote = ::pwrite(fd, bytes.data(), bytes.size(), to);
        if (wrote < 0 && errno == EINTR) {
            continue;
        }
        if (wrote <= 0) {
            return false;
        }
        to += wrote;
        bytes.remove_prefix(static_cast<std::size_t>(wrote));
    }
    return true;
}

std::uint64_t sum_of_record(std::string record) {
    std::memset(record.data() + offsetof(RecordHead, sum), 0, sizeof(std::uint64_t));
    return checksum(record, record_magic);
}

RecordHead head_of(const std::string& record) {
    RecordHead head{};
    std::memcpy(&head, record.data(), sizeof head);
    return head;
}

} // namespace

struct Store::Found {
    std::uint32_t block;
    std::uint32_t bytes;
    std::uint64_t group;
    std::uint64_t sequence;
    std::vector<Entry::Piece> pieces;
};

Entry::Body::~Body() {
    for (const Piece& one : pieces) {
        blocks->give(one.block, blocks_of(one.bytes));
    }
}

Entry::~Entry() {
    if (record_bytes_ > 0) {
        blocks_->give(record_block_, blocks_of(record_bytes_));
    }
}

Store::Store(Fd file, StoreLimits limits) : file_(std::move(file)), limits_(limits) {}
Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::open(Fd file, StoreLimits limits, std::uint64_t id) {
    const std::uint64_t blocks = limits.bytes / block_bytes;
    if (blocks < blocks_min || blocks > blocks_max) {
        return fail(Code::usage, "a cache of this size cannot be made");
    }
    if (::ftruncate(file.get(), static_cast<off_t>(blocks * block_bytes)) != 0) {
        return errno_error(errno, "the cache's file cannot be made as large as it is to be");
    }
    std::unique_ptr<Store> store(new Store(std::move(file), limits));
    store->blocks_ = std::make_shared<Blocks>(static_cast<std::uint32_t>(blocks));
    store->blocks_->take(0, 1);
    const auto sum = [](const Super& one) {
        return checksum({reinterpret_cast<const char*>(&one), offsetof(Super, sum)}, file_magic);
    };
    Super super{};
    const int fd = store->file_.get();
    if (!read_at(fd, reinterpret_cast<char*>(&super), sizeof super, 0) ||
        super.magic != file_magic || super.blocks != blocks || super.sum != sum(super)) {
        super = {file_magic, blocks, id, 0};
        super.sum = sum(super);
        if (!write_at(fd, {reinterpret_cast<const char*>(&super), sizeof super}, 0)) {
            return errno_error(errno, "the cache's file cannot be written");
        }
        store->ready_ = true; // records of another id are nothing to this one
    } else {
        store->found_ = std::make_unique<std::vector<Found>>();
    }
    store->id_ = super.id;
    return store;
}

void Store::share() {
    shared_ = true;
    blocks_->share();
}

bool Store::recover(std::size_t blocks) {
    for (std::size_t i = 0; i < blocks && !ready_; ++i) {
        const off_t data = ::lseek(file_.get(), offset_of(looked_at_), SEEK_DATA);
        if (data < 0 && errno == ENXIO) {
            looked_at_ = blocks_->count();
        } else if (data >= 0) {
            looked_at_ = std::max(
                looked_at_, static_cast<std::uint32_t>(data / static_cast<off_t>(block_bytes)));
        }
        if (looked_at_ >= blocks_->count()) {
            finish_recovery();
        } else {
            look_at(looked_at_++);
        }
    }
    return !ready_;
}

bool Store::read_record(std::uint32_t block, std::string& into) const {
    RecordHead head{};
    if (!read_at(file_.get(), reinterpret_cast<char*>(&head), sizeof head, offset_of(block)) ||
        head.magic != record_magic || head.id != id_ || head.bytes < sizeof head ||
        head.bytes > record_bytes_max || block + blocks_of(head.bytes) > blocks_->count() ||
        head.pieces > (head.bytes - sizeof head) / sizeof(Entry::Piece)) {
        return false;
    }
    into.resize(head.bytes);
    return read_at(file_.get(), into.data(), into.size(), offset_of(block)) &&
           head_of(into).sum == sum_of_record(into);
}

void Store::look_at(std::uint32_t block) {
    std::string record;
    if (!read_record(block, record) || found_->size() >= limits_.entries_max) {
        return;
    }
    const RecordHead head = head_of(record);
    Found one{block, head.bytes, head.group, head.sequence, {}};
    one.pieces.resize(head.pieces);
    std::memcpy(one.pieces.data(), record.data() + sizeof head, head.pieces * sizeof(Entry::Piece));
    for (const Entry::Piece& piece : one.pieces) {
        if (piece.bytes == 0 || piece.bytes > piece_bytes_max ||
            std::uint64_t{piece.block} + blocks_of(piece.bytes) > blocks_->count()) {
            return;
        }
    }
    found_->push_back(std::move(one));
}

// Of two records that claim the same block the newer is right: the older was to be wiped when the
// machine stopped.
void Store::finish_recovery() {
    const Lock guard = lock();
    std::sort(found_->begin(), found_->end(),
              [](const Found& a, const Found& b) { return a.sequence > b.sequence; });
    std::vector<EntryRef> kept;
    for (Found& one : *found_) {
        sequence_ = std::max(sequence_, one.sequence);
        std::vector<std::pair<std::uint32_t, std::uint32_t>> runs{
            {one.block, blocks_of(one.bytes)}};
        for (const Entry::Piece& piece : one.pieces) {
            runs.emplace_back(piece.block, blocks_of(piece.bytes));
        }
        std::size_t claimed = 0;
        bool good = true;
        for (; claimed < runs.size() && good; ++claimed) {
            for (std::uint32_t b = runs[claimed].first;
                 b < runs[claimed].first + runs[claimed].second; ++b) {
                good = good && !blocks_->taken(b);
            }
            if (good) {
                blocks_->take(runs[claimed].first, runs[claimed].second);
            }
        }
        if (!good) {
            for (std::size_t i = 0; i + 1 < claimed; ++i) {
                blocks_->give(runs[i].first, runs[i].second);
            }
            continue;
        }
        auto body = std::make_shared<Entry::Body>(blocks_);
        body->pieces = std::move(one.pieces);
        for (const Entry::Piece& piece : body->pieces) {
            body->bytes += piece.bytes;
        }
        const std::shared_ptr<Entry> entry(new Entry());
        entry->blocks_ = blocks_;
        entry->body_ = std::move(body);
        entry->group_ = one.group;
        entry->sequence_ = one.sequence;
        entry->record_block_ = one.block;
        entry->record_bytes_ = one.bytes;
        kept.push_back(entry);
    }
    found_.reset();
    for (auto entry = kept.rbegin(); entry != kept.rend(); ++entry) {
        index(*entry);
    }
    ready_ = true; // last: until then others do not wait for the lock
}

std::uint64_t Store::group_of(std::string_view app, std::string_view target,
                              std::string_view mount) const {
    if (target.starts_with(mount)) {
        target.remove_prefix(mount.size());
    }
    return checksum(target, checksum(app, id_)) | 1;
}

std::uint64_t Store::group_of(std::uint64_t shared, std::string_view owner) const {
    return checksum(owner, shared) | 1;
}

std::vector<EntryRef> Store::find(std::uint64_t group) const {
    if (!ready_) {
        return {};
    }
    const Lock guard = lock();
    return in_group(group);
}

std::vector<EntryRef> Store::in_group(std::uint64_t group) const {
    std::vector<EntryRef> out;
    const auto [from, to] = groups_.equal_range(group);
    for (auto one = from; one != to; ++one) {
        out.push_back(one->second);
    }
    if (out.size() > 1) {
        std::sort(out.begin(), out.end(), [](const EntryRef& a, const EntryRef& b) {
            return a->sequence() > b->sequence();
        });
    }
    return out;
}

bool Store::label(const EntryRef& entry, std::string& into) {
    std::string record;
    if (!read_record(entry->record_block_, record) ||
        head_of(record).sequence != entry->sequence_) {
        drop(entry);
        return false;
    }
    into.assign(record, sizeof(RecordHead) + head_of(record).pieces * sizeof(Entry::Piece));
    return true;
}

bool Store::read(const EntryRef& entry, std::size_t at, std::string& into) {
    const Entry::Piece& piece = entry->body_->pieces[at];
    into.resize(piece.bytes);
    if (!read_at(file_.get(), into.data(), into.size(), offset_of(piece.block)) ||
        checksum(into, piece.block) != piece.sum) {
        drop(entry);
        return false;
    }
    return true;
}

void Store::used(const EntryRef& entry) {
    const Lock guard = lock();
    if (const auto place = places_.find(entry.get()); place != places_.end()) {
        order_.splice(order_.begin(), order_, place->second);
    }
}

std::unique_ptr<Store::Writer> Store::writer() {
    if (!ready_) {
        return nullptr;
    }
    const Lock guard = lock();
    if (writers_ >= limits_.writers_max) {
        return nullptr;
    }
    return std::unique_ptr<Writer>(new Writer(*this));
}

void Store::index(EntryRef entry) {
    const std::vector<EntryRef> same = in_group(entry->group());
    if (same.size() >= limits_.group_max) {
        drop(same.back());
    }
    if (order_.size() >= limits_.entries_max) {
        evict_one();
    }
    order_.push_front(entry);
    places_[entry.get()] = order_.begin();
    groups_.emplace(entry->group(), std::move(entry));
    entries_ = order_.size();
}

bool Store::evict_one() {
    if (order_.empty()) {
        return false;
    }
    ++evicted_;
    drop(EntryRef(order_.back()));
    return true;
}

// Frees what was used longest ago until there are so many blocks, and `at_once` of them together.
bool Store::room_for(std::size_t blocks, std::size_t at_once) {
    for (;;) {
        if (blocks_->free() >= blocks) {
            if (at_once <= 1) {
                return true;
            }
            const auto most = static_cast<std::uint32_t>(at_once);
            const Blocks::Run run = blocks_->take_run(most, most);
            if (run.count > 0) {
                blocks_->give(run.first, run.count);
                return true;
            }
        }
        if (!evict_one()) {
            return false;
        }
    }
}

// Its record is in the file, and it is not found yet. Null: it could not be written.
EntryRef Store::write(std::uint64_t group, std::shared_ptr<const Entry::Body> body,
                      std::string_view label) {
    Lock guard = lock();
    const std::size_t pieces_bytes = body->pieces.size() * sizeof(Entry::Piece);
    const std::size_t bytes = sizeof(RecordHead) + pieces_bytes + label.size();
    const std::uint32_t wanted = blocks_of(bytes);
    if (label.size() > label_bytes_max || bytes > record_bytes_max || !room_for(wanted, wanted)) {
        return nullptr;
    }
    const Blocks::Run run = blocks_->take_run(wanted, wanted);
    if (run.count == 0) {
        return nullptr;
    }
    const std::shared_ptr<Entry> entry(new Entry());
    entry->blocks_ = blocks_;
    entry->group_ = group;
    entry->sequence_ = ++sequence_;
    entry->record_block_ = run.first;
    entry->record_bytes_ = static_cast<std::uint32_t>(bytes);
    if (guard.owns_lock()) {
        guard.unlock(); // nobody else has the blocks
    }
    RecordHead head{record_magic,
                    id_,
                    entry->sequence_,
                    group,
                    entry->record_bytes_,
                    static_cast<std::uint32_t>(body->pieces.size()),
                    0};
    std::string record(reinterpret_cast<const char*>(&head), sizeof head);
    record.append(reinterpret_cast<const char*>(body->pieces.data()), pieces_bytes).append(label);
    head.sum = sum_of_record(record);
    std::memcpy(record.data(), &head, sizeof head);
    entry->body_ = std::move(body);
    if (!write_at(file_.get(), record, offset_of(run.first))) {
        wipe(run.first);
        return nullptr;
    }
    return entry;
}

EntryRef Store::keep(std::uint64_t group, std::shared_ptr<const Entry::Body> body,
                     std::string_view label) {
    const EntryRef entry = write(group, std::move(body), label);
    if (entry != nullptr) {
        const Lock guard = lock();
        index(entry);
    }
    return entry;
}

EntryRef Store::relabel(const EntryRef& entry, std::string_view label) {
    EntryRef out = write(entry->group(), entry->body_, label);
    if (out == nullptr) {
        return nullptr;
    }
    const Lock guard = lock();
    if (places_.find(entry.get()) == places_.end()) { // dropped meanwhile: so is this one
        wipe(out->record_block_);
        return nullptr;
    }
    index(out);
    drop(entry);
    return out;
}

void Store::wipe(std::uint32_t block) {
    constexpr std::string_view nothing{"\0\0\0\0\0\0\0\0", 8};
    write_at(file_.get(), nothing, offset_of(block));
}

void Store::drop(const EntryRef& given) {
    const EntryRef entry = given; // it may be the list's own
    const Lock guard = lock();
    const auto place = places_.find(entry.get());
    if (place == places_.end()) {
        return;
    }
    wipe(entry->record_block_);
    order_.erase(place->second);
    places_.erase(place);
    entries_ = order_.size();
    const auto [from, to] = groups_.equal_range(entry->group());
    const auto same =
        std::find_if(from, to, [&entry](const auto& one) { return one.second == entry; });
    if (same != to) {
        groups_.erase(same);
    }
}

void Store::drop_group(std::uint64_t group) {
    for (const EntryRef& one : find(group)) {
        drop(one);
    }
}

std::uint64_t Store::used_bytes() const {
    return std::uint64_t{blocks_->count() - blocks_->free()} * block_bytes;
}

Store::Writer::Writer(Store& store)
    : store_(store), body_(std::make_shared<Entry::Body>(store.blocks_)) {
    ++store_.writers_;
}

Store::Writer::~Writer() {
    const Lock guard = store_.lock();
    --store_.writers_;
}

bool Store::Writer::append(std::string_view bytes) {
    if (failed_ || this->bytes() + bytes.size() > store_.limits_.object_max) {
        failed_ = true;
        return false;
    }
    while (!bytes.empty() && !failed_) {
        const std::size_t part = std::min(bytes.size(), piece_bytes_max - pending_.size());
        pending_.append(bytes.substr(0, part));
        bytes.remove_prefix(part);
        if (pending_.size() == piece_bytes_max) {
            failed_ = !write_out();
        }
    }
    return !failed_;
}

bool Store::Writer::write_out() {
    std::string_view left = pending_;
    while (!left.empty()) {
        const std::uint32_t wanted = blocks_of(left.size());
        Lock guard = store_.lock();
        if (!store_.room_for(wanted, 1)) {
            return false;
        }
        const Blocks::Run run = store_.blocks_->take_run(1, wanted);
        if (guard.owns_lock()) {
            guard.unlock(); // nobody else has the blocks
        }
        if (run.count == 0) {
            return false;
        }
        const std::string_view part =
            left.substr(0, std::min<std::size_t>(left.size(), run.count * block_bytes));
        // Its blocks belong to the body from here on, and go back with it.
        body_->pieces.push_back(
            {run.first, static_cast<std::uint32_t>(part.size()), checksum(part, run.first)});
        body_->bytes += part.size();
        if (!write_at(store_.file_.get(), part, offset_of(run.first))) {
            return false;
        }
        left.remove_prefix(part.size());
    }
    pending_.clear();
    return true;
}

EntryRef Store::Writer::commit(std::uint64_t group, std::string_view label) {
    if (failed_ || (!pending_.empty() && !write_out())) {
        return nullptr;
    }
    pending_ = {};
    return store_.keep(group, body_, label);
}

} // namespace hasp::cache

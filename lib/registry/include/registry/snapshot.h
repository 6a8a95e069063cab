// The registry as front sees it: one sealed, read-only memory file, mapped. Flat and offset-based,
// so that a million entries cost one mmap. Byte layout: SNAPSHOT.md. Bounds are checked once, when
// it is mapped; look-ups trust them.
#pragma once

#include "base/fd.h"
#include "base/result.h"
#include "registry/spec.h"

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::registry {

inline constexpr std::uint32_t apps_max = 1'000'000;
inline constexpr std::uint32_t hosts_max = 2'000'000;
inline constexpr std::uint64_t snapshot_bytes_max = std::uint64_t{1} << 31;

// SipHash-2-4 with a fixed key: of app names in identities and tables. Names come from manifests,
// so it need not be keyed anew.
std::uint64_t name_hash(std::string_view name);

namespace layout {
// A string of the pool: offset from the file's start and length. 8 bytes.
struct Text {
    std::uint32_t offset;
    std::uint32_t size;
};
// A run of Texts in the list area.
struct TextList {
    std::uint32_t first;
    std::uint32_t count;
};
struct Row {
    Text name, title, child, prefix_header, static_root, static_index, upstream_host, upstream_base,
        dial_path, data_home, release;
    Text identity[4]; // user, name, email, groups
    TextList upstream_addresses;
    std::int64_t lease_expires_us;
    std::uint64_t hash;
    std::uint8_t route, kind, access, instance, mount, strip_prefix, static_spa, upstream_tls;
    std::uint8_t at_expiry, unused[7];
};
struct Header;
struct Slot;
} // namespace layout

class Snapshot;

// One app of a snapshot: a view, valid as long as the snapshot. Copy freely.
class App {
  public:
    App() = default;
    std::string_view name() const { return text(row_->name); }
    std::string_view title() const { return text(row_->title); }
    Route route() const { return Route{row_->route}; }
    std::string_view child() const { return text(row_->child); }
    Kind kind() const { return Kind{row_->kind}; }
    Access access() const { return Access{row_->access}; }
    Instance instance() const { return Instance{row_->instance}; }
    Mount mount() const { return Mount{row_->mount}; }
    bool strip_prefix() const { return row_->strip_prefix != 0; }
    // index 0..3: user, name, email, groups; empty: not sent.
    std::string_view identity_header(std::size_t index) const {
        return text(row_->identity[index]);
    }
    std::string_view prefix_header() const { return text(row_->prefix_header); }
    std::string_view static_root() const { return text(row_->static_root); }
    std::string_view static_index() const { return text(row_->static_index); }
    bool static_spa() const { return row_->static_spa != 0; }
    std::size_t upstream_count() const { return row_->upstream_addresses.count; }
    std::string_view upstream_address(std::size_t index) const;
    bool upstream_tls() const { return row_->upstream_tls != 0; }
    std::string_view upstream_host() const { return text(row_->upstream_host); }
    std::string_view upstream_base() const { return text(row_->upstream_base); }
    std::string_view dial_path() const { return text(row_->dial_path); }
    std::int64_t lease_expires_us() const { return row_->lease_expires_us; }
    AtExpiry at_expiry() const { return AtExpiry{row_->at_expiry}; }
    std::string_view data_home() const { return text(row_->data_home); }
    // The release that answers; empty where that is not known.
    std::string_view release() const { return text(row_->release); }
    // name_hash(name()): the key of entitlements.
    std::uint64_t hash() const { return row_->hash; }

    explicit operator bool() const { return row_ != nullptr; }

  private:
    friend class Snapshot;
    App(const char* base, const layout::Text* lists, const layout::Row* row)
        : base_(base), lists_(lists), row_(row) {}
    std::string_view text(layout::Text t) const { return {base_ + t.offset, t.size}; }
    const char* base_ = nullptr;
    const layout::Text* lists_ = nullptr;
    const layout::Row* row_ = nullptr;
};

// Builds and seals the memory file (F_SEAL_WRITE, GROW, SHRINK, SEAL). Code::usage names the entry
// that is not valid: a name or host twice, a bad pattern, a limit exceeded. Keeper only; linear in
// the number of apps.
Result<Fd> build_snapshot(const SnapshotSpec& spec);
// The same bytes without the memory file; for tests and fuzzing.
Result<std::string> build_snapshot_bytes(const SnapshotSpec& spec);

// Immutable; any thread. Share it by shared_ptr: it is unmapped with its last owner.
class Snapshot {
  public:
    // Maps a memory file that must bear all four seals. Code::refused when it is no valid snapshot
    // of this version.
    static Result<std::shared_ptr<const Snapshot>> map(int fd);
    // Over a copy of `bytes`; for tests and fuzzing.
    static Result<std::shared_ptr<const Snapshot>> from_bytes(std::string_view bytes);

    Snapshot(const Snapshot&) = delete;
    Snapshot& operator=(const Snapshot&) = delete;
    ~Snapshot();

    // O(1), no allocation, the same work for ten apps and for a hundred thousand. A false App when
    // there is none.
    App find(std::string_view name) const;
    // By a host of a manifest or by the pattern app_host; `host` in lower case and without port.
    // The pattern may name an app that the snapshot does not hold: see app_of_host.
    App find_host(std::string_view host) const;
    // The app's name in `host` by the pattern; empty when the pattern does not match or the name is
    // not valid.
    std::string_view app_of_host(std::string_view host) const;
    bool is_portal_host(std::string_view host) const;
    std::string_view first_portal_host() const; // empty: none is named

    std::string_view tier() const;
    std::uint64_t generation() const;
    bool has_parent() const;
    std::int64_t clock_offset_us() const; // SnapshotSpec::clock_offset_us
    std::string_view app_host() const;
    std::uint32_t size() const;
    App at(std::uint32_t index) const; // precondition: index < size()
    // Header names that must never come from outside: lower case, sorted, without duplicates.
    std::size_t stripped_count() const;
    std::string_view stripped(std::size_t index) const;
    bool is_stripped(std::string_view lower_name) const;

  private:
    Snapshot() = default;
    Status check();
    App app(std::uint32_t index) const;

    const char* base_ = nullptr;
    std::size_t size_ = 0;
    void* mapped_ = nullptr;
    std::unique_ptr<char[]> owned_;
    const layout::Header* header_ = nullptr;
    const layout::Row* rows_ = nullptr;
    const layout::Text* lists_ = nullptr;
    const layout::Slot* app_slots_ = nullptr;
    const layout::Slot* host_slots_ = nullptr;
};

} // namespace hasp::registry

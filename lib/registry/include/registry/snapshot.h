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
// One address of an upstream app.
struct Address {
    Text address, host, base;
    std::uint32_t weight;
    std::uint32_t tls;
};
// A run of Addresses, and when they count as down.
struct Upstream {
    std::uint32_t first, count;
    Text health_path;
    std::uint32_t interval_ms, timeout_ms, error_window_ms;
    std::uint16_t status_min, status_max;
    std::uint8_t fails, passes, errors, unused[5];
};
struct Row {
    Text name, title, child, prefix_header, static_root, static_index, dial_path, data_home,
        release;
    Text identity[4];                 // user, name, email, groups
    TextList set_request, set_answer; // each name before its value
    TextList drop_answer;
    std::int64_t lease_expires_us;
    std::uint64_t hash;
    std::uint32_t upstream; // index of its Upstream + 1; 0: none
    std::uint8_t route, kind, access, instance, mount, strip_prefix, static_spa, at_expiry;
    std::uint8_t uncompressed, direct;
    std::uint16_t body_mib_max; // of a request; 0: the tier's own limit alone
};
// Where the parts of a mapped snapshot lie.
struct Tables {
    const char* base = nullptr;
    const Text* lists = nullptr;
    const Upstream* upstreams = nullptr;
    const Address* addresses = nullptr;
};
struct Header;
struct Slot;
} // namespace layout

class Snapshot;

// Views into a snapshot: see UpstreamAddress, UpstreamHealth and HeaderField in spec.h.
struct AddressView {
    std::string_view address, host, base_path;
    std::uint32_t weight = 1;
    bool tls = false;
};
struct HealthView {
    std::string_view path;
    std::uint32_t interval_ms = 0, timeout_ms = 0, error_window_ms = 0;
    std::uint16_t status_min = 0, status_max = 0;
    std::uint8_t fails = 1, passes = 1, errors = 1;
};
struct FieldView {
    std::string_view name, value;
};

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
    bool compress() const { return row_->uncompressed == 0; }
    // Of a request's body; 0: the tier's own limit alone.
    std::uint64_t body_bytes_max() const { return std::uint64_t{row_->body_mib_max} << 20; }
    Direct direct() const { return Direct{row_->direct}; }
    std::size_t upstream_count() const { return row_->upstream == 0 ? 0 : upstream().count; }
    AddressView upstream_address(std::size_t index) const;
    // Precondition: upstream_count() > 0.
    HealthView upstream_health() const;
    // Of the header map, in the manifest's order.
    std::size_t set_request_count() const { return row_->set_request.count / 2; }
    FieldView set_request(std::size_t index) const { return field(row_->set_request, index); }
    std::size_t set_answer_count() const { return row_->set_answer.count / 2; }
    FieldView set_answer(std::size_t index) const { return field(row_->set_answer, index); }
    std::size_t drop_answer_count() const { return row_->drop_answer.count; }
    std::string_view drop_answer(std::size_t index) const {
        return text(tables_->lists[row_->drop_answer.first + index]);
    }
    // The header map has something to say about answers.
    bool maps_answers() const {
        return row_->drop_answer.count != 0 || row_->set_answer.count != 0;
    }
    std::string_view dial_path() const { return text(row_->dial_path); }
    std::int64_t lease_expires_us() const { return row_->lease_expires_us; }
    AtExpiry at_expiry() const { return AtExpiry{row_->at_expiry}; }
    std::string_view data_home() const { return text(row_->data_home); }
    // The release that answers; empty where that is not known.
    std::string_view release() const { return text(row_->release); }
    // name_hash(name()): the key of entitlements.
    std::uint64_t hash() const { return row_->hash; }

    explicit operator bool() const { return row_ != nullptr; }
    // The same entry of the same snapshot.
    bool operator==(const App&) const = default;

  private:
    friend class Snapshot;
    App(const layout::Tables* tables, const layout::Row* row) : tables_(tables), row_(row) {}
    std::string_view text(layout::Text t) const { return {tables_->base + t.offset, t.size}; }
    FieldView field(layout::TextList list, std::size_t index) const {
        const layout::Text* const at = tables_->lists + list.first + 2 * index;
        return {text(at[0]), text(at[1])};
    }
    const layout::Upstream& upstream() const { return tables_->upstreams[row_->upstream - 1]; }
    const layout::Tables* tables_ = nullptr;
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

    layout::Tables tables_;
    std::size_t size_ = 0;
    void* mapped_ = nullptr;
    std::unique_ptr<char[]> owned_;
    const layout::Header* header_ = nullptr;
    const layout::Row* rows_ = nullptr;
    const layout::Slot* app_slots_ = nullptr;
    const layout::Slot* host_slots_ = nullptr;
};

} // namespace hasp::registry

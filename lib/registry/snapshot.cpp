#include "registry/snapshot.h"

#include "base/text.h"
#include "layout.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

namespace hasp::registry {
namespace {

constexpr std::string_view refused_text = "the descriptor is not a snapshot of the registry";

std::string_view text_at(const char* base, layout::Text t) {
    return {base + t.offset, t.size};
}

// Index of the row with `key`, or -1.
std::int64_t probe(const char* base, const layout::Slot* slots, std::uint32_t mask,
                   std::string_view key) {
    const std::uint64_t hash = name_hash(key);
    const auto tag = static_cast<std::uint32_t>(hash >> 32);
    for (std::uint32_t at = static_cast<std::uint32_t>(hash) & mask;; at = (at + 1) & mask) {
        const layout::Slot& slot = slots[at];
        if (slot.app == 0) {
            return -1;
        }
        if (slot.tag == tag && text_at(base, slot.key) == key) {
            return static_cast<std::int64_t>(slot.app) - 1;
        }
    }
}

} // namespace

AddressView App::upstream_address(std::size_t index) const {
    const layout::Address& one = tables_->addresses[upstream().first + index];
    return {text(one.address), text(one.host), text(one.base), one.weight, one.tls != 0};
}

HealthView App::upstream_health() const {
    const layout::Upstream& of = upstream();
    return {text(of.health_path), of.interval_ms, of.timeout_ms, of.error_window_ms, of.status_min,
            of.status_max,        of.fails,       of.passes,     of.errors};
}

Result<std::shared_ptr<const Snapshot>> Snapshot::map(int fd) {
    struct stat seen {};
    constexpr int all_seals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    const int seals = ::fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & all_seals) != all_seals) {
        return fail(Code::refused, std::string(refused_text) + ": it is not sealed");
    }
    if (::fstat(fd, &seen) != 0 || seen.st_size < static_cast<off_t>(sizeof(layout::Header)) ||
        static_cast<std::uint64_t>(seen.st_size) > snapshot_bytes_max) {
        return fail(Code::refused, std::string(refused_text) + ": its size is wrong");
    }
    const auto size = static_cast<std::size_t>(seen.st_size);
    void* memory = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
    if (memory == MAP_FAILED) {
        return errno_error(errno, "cannot map the snapshot of the registry");
    }
    std::shared_ptr<Snapshot> snapshot(new Snapshot);
    snapshot->mapped_ = memory;
    snapshot->tables_.base = static_cast<const char*>(memory);
    snapshot->size_ = size;
    if (Status status = snapshot->check(); !status) {
        return status.error();
    }
    return std::shared_ptr<const Snapshot>(std::move(snapshot));
}

Result<std::shared_ptr<const Snapshot>> Snapshot::from_bytes(std::string_view bytes) {
    if (bytes.size() < sizeof(layout::Header) || bytes.size() > snapshot_bytes_max) {
        return fail(Code::refused, "a snapshot of the registry cannot have this size");
    }
    std::shared_ptr<Snapshot> snapshot(new Snapshot);
    snapshot->owned_ = std::make_unique<char[]>(bytes.size());
    std::memcpy(snapshot->owned_.get(), bytes.data(), bytes.size());
    snapshot->tables_.base = snapshot->owned_.get();
    snapshot->size_ = bytes.size();
    if (Status status = snapshot->check(); !status) {
        return status.error();
    }
    return std::shared_ptr<const Snapshot>(std::move(snapshot));
}

Snapshot::~Snapshot() {
    if (mapped_ != nullptr) {
        ::munmap(mapped_, size_);
    }
}

App Snapshot::app(std::uint32_t index) const {
    return App(&tables_, rows_ + index);
}

App Snapshot::at(std::uint32_t index) const {
    return app(index);
}

App Snapshot::find(std::string_view name) const {
    const std::int64_t index = probe(tables_.base, app_slots_, header_->app_mask, name);
    return index < 0 ? App{} : app(static_cast<std::uint32_t>(index));
}

App Snapshot::find_host(std::string_view host) const {
    const std::int64_t index = probe(tables_.base, host_slots_, header_->host_mask, host);
    if (index >= 0) {
        return app(static_cast<std::uint32_t>(index));
    }
    const std::string_view name = app_of_host(host);
    return name.empty() ? App{} : find(name);
}

std::string_view Snapshot::app_of_host(std::string_view host) const {
    const std::string_view before = text_at(tables_.base, header_->host_before);
    const std::string_view after = text_at(tables_.base, header_->host_after);
    if (after.empty() || host.size() <= before.size() + after.size() || !host.starts_with(before) ||
        !host.ends_with(after)) {
        return {};
    }
    const std::string_view name =
        host.substr(before.size(), host.size() - before.size() - after.size());
    return valid_name(name) ? name : std::string_view{};
}

bool Snapshot::is_portal_host(std::string_view host) const {
    if (header_->portal_hosts.count == 0) {
        return true;
    }
    for (std::uint32_t i = 0; i < header_->portal_hosts.count; ++i) {
        if (text_at(tables_.base, tables_.lists[header_->portal_hosts.first + i]) == host) {
            return true;
        }
    }
    return false;
}

std::string_view Snapshot::first_portal_host() const {
    const layout::TextList hosts = header_->portal_hosts;
    return hosts.count == 0 ? std::string_view{}
                            : text_at(tables_.base, tables_.lists[hosts.first]);
}
std::string_view Snapshot::tier() const {
    return text_at(tables_.base, header_->tier);
}
std::int64_t Snapshot::clock_offset_us() const {
    return header_->clock_offset_us;
}
std::uint64_t Snapshot::generation() const {
    return header_->generation;
}
bool Snapshot::has_parent() const {
    return header_->has_parent != 0;
}
std::string_view Snapshot::app_host() const {
    return text_at(tables_.base, header_->app_host);
}
std::uint32_t Snapshot::size() const {
    return header_->app_count;
}
std::size_t Snapshot::stripped_count() const {
    return header_->stripped.count;
}
std::string_view Snapshot::stripped(std::size_t index) const {
    return text_at(tables_.base, tables_.lists[header_->stripped.first + index]);
}

bool Snapshot::is_stripped(std::string_view lower_name) const {
    // Most names are told apart by their length alone.
    if ((header_->stripped_sizes >> (lower_name.size() % 64) & 1U) == 0) {
        return false;
    }
    const layout::Text* first = tables_.lists + header_->stripped.first;
    const layout::Text* last = first + header_->stripped.count;
    const layout::Text* found =
        std::lower_bound(first, last, lower_name, [this](layout::Text t, std::string_view name) {
            return text_at(tables_.base, t) < name;
        });
    return found != last && text_at(tables_.base, *found) == lower_name;
}

} // namespace hasp::registry

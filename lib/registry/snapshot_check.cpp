// Everything that a look-up will trust, checked once: after this no offset can leave the map and no
// probe can run for ever.
#include "layout.h"
#include "registry/snapshot.h"

#include <bit>

namespace hasp::registry {
namespace {

class Bounds {
  public:
    Bounds(std::uint64_t size, std::uint32_t list_count) : size_(size), list_count_(list_count) {}
    bool holds(layout::Text t) const { return std::uint64_t{t.offset} + t.size <= size_; }
    bool holds(layout::TextList l) const { return std::uint64_t{l.first} + l.count <= list_count_; }
    bool holds_table(std::uint32_t offset, std::uint64_t count, std::size_t one) const {
        return offset % 8 == 0 && offset + count * one <= size_;
    }

  private:
    std::uint64_t size_;
    std::uint32_t list_count_;
};

bool row_is_sound(const Bounds& bounds, const layout::Row& row, std::uint32_t upstream_count) {
    for (const layout::Text t :
         {row.name, row.title, row.child, row.prefix_header, row.static_root, row.static_index,
          row.dial_path, row.data_home, row.release, row.identity[0], row.identity[1],
          row.identity[2], row.identity[3]}) {
        if (!bounds.holds(t)) {
            return false;
        }
    }
    for (const layout::TextList list : {row.set_request, row.set_answer, row.drop_answer}) {
        if (!bounds.holds(list) || list.count > 2 * mapped_headers_max) {
            return false;
        }
    }
    return row.upstream <= upstream_count && row.route <= 4 && row.kind <= 3 && row.access <= 1 &&
           row.instance <= 1 && row.mount <= 2 && row.at_expiry <= 2 && row.direct <= 2;
}

bool upstream_is_sound(const Bounds& bounds, const layout::Upstream& one,
                       std::uint32_t address_count) {
    return bounds.holds(one.health_path) && one.count <= upstream_addresses_max &&
           std::uint64_t{one.first} + one.count <= address_count && one.fails > 0 &&
           one.passes > 0 && one.errors > 0 && one.interval_ms > 0 && one.timeout_ms > 0;
}

bool address_is_sound(const Bounds& bounds, const layout::Address& one) {
    return bounds.holds(one.address) && bounds.holds(one.host) && bounds.holds(one.base) &&
           one.weight > 0 && one.weight <= upstream_weight_max;
}

bool slots_are_sound(const Bounds& bounds, const layout::Slot* slots, std::uint32_t mask,
                     std::uint32_t app_count) {
    std::uint64_t used = 0;
    for (std::uint64_t i = 0; i <= mask; ++i) {
        if (slots[i].app > app_count || !bounds.holds(slots[i].key)) {
            return false;
        }
        used += slots[i].app != 0 ? 1 : 0;
    }
    return used * 2 <= std::uint64_t{mask} + 1;
}

} // namespace

Status Snapshot::check() {
    const auto bad = [](const char* what) {
        return fail(Code::refused, std::string("the snapshot of the registry is damaged: ") + what,
                    "keeper and front must be of the same version");
    };
    const auto* header = reinterpret_cast<const layout::Header*>(tables_.base);
    if (header->magic != layout::magic || header->version != layout::version ||
        header->size != size_) {
        return bad("its head is of another version");
    }
    const Bounds bounds(size_, header->list_count);
    const std::uint64_t app_slots = std::uint64_t{header->app_mask} + 1;
    const std::uint64_t host_slots = std::uint64_t{header->host_mask} + 1;
    if (!std::has_single_bit(app_slots) || !std::has_single_bit(host_slots) ||
        !bounds.holds_table(header->rows, header->app_count, sizeof(layout::Row)) ||
        !bounds.holds_table(header->lists, header->list_count, sizeof(layout::Text)) ||
        !bounds.holds_table(header->upstreams, header->upstream_count, sizeof(layout::Upstream)) ||
        !bounds.holds_table(header->addresses, header->address_count, sizeof(layout::Address)) ||
        !bounds.holds_table(header->app_slots, app_slots, sizeof(layout::Slot)) ||
        !bounds.holds_table(header->host_slots, host_slots, sizeof(layout::Slot))) {
        return bad("a table lies outside of it");
    }
    for (const layout::Text t :
         {header->tier, header->app_host, header->host_before, header->host_after}) {
        if (!bounds.holds(t)) {
            return bad("a text lies outside of it");
        }
    }
    if (!bounds.holds(header->portal_hosts) || !bounds.holds(header->stripped)) {
        return bad("a list lies outside of it");
    }
    header_ = header;
    rows_ = reinterpret_cast<const layout::Row*>(tables_.base + header->rows);
    tables_.lists = reinterpret_cast<const layout::Text*>(tables_.base + header->lists);
    tables_.upstreams = reinterpret_cast<const layout::Upstream*>(tables_.base + header->upstreams);
    tables_.addresses = reinterpret_cast<const layout::Address*>(tables_.base + header->addresses);
    app_slots_ = reinterpret_cast<const layout::Slot*>(tables_.base + header->app_slots);
    host_slots_ = reinterpret_cast<const layout::Slot*>(tables_.base + header->host_slots);
    for (std::uint32_t i = 0; i < header->list_count; ++i) {
        if (!bounds.holds(tables_.lists[i])) {
            return bad("a text of a list lies outside of it");
        }
    }
    for (std::uint32_t i = 0; i < header->app_count; ++i) {
        if (!row_is_sound(bounds, rows_[i], header->upstream_count)) {
            return bad("an app's row is wrong");
        }
    }
    for (std::uint32_t i = 0; i < header->upstream_count; ++i) {
        if (!upstream_is_sound(bounds, tables_.upstreams[i], header->address_count)) {
            return bad("an upstream is wrong");
        }
    }
    for (std::uint32_t i = 0; i < header->address_count; ++i) {
        if (!address_is_sound(bounds, tables_.addresses[i])) {
            return bad("an address of an upstream is wrong");
        }
    }
    if (!slots_are_sound(bounds, app_slots_, header->app_mask, header->app_count) ||
        !slots_are_sound(bounds, host_slots_, header->host_mask, header->app_count)) {
        return bad("an index is wrong");
    }
    return {};
}

} // namespace hasp::registry

// The memory file's parts that only this library touches. See SNAPSHOT.md.
#pragma once

#include "registry/snapshot.h"

namespace hasp::registry::layout {

inline constexpr std::uint64_t magic = 0x31307061'6e736768; // "hgsnap01"
inline constexpr std::uint32_t version = 5;

struct Header {
    std::uint64_t magic;
    std::uint64_t size; // of the whole file
    std::uint64_t generation;
    std::int64_t clock_offset_us;
    std::uint32_t version;
    std::uint32_t app_count;
    std::uint32_t rows;  // offset of app_count Rows
    std::uint32_t lists; // offset of list_count Texts
    std::uint32_t list_count;
    std::uint32_t upstreams; // offset of upstream_count Upstreams
    std::uint32_t upstream_count;
    std::uint32_t addresses; // offset of address_count Addresses
    std::uint32_t address_count;
    std::uint32_t app_slots; // offset of app_mask + 1 Slots, keyed by app name
    std::uint32_t app_mask;
    std::uint32_t host_slots; // the same, keyed by host
    std::uint32_t host_mask;
    std::uint32_t has_parent;
    Text tier;
    Text app_host;
    Text host_before; // of app_host, the part before "{app}" and the one after it
    Text host_after;
    TextList portal_hosts;
    TextList stripped;
    std::uint64_t stripped_sizes; // bit n: some stripped name has length n modulo 64
};

// Open addressing, linear probing, at most half full: every probe ends at an empty slot.
struct Slot {
    std::uint32_t tag; // upper half of name_hash(key)
    std::uint32_t app; // index of the row + 1; 0: empty
    Text key;
};

static_assert(sizeof(Header) % 8 == 0 && sizeof(Row) % 8 == 0 && sizeof(Slot) == 16);
static_assert(sizeof(Upstream) % 8 == 0 && sizeof(Address) % 8 == 0);

} // namespace hasp::registry::layout

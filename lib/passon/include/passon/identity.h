// Who a request is made by, as front knows it: a word of the keeper (or of the parent), with an
// end.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hasp::passon {

// Immutable once handed over.
struct Identity {
    std::string sid; // 32 hex digits: names the session in records, logs and toward the parent
    std::string user;
    std::string name; // display name, UTF-8
    std::string email;
    std::vector<std::string> groups;
    std::vector<std::uint64_t> apps; // registry::name_hash of what it may use, sorted
    std::string only_host;           // not empty: the credential is good at this host alone
    std::int64_t until_us = 0;       // trusted time (Snapshot::clock_offset_us); void from then on
    std::int64_t since_us = 0;       // trusted time at which its session began; 0: not known
    bool home = false;               // this tier is the account's home
    bool reads = false;              // he chose to change nothing: safe requests alone
};

// What to forget. A field that is empty matches everything; all empty drops the whole cache.
struct IdentityFilter {
    std::string sid;
    std::string user;
    std::string child; // identities of sessions that this child named, or this peer asserted
};

} // namespace hasp::passon

// What the keeper knows of the apps at a moment, as plain values: the input of a snapshot.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::registry {

enum class Route : std::uint8_t { nowhere = 0, here = 1, child = 2, parent = 3, peer = 4 };
enum class Kind : std::uint8_t { none = 0, static_files = 1, process = 2, upstream = 3 };
enum class Access : std::uint8_t { users = 0, open = 1 }; // open: also without a session
enum class Instance : std::uint8_t { app = 0, user = 1 }; // one process for all, or one a user
enum class Mount : std::uint8_t { both = 0, host = 1, path = 2 }; // where it may be reached

// May a browser be sent to the tier above that serves the app (doc/decisions/0021), and with what?
enum class Direct : std::uint8_t { never = 0, pages = 1, downloads = 2 };

// Names under which an app wants to be told who the user is; an empty one is not sent.
struct IdentityHeaders {
    std::string user = "Remote-User";
    std::string name = "Remote-Name";
    std::string email = "Remote-Email";
    std::string groups = "Remote-Groups";
};

struct UpstreamAddress {
    std::string address; // numeric, "192.0.2.7:8080" or "[2001:db8::1]:443"
    bool tls = false;
    std::string host{}; // of the Host header and, with TLS, the name to verify; empty: the address
    std::string base_path{};  // put before the path of every request; "" or "/something" without a
                              // slash at the end
    std::uint32_t weight = 1; // share of the requests, 1 to upstream_weight_max
};

// When an address of an upstream app counts as down, and as up again.
struct UpstreamHealth {
    std::string path; // asked for behind the base path; empty: no checks beside the requests
    std::uint32_t interval_ms = 10'000; // between two checks of one address
    std::uint32_t timeout_ms = 5'000;
    std::uint16_t status_min = 200; // of a good check
    std::uint16_t status_max = 399;
    std::uint8_t fails = 3;  // checks that fail one after the other: down
    std::uint8_t passes = 2; // and that are good: up again
    std::uint8_t errors = 3; // requests that fail within error_window_ms: down
    std::uint32_t error_window_ms = 30'000;
};

struct UpstreamSpec {
    std::vector<UpstreamAddress> addresses; // at most upstream_addresses_max
    UpstreamHealth health;
};

struct HeaderField {
    std::string name;
    std::string value;
};

// Whether a value of a header map holds a word that stands for who asks.
inline bool tells_who(std::string_view value) {
    for (const std::string_view word : {"{user}", "{name}", "{email}", "{groups}"}) {
        if (value.find(word) != std::string_view::npos) {
            return true;
        }
    }
    return false;
}

// What the app's manifest makes of heads, beside the identity.
struct HeaderMap {
    // Set on requests, in place of what the client sent under the name. The value may hold {user},
    // {name}, {email} and {groups}; then nothing is sent for somebody who is not signed on.
    std::vector<HeaderField> request;
    std::vector<HeaderField> answer; // set on answers, in place of the app's
    std::vector<std::string> remove; // of answers
};

inline constexpr std::size_t upstream_addresses_max = 32;
inline constexpr std::uint32_t upstream_weight_max = 100;
inline constexpr std::size_t mapped_headers_max = 32; // in each list of a HeaderMap

// What the end of the lease means for requests.
enum class AtExpiry : std::uint8_t {
    stop = 0,      // none is served
    read_only = 1, // safe methods are
    go_on = 2,     // those of sessions that began before the end are
};

struct AppSpec {
    std::string name;  // valid_name(); unique
    std::string title; // for people
    Route route = Route::nowhere;
    std::string child; // with Route::child and Route::peer: the direct neighbour's name
    Kind kind = Kind::none;
    Access access = Access::users;
    Instance instance = Instance::app;
    Mount mount = Mount::both;
    bool strip_prefix = true;       // of /apps/NAME, when reached by path
    std::vector<std::string> hosts; // lower case, without port; each unique in the snapshot
    IdentityHeaders identity;
    std::string prefix_header; // "X-Forwarded-Prefix", "X-Script-Name", …; empty: none
    std::string static_root;   // absolute folder
    std::string static_index = "index.html";
    bool static_spa = false;        // a missing page is answered with the index
    bool compress = true;           // its answers may be compressed on their way
    std::uint16_t body_mib_max = 0; // of a request; 0: the tier's own limit alone
    Direct direct = Direct::never;  // with Route::parent
    UpstreamSpec upstream;
    HeaderMap headers;
    std::string dial_path; // folder of the dial sockets: DIR/APP.sock or DIR/APP/USER.sock
    std::int64_t lease_expires_us = 0; // trusted time; 0: no end
    AtExpiry at_expiry = AtExpiry::stop;
    std::string release;   // that answers; empty: not known here
    std::string data_home; // tier that holds the app's one dataset; empty: none, or one a user
};

struct SnapshotSpec {
    std::string tier;
    std::uint64_t generation = 0;
    bool has_parent = false;
    // Trusted time is the boot clock plus this: front compares ends with it, so that setting the
    // machine's wall clock moves none of them.
    std::int64_t clock_offset_us = 0;
    std::string app_host; // "{app}.localhost", exactly one "{app}", first label only; empty: none
    std::vector<std::string>
        portal_hosts; // lower case, without port; empty: any host that is no app's is the portal
    std::vector<AppSpec> apps;
    // Identity and prefix header names of manifests that are not in `apps`; those that are in it
    // are added by itself.
    std::vector<std::string> more_stripped_headers;
};

} // namespace hasp::registry

// hasp-app.toml: what an app is, how it is run and what it may do. Parsing is pure; any thread.
//
// The file's keys stand in one table, manifest_keys(), from which the parser takes types, limits
// and defaults, and the manual page hasp-app.toml(5) its rows.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::run {

inline constexpr std::size_t manifest_bytes_max = 64 * 1024;
inline constexpr const char* manifest_file_name = "hasp-app.toml";

enum class Kind : unsigned char { static_files, process, upstream };
enum class Access : unsigned char { users, everyone }; // in the file: users, public
enum class Mount : unsigned char { host, path, both };
enum class Instance : unsigned char { app, user };
enum class Handover : unsigned char { overlap, exclusive };
enum class DataChange : unsigned char { live, restart };
enum class AtExpiry : unsigned char {
    go_on,
    read_only,
    stop
}; // in the file: continue, read-only, stop
enum class Direct : unsigned char { never, pages, downloads };
enum class DataScope : unsigned char { user, app, none };

// Where the app listens inside its sandbox.
struct Listen {
    bool unix_socket = false; // true: at $HASP_SOCKET
    std::uint16_t port = 0;   // false: 127.0.0.1:port on the sandbox's own loopback
};

struct Limits {
    std::int64_t processes = 200;  // processes and threads together
    std::int64_t memory_mb = 1024; // of the whole app with cgroup v2, else of each process's data
    std::int64_t files = 1024;     // open descriptors of each process
    std::int64_t file_size_mb = 1024;
};

struct Process {
    std::vector<std::string>
        command; // with {prefix} {user} {data} {app} {port} {socket} not yet replaced
    std::vector<std::string> init; // empty: none
    std::map<std::string, std::string> env;
    Listen listen;
    std::string ready_path = "/";
    int ready_status = 0; // 0: any of 200-499
    std::int64_t ready_s = 30;
    std::string health_path;             // the parser sets it to ready_path when the file does not
    std::int64_t health_interval_s = 30; // 0: no health probes
    std::int64_t health_timeout_s = 10;
    std::int64_t idle_stop_s = 900; // 0: never
    std::int64_t stop_grace_s = 10;
    Limits limits;
};

struct StaticFiles {
    std::string root = "."; // relative to the release
    std::string index = "index.html";
    std::string fallback; // index: served for unknown pages (single-page apps); empty: 404
};

struct UpstreamUrl {
    bool tls = false;
    std::string host; // a name, an IPv4 address, or an IPv6 address without its brackets
    std::uint16_t port = 80;
    std::string path; // without a trailing slash; empty for none. Put before the request's path.
    int weight = 1;   // share of the requests, 1-100
};

// When an address counts as down, and as up again.
struct UpstreamHealth {
    std::string path; // put after the address's own; empty: no checks beside the requests
    std::int64_t interval_s = 10;
    std::int64_t timeout_s = 5;
    int status_min = 200;
    int status_max = 399;
    std::int64_t fails = 3;  // checks, one after the other: down
    std::int64_t passes = 2; // checks, one after the other: up
    std::int64_t errors = 3; // requests, within error_window_s: down
    std::int64_t error_window_s = 30;
};

// Names are as they stand in the file, without case equal to no other of their list.
struct MappedHeader {
    std::string name;
    std::string value; // of a request's header: {user} {name} {email} {groups} are replaced
};
struct HeaderMap {
    std::vector<MappedHeader> request; // in place of what the client sent
    std::vector<MappedHeader> answer;  // in place of what the app said
    std::vector<std::string> remove;   // of what the app said
};

// Names of the headers in which the app is told who asks. Empty: that fact is not sent.
struct IdentityHeaders {
    std::string user = "Remote-User";
    std::string name = "Remote-Name";
    std::string email = "Remote-Email";
    std::string groups = "Remote-Groups";
    std::string prefix; // header that carries the mount ("/apps/wiki", empty by host name), for
                        // example X-Script-Name
};

struct Manifest {
    std::string name;  // valid_name()
    std::string title; // the name when the file has none
    std::string description;
    Kind kind = Kind::static_files;
    Access access = Access::users;
    std::vector<std::string> hosts; // extra host names, lower case
    Mount mount = Mount::both;
    bool strip_prefix = true; // default false for kind = process
    bool trusted_path = true;
    bool compress = true;          // on the way to clients that take it
    std::int64_t body_mib_max = 0; // of a request; 0: the tier's own limit alone
    Direct direct = Direct::never;
    Instance instance = Instance::app;
    Handover handover = Handover::overlap;
    DataChange on_data_change = DataChange::live;
    AtExpiry at_expiry = AtExpiry::go_on;
    DataScope data =
        DataScope::none; // default for kind = process: the instance's ("app" or "user")
    Process process;
    StaticFiles files;
    std::vector<UpstreamUrl> upstream; // kind = upstream: at least one
    UpstreamHealth health;             // kind = upstream
    IdentityHeaders identity;
    HeaderMap headers; // empty for kind = static
};

// The manifest, complete and consistent, or an Error (usage) that says "FILE:LINE: …", the key,
// what was expected, and the nearest valid key for an unknown one. Text over manifest_bytes_max is
// refused. Reads no file.
Result<Manifest> parse_manifest(std::string_view text, const std::string& file_name);

// Reads DIR/hasp-app.toml and parses it; the file must be a regular file. Blocking.
Result<Manifest> read_manifest(const std::string& dir);

// One row of the manual. Static storage; order is the manual's.
struct KeyRow {
    std::string_view section; // "app", "process", …
    std::string_view key;
    std::string_view type;          // "string", "integer", "boolean", "array of strings",
                                    // "array of integers", "table of
                                    // strings", or "a | b | c"
    std::string_view unit;          // "s", "MiB", empty
    std::string_view default_value; // as it would stand in the file; empty: none
    std::string_view limits;        // "1-3600", "required", empty
    std::string_view text;          // sentences for the manual
};
const std::vector<KeyRow>& manifest_keys();

// What {words} in command, init and env values stand for.
struct Substitutions {
    std::string prefix; // "/apps/wiki", or empty when served by host name
    std::string user;   // empty when instance = app
    std::string data;   // the data folder as the app sees it
    std::string app;    // the release as the app sees it
    std::string port;
    std::string socket;
};
// Replaces the words; a brace that begins no known word stays as it is (parse_manifest has refused
// unknown words).
std::string substitute(std::string_view text, const Substitutions& with);

} // namespace hasp::run

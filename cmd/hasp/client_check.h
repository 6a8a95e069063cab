// What a user's terminal sees of a portal or an app: hasp doctor --as-client. The probe looks
// (client_probe.cpp); what its findings mean is decided here, which is pure: any thread.
#pragma once

#include "base/result.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::cmd {

inline constexpr std::size_t client_targets_max = 200;    // of one run
inline constexpr std::size_t client_addresses_max = 8;    // tried of one name
inline constexpr std::size_t client_answer_max = 262'144; // bytes read of an answer

// http://HOST[:PORT] or https://…; of HOST[:PORT] alone the scheme is found out: TLS where the port
// takes it.
struct ClientTarget {
    std::string host; // a name in lower case, or an IP without brackets
    std::uint16_t port = 443;
    bool tls = true;
    bool guessed = false; // neither scheme nor port was given: 80 without TLS may be tried
    bool is_ip = false;
    std::string url() const; // "https://wiki.clinic.example:8443/"
};
// A path is not looked at. Code::usage for another scheme, a user name, no host or no port.
Result<ClientTarget> parse_client_target(std::string_view text);

struct NameSeen {
    std::vector<std::string> addresses; // in the order of the resolver; empty: `failure` says why
    std::string failure;
    std::int64_t took_ms = 0;
};

struct ConnectSeen {
    std::string address;
    std::string failure; // empty: connected
    std::int64_t took_ms = 0;
};

struct TlsSeen {
    std::string failure;  // of the handshake; the rest is then empty
    std::string version;  // "TLSv1.3"
    std::string distrust; // why the chain does not lead to a trusted authority; empty: it does
    bool name_matches = false;
    std::string names; // that the certificate has, for people
    std::int64_t not_after_us =
        0; // of the first certificate of the verified chain to end, else the leaf
};

struct HttpSeen {
    std::string failure; // no whole head came
    int status = 0;
    std::string request_id; // X-Request-Id
    std::string location;
    bool log_in_page = false;  // the body has the form of hasp's log-in page
    std::int64_t date_us = 0;  // of the Date header; 0: there is none
    std::int64_t asked_us = 0; // this machine's wall clock, halfway between question and answer
    std::int64_t took_ms = 0;
};

struct ClientSeen {
    ClientTarget target;
    NameSeen name;
    std::vector<ConnectSeen> connects;
    std::optional<TlsSeen> tls;   // of the first address that connected
    std::optional<HttpSeen> http; // the same connection: GET /hasp/login
};

enum class Sight : unsigned char { ok, warn, fail };

struct ClientFinding {
    std::string check; // stable: "proxy", "name", "connect", "tls", "http", "clock"
    Sight sight = Sight::ok;
    std::string what; // a sentence without a full stop; nothing that a terminal would act on
    std::string next; // what to do; empty when all is good
};

// `expected`: addresses that the name should lead to; empty: not known.
std::vector<ClientFinding>
judge_client(const ClientSeen& seen, const std::vector<std::string>& expected, std::int64_t now_us);

// Whether programs of this environment reach the target over a proxy: http_proxy, https_proxy,
// all_proxy and no_proxy, in both cases but HTTP_PROXY (which a CGI request could set). Passwords
// in them are not shown.
ClientFinding
judge_proxies(const ClientTarget& target,
              const std::function<std::optional<std::string>(const std::string&)>& variable);

// What an answer says: the head and as much of the body as came. Total: any bytes.
HttpSeen read_client_answer(std::string_view bytes);

// Whether the body is there as far as Content-Length says; false without one. Total: any bytes.
bool client_answer_is_whole(std::string_view bytes);

// RFC 9110 §5.6.7, the preferred form alone: "Sun, 06 Nov 1994 08:49:37 GMT". nullopt otherwise.
std::optional<std::int64_t> http_date_us(std::string_view text);

struct ClientProbe {
    std::string ca;      // PEM file; empty: the system's store
    int step_ms = 5'000; // for the name, each connection, the handshake and the answer
};

// Looks, sends one GET and no secret. Blocks, each step at most step_ms. Code::usage when `ca` is
// no file of certificates. One thread a call; a resolver that does not answer keeps a thread of its
// own, which ends with the process.
Result<ClientSeen> probe_client(const ClientTarget& target, const ClientProbe& how);

} // namespace hasp::cmd

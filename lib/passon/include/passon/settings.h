// Every limit and time-out of the data plane, with unit and default. 0 turns a time-out off where
// it says so.
#pragma once

#include "net/content_coding.h"
#include "net/networks.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace hasp::passon {

// One way and no other: a proxy that writes one of them passes the others on as its clients wrote
// them.
enum class ProxySays : std::uint8_t {
    x_forwarded,    // X-Forwarded-For, -Proto, -Host
    forwarded,      // RFC 7239
    proxy_protocol, // version 2, before the first byte of each connection
};

struct Settings {
    // Limits of one connection.
    std::size_t head_bytes_max = 32 * 1024;  // of a request's or an answer's head; at most 32 KiB
    std::size_t target_bytes_max = 8 * 1024; // of a request's target
    std::size_t headers_max = 100;           // fields of one head; at most 100
    // Of the body of a request to an app, as content, without framing (RFC 9110 §15.5.14): 413
    // beyond it, before anything is dialled where its length is said. An app may have a smaller
    // one. 0: no limit.
    std::uint64_t body_bytes_max = std::uint64_t{10} << 30;
    std::size_t own_body_bytes_max = 64 * 1024; // of a request to one of hasp's own pages (log-in)
    // Of a piece of an upload by somebody whose token was verified (hasp push-app).
    std::size_t push_body_bytes_max = 320 * 1024;
    std::size_t requests_a_connection_max = 100'000;
    std::uint32_t http2_streams_max = 100; // requests under way on one HTTP/2 connection
    // Limits of the engine. Of several loops the first two hold for all together,
    // unverified_an_address_max is the home's, and the others are each loop's own.
    std::size_t connections_max = 20'000; // an eighth of them for links alone
    // Loopback is not counted. A /64 of IPv6 has four times as many, at most half of all.
    std::size_t connections_an_address_max = 2'000;
    // On a listener for neighbours, of those that have not shown whose they are: in their
    // handshake, or boxes that want to join. At most a quarter of connections_max, and all of them
    // half of it. Beyond that the first is closed for the next.
    std::size_t unverified_an_address_max = 256;
    std::size_t connections_a_peer_max = 1'000;  // that a center beside this one opens
    std::size_t identities_max = 50'000;         // cached; the least recently used goes first
    std::size_t idle_an_endpoint_max = 256;      // upstream connections kept for reuse
    std::size_t waiting_an_endpoint_max = 1'024; // requests that wait for a connection or a start
    // Connects to one address under way at once. A burst beyond it waits for one that becomes free
    // instead: a thousand TLS handshakes at once would keep two loops from everything else.
    std::size_t connecting_an_endpoint_max = 64;
    // Times, in milliseconds.
    std::int64_t head_ms =
        15'000; // from a request's first byte to the end of its head; TLS handshake too
    std::int64_t keep_alive_ms = 75'000;   // an idle connection of a user
    std::int64_t body_idle_ms = 30'000;    // without a byte where one is due, in either direction
    std::int64_t connect_ms = 5'000;       // one try to reach an app, an upstream or a parent
    std::int64_t answer_head_ms = 120'000; // from the request to the answer's head
    std::int64_t answer_idle_ms =
        3'600'000; // between two pieces of an answer (server-sent events are slow)
    std::int64_t whole_ms = 14'400'000;      // a whole exchange, tunnels apart; 0: no limit
    std::int64_t tunnel_idle_ms = 3'600'000; // a WebSocket without a byte in either direction
    std::int64_t upstream_idle_ms = 60'000;  // an unused connection to an app or a tier
    std::int64_t start_ms = 60'000;          // how long a request waits for an app to start
    std::int64_t park_wait_ms =
        5'000; // how long a request waits for a reversed connection of a child
    std::int64_t access_flush_ms = 1'000; // between two writes of the access log
    // In a window of body_idle_ms at least this many bytes must move, or the client is cut as too
    // slow. A tier that reads is not: the one where the user is judges him.
    std::size_t slow_bytes_min = 1'024;
    // Identities.
    std::int64_t identity_fresh_ms = 60'000; // then the keeper is asked again
    // After that it is used for so long while the keeper is asked beside the requests; then they
    // wait. So a keeper that starts anew is not noticed by those who are signed on.
    std::int64_t identity_stale_ms = 300'000;
    std::int64_t identity_unknown_ms = 2'000; // how long "nobody" is remembered, against guessing
    // Links.
    std::size_t parked_min = 2;  // reversed connections that a child keeps idle at its parent
    std::size_t parked_max = 16; // and the most, under load
    std::int64_t reconnect_ms_max = 30'000;
    std::int64_t probe_ms_max = 10'000; // of a parent that is marked down
    // How long after the engine's beginning a child that has not connected yet counts as on its
    // way: requests for it wait. 0: it is down until it connects.
    std::int64_t children_due_ms = 0;
    // The same after a child closed its control stream in order: it is about to open another.
    std::int64_t child_returns_ms = 2'000;
    std::size_t control_queue_bytes = std::size_t{4}
                                      << 20; // of a control stream, in each direction
    std::int64_t link_silence_ms = 10'000;   // TCP_USER_TIMEOUT of connections between tiers
    std::size_t hops_max = 16;               // entries in CDN-Loop
    // The cache (Engine::set_cache).
    std::size_t cache_object_bytes_max = std::size_t{16} << 20; // of one stored body
    // How long beyond its end an answer stands in while nobody can be reached, unless it forbids
    // that.
    std::int64_t cache_disconnected_s = 7 * 86'400;
    std::int64_t cache_wait_ms = 5'000; // for the same answer on its way to another
    // Codings by which this tier compresses answers of the apps that it serves; empty: none.
    net::CodingSet compress = net::CodingSet::all();
    // Of known length, shorter answers are left as they are: they fit into one packet.
    std::size_t compress_bytes_min = 1'400;
    std::size_t coders_max = 128; // at work at once; beyond them answers go out as they are
    // Direct return (doc/decisions/0021).
    std::int64_t direct_ms = 1'000; // how long the keeper may take to say where to; then it is
                                    // passed on
    std::size_t direct_bytes_min = std::size_t{1} << 20; // of what counts as a download
    // Names. A cookie whose name begins with one of hasp's prefixes belongs to hasp: no app sees or
    // sets it.
    std::string cookie = "hasp-session"; // over TLS it is "__Host-" + cookie
    std::string realm = "hasp";          // of WWW-Authenticate
    //    // Proxies in front, and how they tell whose request it is. Of everybody else these fields
    //    mean
    // nothing. (Links carry it in hasp-client.)
    net::Networks proxies;
    ProxySays proxies_say = ProxySays::x_forwarded;
};

} // namespace hasp::passon

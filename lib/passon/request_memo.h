// What the request before on the same connection came to, of bytes that a browser sends again with
// each: its host, its cookies, its app, and the lines that say who asks.
//
// Invariant: nobody is let in by it. Each part is what a pure function made of the bytes that stand
// beside it, and of the registry's snapshot of that moment, by its number; it counts only where the
// next request has the same. Who asks and whether he may is decided anew for every request.
//
// Owned by its ServerConn. Bounded: texts above text_max are not kept. What it holds of a session
// goes when any session ends before its time (forget()), and with the connection. One thread.
#pragma once

#include "identity_cache.h"
#include "registry/snapshot.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace hasp::passon {

class UpstreamGroup;

struct RequestMemo {
    static constexpr std::size_t text_max = 2'048;

    // Of the Host field. The texts are viewed by the exchange under way: they change only when the
    // next request begins.
    struct Host {
        std::string sent;      // the authority as it was sent; empty: nothing is kept
        std::string authority; // in lower case
        std::string name;      // of it, without port
        // Of the snapshot with this number; 0: of none.
        std::uint64_t snapshot = 0;
        registry::App app;        // that has the host
        std::string_view pattern; // in `name`: the app's name by the pattern of the tier's hosts
        bool portal = false;
    };
    Host host;

    // What the snapshot with this number has under a name; a false App too. The texts are viewed
    // as those of Host are.
    struct Named {
        std::string name;
        std::string mount; // the path that named it; empty: the host did
        std::uint64_t snapshot = 0;
        registry::App app;
        UpstreamGroup* group = nullptr; // of its addresses; null: not looked for
    };
    Named named;

    // Of the one Cookie field.
    struct Cookies {
        std::string sent;     // its value; empty: nothing is kept
        std::string looked;   // for the session's cookie under this name
        std::string passed;   // what an app may see
        std::size_t at = 0;   // of the session's secret in `sent`
        std::size_t size = 0; // 0: there is none
        bool secure = false;  // as of a connection with TLS
        std::string_view secret() const { return std::string_view(sent).substr(at, size); }
    };
    Cookies cookies;

    IdentityCache::Place identity;

    // Via, CDN-Loop and who asks, as an app of this tier is told.
    struct Lines {
        std::string text; // empty: nothing is kept
        std::uint64_t snapshot = 0;
        registry::App app;
        std::weak_ptr<const KnownIdentity> who;
        std::uint8_t version_minor = 0;
        std::string scheme, authority, client, mount;
    };
    Lines lines;

    // A session has ended, or the registry or the settings are others. What the exchange under way
    // views stays.
    void forget() {
        host.sent.clear();
        host.snapshot = 0;
        named.snapshot = 0; // the group may end with it
        cookies = {};
        identity = {};
        lines = {};
    }
};

} // namespace hasp::passon

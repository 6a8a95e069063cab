#include "apps.h"

#include "base/fd.h"
#include "base/files.h"
#include "base/text.h"
#include "registry/snapshot.h"

#include <algorithm>
#include <array>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

namespace hasp::maint {

namespace {

constexpr std::int64_t resolve_again_us = 60'000'000;
constexpr std::int64_t resolve_soon_us = 5'000'000; // while nothing is known of it
constexpr std::size_t address_why_bytes_max = 500;

const char* mount_name(run::Mount mount) {
    return mount == run::Mount::host ? "host" : mount == run::Mount::path ? "path" : "both";
}

registry::Mount mount_from(const std::string& name) {
    return name == "host"   ? registry::Mount::host
           : name == "path" ? registry::Mount::path
                            : registry::Mount::both;
}

std::vector<std::string> look_up(const std::string& host, std::uint16_t port, bool numeric_only) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = numeric_only ? AI_NUMERICHOST : AI_ADDRCONFIG;
    addrinfo* found = nullptr;
    std::vector<std::string> out;
    if (::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) {
        return out;
    }
    for (const addrinfo* at = found; at != nullptr && out.size() < 8; at = at->ai_next) {
        std::array<char, 64> name{};
        if (::getnameinfo(at->ai_addr, at->ai_addrlen, name.data(), name.size(), nullptr, 0,
                          NI_NUMERICHOST) == 0) {
            const std::string text = name.data();
            out.push_back((at->ai_family == AF_INET6 ? "[" + text + "]" : text) + ":" +
                          std::to_string(port));
        }
    }
    ::freeaddrinfo(found);
    return out;
}

AppFacts facts_of(const run::Manifest& manifest, const std::string& where,
                  const std::string& release = {}) {
    return {manifest.name,
            manifest.title,
            manifest.description,
            manifest.hosts,
            manifest.access == run::Access::everyone,
            mount_name(manifest.mount),
            manifest.trusted_path,
            where,
            release,
            {}};
}

} // namespace

Apps::Apps(World world, AskAuthority authority, OnChange on_change)
    : world_(std::move(world)), authority_(std::move(authority)), on_change_(std::move(on_change)),
      next_ask_(world_.clock.boot_us() + 1) {}

Status Apps::load() {
    auto rows = world_.store.apps();
    if (!rows.ok()) {
        return rows.error();
    }
    for (const AppRow& row : *rows) {
        auto manifest = run::parse_manifest(row.manifest, row.name + "/" + run::manifest_file_name);
        if (!manifest.ok()) {
            world_.log.error("app.manifest", manifest.error().message, {{"app", row.name}});
            continue;
        }
        rows_[row.name] = row;
        manifests_[row.name] = *std::move(manifest);
        // One that was installed before rollouts were kept.
        if (world_.rollouts.own(row.name) == nullptr) {
            if (const Status set = serving(row); !set.ok()) {
                return set;
            }
        }
    }
    if (Status loaded = load_switches(); !loaded.ok()) {
        return loaded;
    }
    auto catalog = world_.store.fact("catalog");
    auto children = world_.store.children();
    if (!catalog.ok() || !children.ok()) {
        return catalog.ok() ? children.error() : catalog.error();
    }
    parent_ = facts_from_json(member(parse_object(*catalog), "apps"));
    load_owners();
    for (const ChildRow& child : *children) {
        if (child.state == "enrolled" && !child.report.empty()) {
            child_said(child.name, member(parse_object(child.report), "apps"));
        }
    }
    return {};
}

void Apps::load_owners() {
    auto text = world_.store.fact("app.owners");
    const Json json = parse_object(text.ok() ? *text : "");
    for (const auto& [app, child] : json.items()) {
        owners_[app] = child.is_string() ? child.get<std::string>() : "";
    }
}

void Apps::keep_owners() {
    if (const Status kept = world_.store.set_fact("app.owners", dump(Json(owners_))); !kept.ok()) {
        world_.log.error("app.owners", kept.error().message);
    }
}

Status Apps::remove(const std::string& name) {
    const auto drop = [&]() -> Status {
        Status dropped = world_.store.drop_app(name);
        for (const char* role : {"before", "next", "unproven"}) {
            dropped = dropped.ok() ? world_.store.drop_app_kept(role, name) : dropped;
        }
        return dropped;
    };
    if (Status dropped = world_.store.transact(drop); !dropped.ok()) {
        return dropped;
    }
    cancel_switch(name);
    end_all(name, "the app was removed");
    rows_.erase(name);
    manifests_.erase(name);
    touch();
    on_change_();
    return world_.rollouts.drop(name);
}

std::vector<std::string> Apps::resolve(const std::string& host, std::uint16_t port) {
    if (std::vector<std::string> numeric = look_up(host, port, true); !numeric.empty()) {
        return numeric;
    }
    const std::string key = host + ":" + std::to_string(port);
    Resolved& known = resolved_[key];
    const std::int64_t now = world_.clock.boot_us();
    known.asked_us = now;
    const std::int64_t pause_us = known.addresses.empty() ? resolve_soon_us : resolve_again_us;
    if (!known.asking && (known.at_us == 0 || now - known.at_us > pause_us)) {
        known.asking = true;
        auto found = std::make_shared<std::vector<std::string>>();
        world_.ports.background([host, port, found] { *found = look_up(host, port, false); },
                                [this, key, found] {
                                    Resolved& entry = resolved_[key];
                                    entry.asking = false;
                                    entry.at_us = world_.clock.boot_us();
                                    if (!found->empty() && *found != entry.addresses) {
                                        entry.addresses = *found;
                                        if (entry.of_an_app) {
                                            touch();
                                        }
                                    }
                                });
    }
    return known.addresses;
}

// Each address that a name stands for gets the weight of its URL.
registry::UpstreamSpec Apps::upstream_spec(const run::Manifest& m) {
    registry::UpstreamSpec out;
    const run::UpstreamHealth& health = m.health;
    out.health = {health.path,
                  static_cast<std::uint32_t>(health.interval_s * 1000),
                  static_cast<std::uint32_t>(health.timeout_s * 1000),
                  static_cast<std::uint16_t>(health.status_min),
                  static_cast<std::uint16_t>(health.status_max),
                  static_cast<std::uint8_t>(health.fails),
                  static_cast<std::uint8_t>(health.passes),
                  static_cast<std::uint8_t>(health.errors),
                  static_cast<std::uint32_t>(health.error_window_s * 1000)};
    for (const run::UpstreamUrl& url : m.upstream) {
        const bool v6 = url.host.find(':') != std::string::npos;
        std::string host = v6 ? "[" + url.host + "]" : url.host;
        if (url.port != (url.tls ? 443 : 80)) {
            host += ":" + std::to_string(url.port);
        }
        const std::vector<std::string> found = resolve(url.host, url.port);
        if (const auto name = resolved_.find(url.host + ":" + std::to_string(url.port));
            name != resolved_.end()) {
            name->second.of_an_app = true;
        }
        for (const std::string& address : found) {
            if (out.addresses.size() < registry::upstream_addresses_max) {
                out.addresses.push_back(
                    {address, url.tls, host, url.path, static_cast<std::uint32_t>(url.weight)});
            }
        }
    }
    return out;
}

registry::AppSpec Apps::spec_here(const AppRow& row, const run::Manifest& m) {
    registry::AppSpec spec;
    spec.name = m.name;
    spec.title = m.title;
    spec.route = registry::Route::here;
    spec.access =
        m.access == run::Access::everyone ? registry::Access::open : registry::Access::users;
    spec.instance =
        m.instance == run::Instance::user ? registry::Instance::user : registry::Instance::app;
    spec.mount = mount_from(mount_name(m.mount));
    spec.strip_prefix = m.strip_prefix;
    spec.compress = m.compress;
    spec.body_mib_max = static_cast<std::uint16_t>(m.body_mib_max);
    spec.hosts = m.hosts;
    spec.identity = {m.identity.user, m.identity.name, m.identity.email, m.identity.groups};
    spec.prefix_header = m.identity.prefix;
    for (const run::MappedHeader& field : m.headers.request) {
        spec.headers.request.push_back({field.name, field.value});
    }
    for (const run::MappedHeader& field : m.headers.answer) {
        spec.headers.answer.push_back({field.name, field.value});
    }
    spec.headers.remove = m.headers.remove;
    const std::string code = world_.releases.tree_path(row.name, row.release_id);
    switch (m.kind) {
    case run::Kind::static_files:
        spec.kind = registry::Kind::static_files;
        spec.static_root = m.files.root == "." ? code : code + "/" + m.files.root;
        spec.static_index = m.files.index;
        spec.static_spa = !m.files.fallback.empty();
        break;
    case run::Kind::process:
        spec.kind = registry::Kind::process;
        spec.dial_path = world_.state + "/run/apps";
        break;
    case run::Kind::upstream:
        spec.kind = registry::Kind::upstream;
        spec.upstream = upstream_spec(m);
        break;
    }
    const std::optional<Authority> authority = authority_(row);
    spec.lease_expires_us = authority ? authority->expires_us : 1;
    if (authority) {
        spec.at_expiry = authority->at_expiry == trust::AtExpiry::go_on ? registry::AtExpiry::go_on
                         : authority->at_expiry == trust::AtExpiry::read_only
                             ? registry::AtExpiry::read_only
                             : registry::AtExpiry::stop;
    }
    spec.data_home = row.data_home;
    spec.release = row.release_id;
    return spec;
}

void Apps::upstream_said(const Json& head) {
    const std::string app = text_of(head, "app");
    if (!manifests_.contains(app)) {
        return;
    }
    std::vector<Address> addresses;
    for (const Json& one : member(head, "addresses")) {
        if (addresses.size() < registry::upstream_addresses_max) {
            addresses.push_back({text_of(one, "address"), true_of(one, "up"),
                                 int_of(one, "since_us"),
                                 text_of(one, "why").substr(0, address_why_bytes_max)});
        }
    }
    const bool well =
        std::all_of(addresses.begin(), addresses.end(), [](const Address& one) { return one.up; });
    if (well) {
        upstreams_.erase(app);
    } else {
        upstreams_[app] = std::move(addresses);
    }
    on_change_();
}

std::vector<Apps::Address> Apps::addresses(const std::string& app) const {
    const auto at = upstreams_.find(app);
    return at == upstreams_.end() ? std::vector<Address>() : at->second;
}

registry::AppSpec Apps::spec_there(const AppFacts& facts, registry::Route route,
                                   const std::string& child) const {
    registry::AppSpec spec;
    spec.name = facts.name;
    spec.title = facts.title;
    spec.route = route;
    spec.child = child;
    spec.access = facts.open ? registry::Access::open : registry::Access::users;
    spec.mount = mount_from(facts.mount);
    spec.hosts = facts.hosts;
    spec.release = facts.release;
    if (route == registry::Route::parent && world_.config.web.direct) {
        spec.direct = facts.direct.how == "pages"       ? registry::Direct::pages
                      : facts.direct.how == "downloads" ? registry::Direct::downloads
                                                        : registry::Direct::never;
    }
    return spec;
}

registry::SnapshotSpec Apps::snapshot_spec() {
    registry::SnapshotSpec spec;
    // For CDN-Loop, whose words have neither "/" nor ":" but before a port (RFC 8586 §2).
    spec.tier = world_.me.text();
    spec.tier.erase(0, spec.tier.find_first_not_of('/', spec.tier.find(':') + 1));
    std::replace(spec.tier.begin(), spec.tier.end(), '/', '.');
    spec.generation = ++generation_;
    spec.has_parent = !world_.me.is_top();
    spec.clock_offset_us = trusted_offset_us_;
    spec.app_host = world_.config.web.app_host;
    spec.portal_hosts = world_.config.web.portal_hosts;
    std::set<std::string> names;
    std::set<std::string> hosts;
    const auto add = [&](registry::AppSpec app) {
        if (!names.insert(app.name).second) {
            return;
        }
        std::erase_if(app.hosts,
                      [&](const std::string& host) { return !hosts.insert(host).second; });
        spec.apps.push_back(std::move(app));
    };
    for (const auto& [name, row] : rows_) {
        const run::Manifest& manifest = manifests_.at(name);
        registry::AppSpec here = spec_here(row, manifest);
        if (!row.data_home.empty() && row.data_home != world_.me.text()) {
            // One dataset, one writer: requests go to its home.
            const auto home = trust::TierName::parse(row.data_home);
            const bool below = home.ok() && home->is_in_subtree(world_.me);
            here = spec_there(facts_of(manifest, row.data_home),
                              below ? registry::Route::child : registry::Route::parent,
                              below ? home->at_depth(world_.me.depth() + 1).leaf() : "");
        }
        add(std::move(here));
    }
    // The parent's before the children's: a child takes no name from above.
    for (const AppFacts& facts : parent_) {
        add(spec_there(facts, registry::Route::parent, ""));
    }
    for (const auto& [child, apps] : children_) {
        for (const AppFacts& facts : apps) {
            registry::AppSpec there = spec_there(facts, registry::Route::child, child);
            std::erase_if(there.hosts, [&](const std::string& host) { return is_own_host(host); });
            add(std::move(there));
        }
    }
    // Last: a peer takes no name from anybody here.
    for (const auto& [peer, apps] : peers_) {
        for (const AppFacts& facts : apps) {
            add(spec_there(facts, registry::Route::peer, peer));
        }
    }
    return spec;
}

// Hosts that no child may give to its apps: those of the portal, and those that name an app. Where
// the portal has no names of its own, any host may be it, and children's hosts do not count.
bool Apps::is_own_host(const std::string& host) const {
    const std::vector<std::string>& portal = world_.config.web.portal_hosts;
    const std::string& pattern = world_.config.web.app_host;
    const std::size_t at = pattern.find("{app}");
    return portal.empty() || std::find(portal.begin(), portal.end(), host) != portal.end() ||
           (at != std::string::npos && host.starts_with(pattern.substr(0, at)) &&
            host.ends_with(pattern.substr(at + 5)));
}

void Apps::flush() {
    if (!stale_) {
        return;
    }
    send_snapshot();
}

void Apps::send_snapshot() {
    stale_ = false;
    trusted_offset_us_ = world_.trusted.wall_us() - world_.trusted.boot_us();
    follow_expiry();
    auto built = registry::build_snapshot(snapshot_spec());
    if (!built.ok()) {
        world_.log.error("registry.build", built.error().message);
        return;
    }
    const std::array<int, 1> fds{built->get()};
    world_.ports.send_front(dump({{"t", "snapshot"}, {"generation", generation_}}), {}, fds);
}

Json Apps::facts_for_parent() const {
    std::vector<AppFacts> facts;
    std::set<std::string> names;
    for (const auto& [name, manifest] : manifests_) {
        const AppRow& row = rows_.at(name);
        const auto home = trust::TierName::parse(row.data_home);
        if (row.data_home.empty() || (home.ok() && home->is_in_subtree(world_.me))) {
            facts.push_back(facts_of(manifest, world_.me.leaf(), row.release_id));
            names.insert(name);
        }
    }
    for (const auto& [child, apps] : children_) {
        for (const AppFacts& f : apps) {
            if (names.insert(f.name).second) {
                facts.push_back(f);
            }
        }
    }
    return to_json(facts);
}

Json Apps::facts_for_child(const std::string& child) const {
    std::vector<AppFacts> facts;
    std::set<std::string> names;
    const auto add = [&](const AppFacts& f) {
        if (names.insert(f.name).second) {
            facts.push_back(f);
        }
    };
    for (const auto& [name, manifest] : manifests_) {
        const auto home = trust::TierName::parse(rows_.at(name).data_home);
        // What only the child itself can serve is not offered back to it.
        if (home.ok() && home->is_in_subtree(world_.me) && home->depth() > world_.me.depth() &&
            home->at_depth(world_.me.depth() + 1).leaf() == child) {
            continue;
        }
        AppFacts facts_here = facts_of(manifest, world_.me.leaf(), rows_.at(name).release_id);
        facts_here.direct = direct_of(name);
        add(facts_here);
    }
    std::for_each(parent_.begin(), parent_.end(), add);
    for (const auto& [other, apps] : children_) {
        if (other != child) {
            std::for_each(apps.begin(), apps.end(), add);
        }
    }
    for (const auto& [peer, apps] : peers_) {
        std::for_each(apps.begin(), apps.end(), add);
    }
    return to_json(facts);
}

std::vector<AppFacts> Apps::known() const {
    std::vector<AppFacts> facts;
    std::set<std::string> names;
    const auto add = [&](const AppFacts& f) {
        if (names.insert(f.name).second) {
            facts.push_back(f);
        }
    };
    for (const auto& [name, manifest] : manifests_) {
        add(facts_of(manifest, world_.me.leaf(), rows_.at(name).release_id));
    }
    std::for_each(parent_.begin(), parent_.end(), add);
    for (const auto& [child, apps] : children_) {
        std::for_each(apps.begin(), apps.end(), add);
    }
    for (const auto& [peer, apps] : peers_) {
        std::for_each(apps.begin(), apps.end(), add);
    }
    return facts;
}

std::vector<AppFacts> Apps::reached() const {
    std::vector<AppFacts> facts = known();
    std::set<std::string> hosts;
    for (AppFacts& one : facts) {
        const bool below = !manifests_.contains(one.name) && !parent_has(one.name);
        std::erase_if(one.hosts, [&](const std::string& host) {
            return (below && is_own_host(host)) || !hosts.insert(host).second;
        });
    }
    return facts;
}

bool Apps::parent_has(const std::string& app) const {
    return of_parent(app) != nullptr;
}

const AppFacts* Apps::of_parent(const std::string& app) const {
    const auto at = std::find_if(parent_.begin(), parent_.end(),
                                 [&](const AppFacts& f) { return f.name == app; });
    return at == parent_.end() ? nullptr : &*at;
}

DirectFacts Apps::direct_of(const std::string& app) const {
    const auto manifest = manifests_.find(app);
    const AppRow* const held = row(app);
    const Config::Web& web = world_.config.web;
    if (manifest == manifests_.end() || held == nullptr || web.direct_url.empty() ||
        manifest->second.direct == run::Direct::never ||
        (!held->data_home.empty() && held->data_home != world_.me.text())) {
        return {};
    }
    return {manifest->second.direct == run::Direct::pages ? "pages" : "downloads", web.direct_url,
            web.direct_networks};
}

std::string Apps::child_of(const std::string& app) const {
    for (const auto& [child, facts] : children_) {
        if (std::any_of(facts.begin(), facts.end(),
                        [&](const AppFacts& f) { return f.name == app; })) {
            return child;
        }
    }
    return "";
}

// What a peer's app is like is not known here: only that it is for users. Its pages are the peer's
// and not to be trusted with the portal's origin, here or below: no app_host, no way to it.
void Apps::asked_at_peers(std::map<std::string, std::vector<std::string>> asked) {
    peers_.clear();
    for (const auto& [peer, names] : asked) {
        for (const std::string& name : names) {
            peers_[peer].push_back({name, name, "", {}, false, "host", true, peer, "", {}});
        }
    }
    touch();
    on_change_();
}

std::string Apps::peer_of(const std::string& app) const {
    if (rows_.contains(app) || parent_has(app) || !child_of(app).empty()) {
        return "";
    }
    for (const auto& [peer, facts] : peers_) {
        if (std::any_of(facts.begin(), facts.end(),
                        [&](const AppFacts& f) { return f.name == app; })) {
            return peer;
        }
    }
    return "";
}

void Apps::child_said(const std::string& child, const Json& facts) {
    std::vector<AppFacts> apps = facts_from_json(facts);
    for (AppFacts& one : apps) {
        one.direct = {}; // a tier below sends nobody's browser anywhere
    }
    std::set<std::string> names;
    const auto before = owners_;
    std::erase_if(apps, [&](const AppFacts& f) {
        return !names.insert(f.name).second ||
               owners_.emplace(f.name, child).first->second != child;
    });
    std::erase_if(owners_, [&](const auto& owner) {
        return owner.second == child && !names.contains(owner.first);
    });
    if (owners_ != before) {
        keep_owners();
    }
    std::vector<AppFacts>& known = children_[child];
    if (apps != known) {
        known = std::move(apps);
        touch();
        on_change_();
    }
}

void Apps::parent_said(const Json& facts) {
    std::vector<AppFacts> apps = facts_from_json(facts);
    if (apps == parent_) {
        return;
    }
    parent_ = std::move(apps);
    if (const Status kept = world_.store.set_fact("catalog", dump({{"apps", to_json(parent_)}}));
        !kept.ok()) {
        world_.log.error("catalog.keep", kept.error().message);
    }
    touch();
    on_change_();
}

void Apps::forget_child(const std::string& child) {
    children_.erase(child);
    std::erase_if(owners_, [&](const auto& owner) { return owner.second == child; });
    keep_owners();
    touch();
    on_change_();
}

} // namespace hasp::maint

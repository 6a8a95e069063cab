#include "base/files.h"
#include "base/text.h"
#include "layout.h"
#include "registry/snapshot.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <set>
#include <sys/mman.h>
#include <unordered_map>

namespace hasp::registry {
namespace {

constexpr std::size_t stripped_max = 4096;
constexpr std::string_view placeholder = "{app}";

class Builder {
  public:
    explicit Builder(const SnapshotSpec& spec) : spec_(spec) {}

    Result<std::string> run() {
        if (Status status = check(); !status) {
            return status.error();
        }
        const std::uint64_t app_slots = slots_for(spec_.apps.size());
        const std::uint64_t host_slots = slots_for(hosts_);
        std::uint64_t lists = portal_and_stripped();
        std::uint64_t addresses = 0;
        std::uint64_t upstreams = 0;
        for (const AppSpec& app : spec_.apps) {
            lists += 2 * (app.headers.request.size() + app.headers.answer.size()) +
                     app.headers.remove.size();
            addresses += app.upstream.addresses.size();
            upstreams += has_upstream(app) ? 1 : 0;
        }
        const std::uint64_t rows_at = sizeof(layout::Header);
        const std::uint64_t lists_at = rows_at + spec_.apps.size() * sizeof(layout::Row);
        const std::uint64_t upstreams_at = lists_at + lists * sizeof(layout::Text);
        const std::uint64_t addresses_at = upstreams_at + upstreams * sizeof(layout::Upstream);
        const std::uint64_t app_slots_at = addresses_at + addresses * sizeof(layout::Address);
        const std::uint64_t host_slots_at = app_slots_at + app_slots * sizeof(layout::Slot);
        pool_at_ = host_slots_at + host_slots * sizeof(layout::Slot);
        rows_.resize(spec_.apps.size());
        app_index_.resize(app_slots);
        host_index_.resize(host_slots);

        layout::Header header{};
        header.magic = layout::magic;
        header.version = layout::version;
        header.generation = spec_.generation;
        header.clock_offset_us = spec_.clock_offset_us;
        header.app_count = narrow(spec_.apps.size());
        header.rows = narrow(rows_at);
        header.lists = narrow(lists_at);
        header.list_count = narrow(lists);
        header.upstreams = narrow(upstreams_at);
        header.upstream_count = narrow(upstreams);
        header.addresses = narrow(addresses_at);
        header.address_count = narrow(addresses);
        header.app_slots = narrow(app_slots_at);
        header.app_mask = narrow(app_slots - 1);
        header.host_slots = narrow(host_slots_at);
        header.host_mask = narrow(host_slots - 1);
        header.has_parent = spec_.has_parent ? 1 : 0;
        header.tier = text(spec_.tier);
        header.app_host = text(spec_.app_host);
        if (const std::size_t at = spec_.app_host.find(placeholder); at != std::string::npos) {
            header.host_before = text(spec_.app_host.substr(0, at));
            header.host_after = text(spec_.app_host.substr(at + placeholder.size()));
        }
        header.portal_hosts = list(spec_.portal_hosts);
        header.stripped = list(std::vector<std::string>(stripped_.begin(), stripped_.end()));
        for (const std::string& name : stripped_) {
            header.stripped_sizes |= std::uint64_t{1} << (name.size() % 64);
        }
        for (std::size_t i = 0; i < spec_.apps.size(); ++i) {
            fill_row(i);
        }
        header.size = pool_at_ + pool_.size();
        if (header.size > snapshot_bytes_max) {
            return fail(Code::usage, "the registry does not fit into a snapshot of 2 GiB");
        }
        std::string out;
        out.reserve(header.size);
        append(out, &header, 1);
        append(out, rows_.data(), rows_.size());
        append(out, lists_.data(), lists_.size());
        append(out, upstreams_.data(), upstreams_.size());
        append(out, addresses_.data(), addresses_.size());
        append(out, app_index_.data(), app_index_.size());
        append(out, host_index_.data(), host_index_.size());
        out += pool_;
        return out;
    }

  private:
    static std::uint32_t narrow(std::uint64_t value) { return static_cast<std::uint32_t>(value); }
    static std::uint64_t slots_for(std::size_t count) {
        return std::bit_ceil(std::max<std::uint64_t>(4, count * 2));
    }
    template <typename T>
    static void append(std::string& out, const T* items, std::size_t count) {
        out.append(reinterpret_cast<const char*>(items), count * sizeof(T));
    }

    Status check() {
        if (spec_.apps.size() > apps_max) {
            return fail(Code::usage,
                        "the registry has more than " + std::to_string(apps_max) + " apps");
        }
        if (!spec_.app_host.empty()) {
            const std::size_t at = spec_.app_host.find(placeholder);
            const std::string_view after =
                at == std::string::npos
                    ? std::string_view{}
                    : std::string_view(spec_.app_host).substr(at + placeholder.size());
            if (!after.starts_with('.') || spec_.app_host.find('.') < at ||
                after.find('{') != std::string_view::npos) {
                return fail(Code::usage,
                            "app_host \"" + spec_.app_host +
                                "\" must have {app} once, in its first label",
                            "for example {app}.example.com");
            }
        }
        std::set<std::string_view> names;
        std::set<std::string_view> hosts;
        for (const AppSpec& app : spec_.apps) {
            if (!valid_name(app.name)) {
                return fail(Code::usage, "\"" + app.name + "\" is not a valid name of an app");
            }
            if (!names.insert(app.name).second) {
                return fail(Code::usage, "the app " + app.name + " is in the registry twice");
            }
            if ((app.route == Route::child || app.route == Route::peer) && app.child.empty()) {
                return fail(Code::usage, "the app " + app.name +
                                             " is passed on to a neighbour that is not named");
            }
            for (const std::string& host : app.hosts) {
                if (host.empty() || host != to_lower(host) || !hosts.insert(host).second) {
                    return fail(Code::usage,
                                "the host name \"" + host + "\" of the app " + app.name +
                                    " is taken by another app, or is not in lower case");
                }
            }
            strip(app.identity.user);
            strip(app.identity.name);
            strip(app.identity.email);
            strip(app.identity.groups);
            strip(app.prefix_header);
            if (Status checked = check_upstream(app); !checked) {
                return checked;
            }
        }
        for (const std::string& name : spec_.more_stripped_headers) {
            strip(name);
        }
        hosts_ = hosts.size();
        if (hosts_ > hosts_max || stripped_.size() > stripped_max) {
            return fail(Code::usage,
                        "the registry has too many host names or names of identity headers");
        }
        return {};
    }

    Status check_upstream(const AppSpec& app) {
        const UpstreamHealth& health = app.upstream.health;
        for (const UpstreamAddress& one : app.upstream.addresses) {
            if (one.weight == 0 || one.weight > upstream_weight_max) {
                return fail(Code::usage, "an address of the app " + app.name +
                                             " has a weight that is not 1 to 100");
            }
        }
        if (app.upstream.addresses.size() > upstream_addresses_max || health.fails == 0 ||
            health.passes == 0 || health.errors == 0 || health.interval_ms == 0 ||
            health.timeout_ms == 0) {
            return fail(Code::usage,
                        "the app " + app.name + " has more than 32 addresses, or a limit of 0");
        }
        if (app.headers.request.size() > mapped_headers_max ||
            app.headers.answer.size() > mapped_headers_max ||
            app.headers.remove.size() > mapped_headers_max) {
            return fail(Code::usage,
                        "the app " + app.name + " maps more than 32 headers in one direction");
        }
        for (const HeaderField& field : app.headers.request) {
            // What says who asks never comes from outside, whichever app is asked.
            if (tells_who(field.value)) {
                strip(field.name);
            }
        }
        return {};
    }

    static bool has_upstream(const AppSpec& app) { return !app.upstream.addresses.empty(); }

    void strip(const std::string& name) {
        if (!name.empty()) {
            stripped_.insert(to_lower(name));
        }
    }
    std::uint64_t portal_and_stripped() const {
        return spec_.portal_hosts.size() + stripped_.size();
    }

    // Equal texts are kept once: most rows share header names, roots' prefixes and the empty text.
    layout::Text text(const std::string& value) {
        if (value.empty()) {
            return {narrow(pool_at_), 0};
        }
        const auto [found, fresh] = known_.try_emplace(value, narrow(pool_at_ + pool_.size()));
        if (fresh) {
            pool_ += value;
        }
        return {found->second, narrow(value.size())};
    }
    layout::TextList list(const std::vector<std::string>& values) {
        const layout::TextList out{narrow(lists_.size()), narrow(values.size())};
        for (const std::string& value : values) {
            lists_.push_back(text(value));
        }
        return out;
    }
    layout::TextList list(const std::vector<HeaderField>& fields) {
        const layout::TextList out{narrow(lists_.size()), narrow(2 * fields.size())};
        for (const HeaderField& field : fields) {
            lists_.push_back(text(field.name));
            lists_.push_back(text(field.value));
        }
        return out;
    }
    static void index(std::vector<layout::Slot>& slots, const std::string& key,
                      layout::Text key_text, std::size_t app) {
        const std::uint64_t hash = name_hash(key);
        std::size_t at = static_cast<std::uint32_t>(hash) & (slots.size() - 1);
        while (slots[at].app != 0) {
            at = (at + 1) & (slots.size() - 1);
        }
        slots[at] = {narrow(hash >> 32), narrow(app + 1), key_text};
    }

    std::uint32_t upstream(const AppSpec& app) {
        if (!has_upstream(app)) {
            return 0;
        }
        const UpstreamHealth& health = app.upstream.health;
        layout::Upstream out{};
        out.first = narrow(addresses_.size());
        out.count = narrow(app.upstream.addresses.size());
        out.health_path = text(health.path);
        out.interval_ms = health.interval_ms;
        out.timeout_ms = health.timeout_ms;
        out.error_window_ms = health.error_window_ms;
        out.status_min = health.status_min;
        out.status_max = health.status_max;
        out.fails = health.fails;
        out.passes = health.passes;
        out.errors = health.errors;
        for (const UpstreamAddress& one : app.upstream.addresses) {
            addresses_.push_back({text(one.address), text(one.host), text(one.base_path),
                                  one.weight, one.tls ? 1U : 0U});
        }
        upstreams_.push_back(out);
        return narrow(upstreams_.size());
    }

    void fill_row(std::size_t i) {
        const AppSpec& app = spec_.apps[i];
        layout::Row& row = rows_[i];
        row.name = text(app.name);
        row.title = text(app.title);
        row.child = text(app.child);
        row.prefix_header = text(app.prefix_header);
        row.static_root = text(app.static_root);
        row.static_index = text(app.static_index);
        row.dial_path = text(app.dial_path);
        row.data_home = text(app.data_home);
        row.release = text(app.release);
        row.identity[0] = text(app.identity.user);
        row.identity[1] = text(app.identity.name);
        row.identity[2] = text(app.identity.email);
        row.identity[3] = text(app.identity.groups);
        row.set_request = list(app.headers.request);
        row.set_answer = list(app.headers.answer);
        row.drop_answer = list(app.headers.remove);
        row.upstream = upstream(app);
        row.lease_expires_us = app.lease_expires_us;
        row.at_expiry = static_cast<std::uint8_t>(app.at_expiry);
        row.hash = name_hash(app.name);
        row.route = static_cast<std::uint8_t>(app.route);
        row.kind = static_cast<std::uint8_t>(app.kind);
        row.access = static_cast<std::uint8_t>(app.access);
        row.instance = static_cast<std::uint8_t>(app.instance);
        row.mount = static_cast<std::uint8_t>(app.mount);
        row.strip_prefix = app.strip_prefix ? 1 : 0;
        row.static_spa = app.static_spa ? 1 : 0;
        row.uncompressed = app.compress ? 0 : 1;
        row.body_mib_max = app.body_mib_max;
        row.direct = static_cast<std::uint8_t>(app.direct);
        index(app_index_, app.name, row.name, i);
        for (const std::string& host : app.hosts) {
            index(host_index_, host, text(host), i);
        }
    }

    const SnapshotSpec& spec_;
    std::size_t hosts_ = 0;
    std::set<std::string> stripped_;
    std::uint64_t pool_at_ = 0;
    std::string pool_;
    std::unordered_map<std::string, std::uint32_t> known_;
    std::vector<layout::Row> rows_;
    std::vector<layout::Text> lists_;
    std::vector<layout::Upstream> upstreams_;
    std::vector<layout::Address> addresses_;
    std::vector<layout::Slot> app_index_;
    std::vector<layout::Slot> host_index_;
};

} // namespace

Result<std::string> build_snapshot_bytes(const SnapshotSpec& spec) {
    return Builder(spec).run();
}

Result<Fd> build_snapshot(const SnapshotSpec& spec) {
    const Result<std::string> bytes = build_snapshot_bytes(spec);
    if (!bytes) {
        return bytes.error();
    }
    Fd fd{::memfd_create("hasp-registry", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    if (!fd) {
        return errno_error(errno, "cannot make the snapshot of the registry");
    }
    if (Status status = write_all(fd.get(), *bytes); !status) {
        return status.error();
    }
    if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) !=
        0) {
        return errno_error(errno, "cannot seal the snapshot of the registry");
    }
    return fd;
}

} // namespace hasp::registry

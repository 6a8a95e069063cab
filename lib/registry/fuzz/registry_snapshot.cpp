// A snapshot of hostile bytes: either refused, or every look-up stays inside it and ends. The first
// byte chooses whether the fuzzed bytes are the whole file or are laid over a sound one, so that
// the checks behind the head are reached.
#include "registry/decide.h"

#include <cstdint>

namespace {

const std::string& sound() {
    static const std::string bytes = [] {
        using namespace hasp::registry;
        SnapshotSpec spec;
        spec.tier = "tokyo";
        spec.app_host = "{app}.localhost";
        spec.portal_hosts = {"localhost"};
        AppSpec app;
        app.name = "wiki";
        app.route = Route::here;
        app.hosts = {"wiki.example"};
        app.upstream.addresses = {"127.0.0.1:80", "[::1]:80"};
        spec.apps.push_back(app);
        app.name = "calendar";
        app.hosts.clear();
        spec.apps.push_back(app);
        return *build_snapshot_bytes(spec);
    }();
    return bytes;
}

void use(const hasp::registry::App& app, std::size_t& sum) {
    if (!app) {
        return;
    }
    for (const std::string_view text :
         {app.name(), app.title(), app.child(), app.prefix_header(), app.static_root(),
          app.static_index(), app.upstream_host(), app.upstream_base(), app.dial_path(),
          app.data_home(), app.identity_header(0), app.identity_header(3)}) {
        for (const char c : text) {
            sum += static_cast<unsigned char>(c);
        }
    }
    for (std::size_t i = 0; i < app.upstream_count(); ++i) {
        sum += app.upstream_address(i).size();
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace hasp::registry;
    if (size < 3) {
        return 0;
    }
    std::string bytes;
    if (data[0] % 2 == 0) {
        bytes.assign(reinterpret_cast<const char*>(data) + 1, size - 1);
    } else {
        bytes = sound();
        for (std::size_t i = 1; i + 2 < size; i += 3) {
            bytes[(data[i] * 256U + data[i + 1]) % bytes.size()] = static_cast<char>(data[i + 2]);
        }
    }
    const auto snapshot = Snapshot::from_bytes(bytes);
    if (!snapshot) {
        return 0;
    }
    std::size_t sum = 0;
    for (const std::string_view name :
         {"wiki", "calendar", "nothing", "wiki.example", "wiki.localhost", ""}) {
        use((*snapshot)->find(name), sum);
        use((*snapshot)->find_host(name), sum);
        sum += (*snapshot)->is_stripped(name) ? 1 : 0;
        sum += (*snapshot)->is_portal_host(name) ? 1 : 0;
        sum += static_cast<std::size_t>(decide(**snapshot, name, {}, 1, false).verdict);
    }
    for (std::uint32_t i = 0; i < (*snapshot)->size(); ++i) {
        use((*snapshot)->at(i), sum);
    }
    volatile std::size_t keep = sum;
    (void)keep;
    return 0;
}

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
        app.upstream.addresses = {{"127.0.0.1:80"}, {"[::1]:80", true, "a.example", "/b", 3}};
        app.upstream.health.path = "/health";
        app.headers = {{{"X-User", "{user}"}}, {{"X-Frame-Options", "DENY"}}, {"Server"}};
        spec.apps.push_back(app);
        app.name = "calendar";
        app.hosts.clear();
        spec.apps.push_back(app);
        return *build_snapshot_bytes(spec);
    }();
    return bytes;
}

std::size_t bytes_of(std::initializer_list<std::string_view> texts) {
    std::size_t sum = 0;
    for (const std::string_view text : texts) {
        for (const char c : text) {
            sum += static_cast<unsigned char>(c);
        }
    }
    return sum;
}

void use(const hasp::registry::App& app, std::size_t& sum) {
    using hasp::registry::AddressView;
    if (!app) {
        return;
    }
    sum += bytes_of({app.name(), app.title(), app.child(), app.prefix_header(), app.static_root(),
                     app.static_index(), app.dial_path(), app.data_home(), app.identity_header(0),
                     app.identity_header(3)});
    for (std::size_t i = 0; i < app.upstream_count(); ++i) {
        const AddressView one = app.upstream_address(i);
        sum += bytes_of({one.address, one.host, one.base_path, app.upstream_health().path}) +
               one.weight;
    }
    for (std::size_t i = 0; i < app.set_request_count(); ++i) {
        sum += bytes_of({app.set_request(i).name, app.set_request(i).value});
    }
    for (std::size_t i = 0; i < app.set_answer_count(); ++i) {
        sum += bytes_of({app.set_answer(i).name, app.set_answer(i).value});
    }
    for (std::size_t i = 0; i < app.drop_answer_count(); ++i) {
        sum += bytes_of({app.drop_answer(i)});
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
        for (const Source source : {Source::below, Source::parent, Source::peer}) {
            sum += static_cast<std::size_t>(decide(**snapshot, name, {}, 1, source).verdict);
        }
    }
    for (std::uint32_t i = 0; i < (*snapshot)->size(); ++i) {
        use((*snapshot)->at(i), sum);
    }
    volatile std::size_t keep = sum;
    (void)keep;
    return 0;
}

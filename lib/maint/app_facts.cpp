// What neighbours say of their apps, as JSON; what comes is checked here and nowhere else.
#include "apps.h"

#include "base/text.h"
#include "net/networks.h"

#include <algorithm>

namespace hasp::maint {

namespace {

constexpr std::size_t neighbour_apps_max = 100'000;
constexpr std::size_t hosts_of_app_max = 16;
constexpr std::size_t title_bytes_max = 200;
constexpr std::size_t release_bytes_max = 128;
constexpr std::size_t description_bytes_max = 1'000;
constexpr std::size_t direct_url_bytes_max = 300;
constexpr std::size_t direct_networks_max = 256;

// Of another shape: as if it were not said, and requests are passed on.
DirectFacts direct_from(const Json& json) {
    DirectFacts out{text_of(json, "how"), text_of(json, "url"), texts_of(json, "networks")};
    const bool known = out.how == "pages" || out.how == "downloads";
    if (!known || out.url.size() > direct_url_bytes_max || !valid_direct_url(out.url) ||
        out.networks.size() > direct_networks_max) {
        return {};
    }
    std::erase_if(out.networks, [](const std::string& text) {
        net::Networks one;
        return !one.add(text).ok();
    });
    return out;
}

} // namespace

Json to_json(const std::vector<AppFacts>& facts) {
    Json out = Json::array();
    for (const AppFacts& f : facts) {
        Json one{{"name", f.name},
                 {"title", f.title},
                 {"description", f.description},
                 {"hosts", f.hosts},
                 {"open", f.open},
                 {"mount", f.mount},
                 {"trusted_path", f.trusted_path},
                 {"where", f.where},
                 {"release", f.release}};
        if (!f.direct.url.empty()) {
            one["direct"] = {
                {"how", f.direct.how}, {"url", f.direct.url}, {"networks", f.direct.networks}};
        }
        out.push_back(std::move(one));
    }
    return out;
}

std::vector<AppFacts> facts_from_json(const Json& json) {
    std::vector<AppFacts> out;
    for (const Json& f : json) {
        AppFacts facts{text_of(f, "name"),
                       text_of(f, "title"),
                       text_of(f, "description"),
                       texts_of(f, "hosts"),
                       true_of(f, "open"),
                       text_of(f, "mount"),
                       true_of(f, "trusted_path", true),
                       text_of(f, "where"),
                       text_of(f, "release"),
                       direct_from(member(f, "direct"))};
        if (facts.release.size() > release_bytes_max) {
            facts.release.clear();
        }
        std::erase_if(facts.hosts, [](const std::string& host) { return !valid_host_name(host); });
        if (facts.hosts.size() > hosts_of_app_max || facts.title.size() > title_bytes_max ||
            facts.description.size() > description_bytes_max) {
            continue;
        }
        if (valid_name(facts.name) && out.size() < neighbour_apps_max) {
            out.push_back(std::move(facts));
        }
    }
    return out;
}

} // namespace hasp::maint

#include "web_zones.h"

#include "base/text.h"

#include <algorithm>

namespace hasp::maint {

namespace {
// The path from the authority down to the tier, joined; lowest first where `reversed`.
std::string path_below(const trust::TierName& authority, const trust::TierName& tier,
                       const char* separator, bool reversed) {
    std::string out;
    for (std::size_t i = authority.depth(); i < tier.depth(); ++i) {
        const std::string& one = tier.path()[i];
        out = out.empty() ? one : reversed ? one + separator + out : out + separator + one;
    }
    return out;
}
} // namespace

Result<WebZones> WebZones::parse(const std::vector<std::string>& names,
                                 const std::vector<std::string>& assign) {
    auto all = trust::WebNames::parse(names);
    if (!all.ok()) {
        return all.error();
    }
    WebZones out;
    out.names_ = *std::move(all);
    const auto& dns = out.names_.dns();
    for (std::size_t i = 0; i < dns.size(); ++i) {
        for (std::size_t k = 0; k < dns.size(); ++k) {
            if (i != k && trust::WebNames::parse({dns[k]})->covers(dns[i])) {
                return fail(Code::usage,
                            "`" + dns[i] + "` lies within `" + dns[k] + "`: leave it out");
            }
        }
    }
    for (const std::string& text : assign) {
        const std::size_t eq = text.find('=');
        const std::string path = text.substr(0, eq);
        const auto elements = split(path, '/');
        auto given = eq == std::string::npos ? trust::WebNames()
                                             : trust::WebNames::parse({text.substr(eq + 1)});
        if (!std::all_of(elements.begin(), elements.end(), valid_name) || !given.ok() ||
            given->empty()) {
            return fail(Code::usage, "`" + text +
                                         "` is no TIER=NAME, for example tokyo=booking.clinic.lan "
                                         "or tokyo=10.1.0.0/16");
        }
        if (!out.names_.contains(*given)) {
            return fail(Code::usage, "`" + text + "` is not within names");
        }
        out.assigned_.emplace_back(path, *std::move(given));
    }
    return out;
}

bool WebZones::may(const trust::TierName& authority, const trust::TierName& tier,
                   const std::string& name) const {
    if (!tier.is_in_subtree(authority) || !names_.covers(name)) {
        return false;
    }
    if (tier == authority) {
        return true;
    }
    const std::string zone = path_below(authority, tier, ".", true);
    const bool own =
        std::any_of(names_.dns().begin(), names_.dns().end(), [&](const std::string& top) {
            const auto subtree = trust::WebNames::parse({zone + "." + top});
            return subtree.ok() && subtree->covers(name);
        });
    const std::string path = path_below(authority, tier, "/", false);
    return own || std::any_of(assigned_.begin(), assigned_.end(), [&](const auto& one) {
               return one.first == path && one.second.covers(name);
           });
}

} // namespace hasp::maint

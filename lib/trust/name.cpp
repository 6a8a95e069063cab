#include "trust/name.h"

#include "base/text.h"

#include <algorithm>

namespace hasp::trust {

namespace {
constexpr std::string_view scheme = "hasp://";

Error malformed(std::string_view text, const std::string& why) {
    constexpr std::size_t shown_max = 80;
    return fail(Code::usage,
                "'" + std::string(text.substr(0, shown_max)) +
                    "' is not the name of a tier: " + why,
                "a tier's name looks like hasp://REALM/TOP/CHILD, in a-z, 0-9 and '-'");
}
} // namespace

Result<TierName> TierName::parse(std::string_view text) {
    if (text.size() > tier_name_bytes_max) {
        return malformed(text, "it is too long");
    }
    if (!text.starts_with(scheme)) {
        return malformed(text, "it does not begin with hasp://");
    }
    const auto parts = split(text.substr(scheme.size()), '/');
    if (parts.size() < 2) {
        return malformed(text, "it names a realm without a tier");
    }
    if (parts.size() > tier_depth_max + 1) {
        return malformed(text, "it has more than " + std::to_string(tier_depth_max) + " tiers");
    }
    for (const std::string_view part : parts) {
        if (!valid_name(part)) {
            return malformed(text, "'" + std::string(part.substr(0, name_length_max)) +
                                       "' is not a name");
        }
    }
    TierName name;
    name.realm_ = parts.front();
    name.path_.assign(parts.begin() + 1, parts.end());
    return name;
}

Result<TierName> TierName::make_top(std::string_view realm, std::string_view name) {
    return parse(std::string(scheme) + std::string(realm) + "/" + std::string(name));
}

std::string TierName::text() const {
    if (empty()) {
        return {};
    }
    std::string out = std::string(scheme) + realm_;
    for (const std::string& element : path_) {
        out += '/';
        out += element;
    }
    return out;
}

TierName TierName::parent() const {
    return path_.size() < 2 ? TierName() : at_depth(path_.size() - 1);
}

Result<TierName> TierName::child(std::string_view name) const {
    if (empty() || !valid_name(name)) {
        return malformed(text() + "/" + std::string(name),
                         "'" + std::string(name.substr(0, name_length_max)) + "' is not a name");
    }
    if (depth() == tier_depth_max) {
        return malformed(text() + "/" + std::string(name),
                         "it has more than " + std::to_string(tier_depth_max) + " tiers");
    }
    TierName out = *this;
    out.path_.emplace_back(name);
    return out;
}

TierName TierName::at_depth(std::size_t depth) const {
    TierName out;
    out.realm_ = realm_;
    out.path_.assign(path_.begin(), path_.begin() + static_cast<std::ptrdiff_t>(depth));
    return out;
}

bool TierName::is_direct_child_of(const TierName& other) const {
    return !other.empty() && depth() == other.depth() + 1 && is_in_subtree(other);
}

bool TierName::is_in_subtree(const TierName& top) const {
    return !top.empty() && realm_ == top.realm_ && depth() >= top.depth() &&
           std::equal(top.path_.begin(), top.path_.end(), path_.begin());
}

} // namespace hasp::trust

// Names of tiers: hasp://REALM/top/child/… Values; any thread.
#pragma once

#include "base/result.h"

#include <compare>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::trust {

inline constexpr std::size_t tier_depth_max = 16; // path elements, the top included
// "hasp://" + realm + tier_depth_max elements, each up to 40 characters with a slash.
inline constexpr std::size_t tier_name_bytes_max = 7 + 40 + tier_depth_max * 41;

// A tier's place in its realm. Carries no role: parent or child is a relation between two names. A
// default-constructed name is empty and equals no tier.
class TierName {
  public:
    TierName() = default;
    // Refuses (Code::usage) anything but hasp://REALM/ELEMENT[/ELEMENT…] whose parts are
    // valid_name()s; never normalises.
    static Result<TierName> parse(std::string_view text);
    // The top tier of a realm.
    static Result<TierName> make_top(std::string_view realm, std::string_view name);

    bool empty() const { return path_.empty(); }
    const std::string& realm() const { return realm_; }
    const std::vector<std::string>& path() const { return path_; }
    // Number of path elements: 1 for the top.
    std::size_t depth() const { return path_.size(); }
    bool is_top() const { return path_.size() == 1; }
    // Last path element. Precondition: !empty().
    const std::string& leaf() const { return path_.back(); }
    // The whole name; "" when empty.
    std::string text() const;

    // Empty for the top.
    TierName parent() const;
    // Refused (Code::usage) when `name` is not a valid_name() or the tree would get too deep.
    Result<TierName> child(std::string_view name) const;
    // The ancestor-or-self at this depth (1 = top). Precondition: 1 <= depth <= this->depth().
    TierName at_depth(std::size_t depth) const;

    bool is_direct_child_of(const TierName& other) const;
    // True for `top` itself and everything below it. The empty name is in no subtree.
    bool is_in_subtree(const TierName& top) const;
    // Strictly above `other`.
    bool is_above(const TierName& other) const {
        return *this != other && other.is_in_subtree(*this);
    }

    friend bool operator==(const TierName&, const TierName&) = default;
    friend auto operator<=>(const TierName&, const TierName&) = default;

  private:
    std::string realm_;
    std::vector<std::string> path_;
};

} // namespace hasp::trust

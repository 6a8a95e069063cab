#include "grant_rules.h"

#include "base/text.h"
#include "trust/hash.h"

#include <algorithm>

namespace hasp::trust::detail {

namespace {
constexpr std::size_t release_bytes_max = 128;
constexpr std::size_t salt_bytes_min = 8;
constexpr std::size_t salt_bytes_max = 64;
// A lease must not be able to make its holder spend more than this on a log-in.
constexpr std::uint32_t argon_memory_kib_max = 1U << 20;
constexpr std::uint32_t argon_passes_max = 16;
constexpr std::uint32_t argon_lanes_max = 16;

bool valid_release(std::string_view text) {
    return !text.empty() && text.size() <= release_bytes_max &&
           std::all_of(text.begin(), text.end(), [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '.' || c == '_' || c == '-';
           });
}

// Goes into headers of requests later: no control characters.
bool valid_text(std::string_view text) {
    return text.size() <= grant_text_bytes_max && std::all_of(text.begin(), text.end(), [](char c) {
               return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f;
           });
}

bool valid_list(const std::vector<std::string>& names) {
    return names.size() <= grant_list_max &&
           std::all_of(names.begin(), names.end(),
                       [](const std::string& n) { return valid_name(n); }) &&
           std::is_sorted(names.begin(), names.end()) &&
           std::adjacent_find(names.begin(), names.end()) == names.end();
}

std::string fault_of_name(std::string_view what, const std::string& name) {
    return valid_name(name) ? ""
                            : "'" + name.substr(0, name_length_max) + "' is not the name of " +
                                  std::string(what);
}

template <typename T>
std::string fault_of_common(const T& g) {
    if (g.origin.empty()) {
        return "it has no origin";
    }
    return g.expires_us > 0 ? "" : "it has no time at which it ends";
}

std::string first(std::initializer_list<std::string> faults) {
    const auto* const found =
        std::find_if(faults.begin(), faults.end(), [](const std::string& f) { return !f.empty(); });
    return found == faults.end() ? "" : *found;
}

bool subset(const std::vector<std::string>& few, const std::vector<std::string>& many) {
    return std::includes(many.begin(), many.end(), few.begin(), few.end());
}

// A tier may hide a user's name or address from the tiers below (pseudonyms), not replace it.
bool same_or_hidden(const std::string& handed, const std::string& held) {
    return handed.empty() || handed == held;
}

template <typename T>
bool same_authority(const T& handed, const T& held) {
    return key_of(handed) == key_of(held) && handed.origin == held.origin &&
           handed.expires_us <= held.expires_us;
}
} // namespace

std::string key_of(const RunGrant& g) {
    return g.app + "/" + g.release;
}
std::string key_of(const UseGrant& g) {
    return g.user + "/" + g.app;
}
std::string key_of(const LoginGrant& g) {
    return g.user;
}
std::string key_of(const VerifierGrant& g) {
    return g.user;
}
std::string key_of(const KeepGrant& g) {
    return g.user;
}
std::string key_of(const WriteGrant& g) {
    return g.dataset;
}

std::string fault_of(const RunGrant& g) {
    return first({fault_of_name("an app", g.app),
                  valid_release(g.release) ? "" : "its release is not the name of one",
                  fault_of_common(g)});
}
std::string fault_of(const UseGrant& g) {
    return first(
        {fault_of_name("a user", g.user), fault_of_name("an app", g.app), fault_of_common(g)});
}
std::string fault_of(const LoginGrant& g) {
    return first(
        {fault_of_name("a user", g.user),
         valid_text(g.display_name) ? "" : "the display name is too long or has control characters",
         valid_text(g.email) ? "" : "the e-mail address is too long or has control characters",
         valid_list(g.groups) ? "" : "the groups are not a sorted list of names",
         valid_list(g.apps) ? "" : "the apps are not a sorted list of names", fault_of_common(g)});
}
std::string fault_of(const VerifierGrant& g) {
    const bool salt = g.salt.size() >= salt_bytes_min && g.salt.size() <= salt_bytes_max;
    const bool argon = g.memory_kib >= 8 && g.memory_kib <= argon_memory_kib_max && g.passes >= 1 &&
                       g.passes <= argon_passes_max && g.lanes >= 1 && g.lanes <= argon_lanes_max;
    const bool keys = !g.keys.empty() && g.keys.size() < tier_depth_max &&
                      std::all_of(g.keys.begin(), g.keys.end(),
                                  [](const std::string& k) { return k.size() == sha256_bytes; });
    return first({fault_of_name("a user", g.user), g.home.empty() ? "it has no home" : "",
                  salt ? "" : "its salt does not have 8 to 64 bytes",
                  argon ? "" : "its Argon2id parameters are out of range",
                  keys && g.v.size() == sha256_bytes
                      ? ""
                      : "its verifier or one of its keys does not have 32 bytes"});
}
std::string fault_of(const KeepGrant& g) {
    return first({fault_of_name("a user", g.user), fault_of_common(g)});
}
std::string fault_of(const WriteGrant& g) {
    return first({fault_of_name("a dataset", g.dataset), fault_of_common(g)});
}

bool within(const RunGrant& handed, const RunGrant& held) {
    return same_authority(handed, held) && handed.at_expiry >= held.at_expiry;
}
bool within(const UseGrant& handed, const UseGrant& held) {
    return same_authority(handed, held);
}
bool within(const LoginGrant& handed, const LoginGrant& held) {
    return same_authority(handed, held) && subset(handed.groups, held.groups) &&
           subset(handed.apps, held.apps) &&
           same_or_hidden(handed.display_name, held.display_name) &&
           same_or_hidden(handed.email, held.email);
}
bool within(const KeepGrant& handed, const KeepGrant& held) {
    return same_authority(handed, held);
}
bool within(const WriteGrant& handed, const WriteGrant& held) {
    return same_authority(handed, held) && handed.fence == held.fence;
}
bool within(const AnyGrant& handed, const AnyGrant& held) {
    return std::visit(
        [&](const auto& h) {
            const auto* same_kind = std::get_if<std::decay_t<decltype(h)>>(&held);
            return same_kind != nullptr && within(h, *same_kind);
        },
        handed);
}

std::string_view kind_name(const AnyGrant& grant) {
    return std::visit([](const auto& g) { return kind_of<std::decay_t<decltype(g)>>(); }, grant);
}
std::string title_of(const AnyGrant& grant) {
    return std::string(kind_name(grant)) + " " +
           std::visit([](const auto& g) { return key_of(g); }, grant);
}
const TierName& origin_of(const AnyGrant& grant) {
    return std::visit([](const auto& g) -> const TierName& { return g.origin; }, grant);
}
std::int64_t expiry_of(const AnyGrant& grant) {
    return std::visit([](const auto& g) { return g.expires_us; }, grant);
}

std::vector<AnyGrant> all_of(const Grants& grants) {
    std::vector<AnyGrant> out;
    out.reserve(grants.count());
    out.insert(out.end(), grants.run.begin(), grants.run.end());
    out.insert(out.end(), grants.use.begin(), grants.use.end());
    out.insert(out.end(), grants.login.begin(), grants.login.end());
    out.insert(out.end(), grants.keep.begin(), grants.keep.end());
    out.insert(out.end(), grants.write.begin(), grants.write.end());
    return out;
}

} // namespace hasp::trust::detail

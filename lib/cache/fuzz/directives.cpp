// No value of Cache-Control makes a lifetime outside its limits, and an answer that says private is
// never shared.
#include "cache/rules.h"

#include <cstdint>
#include <cstdlib>

using namespace hasp;

namespace {

void within(const std::optional<std::int64_t>& seconds) {
    if (seconds && (*seconds < 0 || *seconds > cache::delta_seconds_max)) {
        std::abort();
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    const std::string_view first = text.substr(0, text.find('\n'));
    const std::string_view rest = text.substr(std::min(first.size() + 1, text.size()));
    net::Headers headers;
    headers.add("Cache-Control", first, net::Name::cache_control);
    headers.add("CDN-Cache-Control", rest, net::Name::cdn_cache_control);
    headers.add("Vary", rest, net::Name::vary);
    headers.add("Age", rest, net::Name::age);
    headers.add("Expires", first, net::Name::expires);
    const cache::AnswerDirectives said = cache::answer_directives(headers);
    for (const auto& seconds :
         {said.max_age, said.s_maxage, said.stale_if_error, said.stale_while_revalidate}) {
        within(seconds);
    }
    const cache::RequestDirectives asked = cache::request_directives(headers);
    within(asked.max_age);
    within(asked.min_fresh);
    within(asked.max_stale);
    cache::AskedBy by;
    by.get = true;
    const cache::Scope scope = cache::scope_of(200, headers, by, true);
    if (scope == cache::Scope::owner ||
        (scope == cache::Scope::shared && (said.is_private || said.no_store) &&
         !said.must_understand)) {
        std::abort();
    }
    const cache::Freshness fresh = cache::freshness_of(200, headers, scope, 1'000, 1'001);
    if (fresh.age_s(1'002) < 1 || fresh.lifetime_s < 0) {
        std::abort();
    }
    return 0;
}

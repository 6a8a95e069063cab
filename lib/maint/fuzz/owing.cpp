// What tiers report of the copies that they and those below them have, and what is answered of it:
// anything; what is taken is bounded, and reads the same when it is said again.
#include "owing.h"

#include "base/text.h"
#include "trust/name.h"

#include <cstdint>
#include <cstdlib>
#include <string_view>

namespace {

void require(bool holds) {
    if (!holds) {
        std::abort();
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace hasp::maint;
    const hasp::Json json = hasp::parse_object(
        std::string_view(size > 0 ? reinterpret_cast<const char*>(data) : "", size));
    std::size_t copies = 0;
    for (const auto& [user, list] : copies_in("hasp://clinics/center/tokyo", json)) {
        require(hasp::valid_name(user));
        copies += list.size();
        for (const Owing& one : list) {
            require(one.tier.starts_with("hasp://clinics/center/tokyo"));
            require(!owing_text(one, "your", 1, 0).empty());
        }
    }
    require(copies <= copies_reported_max);
    const std::vector<Owing> owing = owing_of(hasp::member(json, "owed"));
    require(owing.size() <= owing_told_max);
    for (const Owing& one : owing) {
        require(hasp::trust::TierName::parse(one.tier).ok());
    }
    require(hasp::dump(to_json(owing_of(to_json(owing)))) == hasp::dump(to_json(owing)));
    return 0;
}

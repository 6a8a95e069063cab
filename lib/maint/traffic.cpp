#include "traffic.h"

#include "base/text.h"

#include <algorithm>

namespace hasp::maint {

Purpose purpose_of(std::string_view type) {
    if (type == "release.get" || type == "pack.get" || type.starts_with("push.")) {
        return Purpose::packs;
    }
    if (type.starts_with("files.") || type.starts_with("sync.")) {
        return Purpose::files;
    }
    return type == "usage" || type.starts_with("ledger.") ? Purpose::ledger : Purpose::control;
}

void Traffic::frame(bool upward, std::string_view type, std::uint64_t in, std::uint64_t out) {
    Bytes& bytes = bytes_[upward ? 0 : 1][static_cast<std::size_t>(purpose_of(type))];
    bytes.in += in;
    bytes.out += out;
}

void Traffic::requests(const Json& head) {
    const auto count = [](const Json& side, const char* key) {
        return static_cast<std::uint64_t>(std::max<std::int64_t>(0, int_of(side, key)));
    };
    for (std::size_t side = 0; side < bytes_.size(); ++side) {
        const Json& said = member(head, side == 0 ? "parent" : "children");
        bytes_[side][0] = {earlier_fronts_[side].in + count(said, "in"),
                           earlier_fronts_[side].out + count(said, "out")};
    }
}

void Traffic::front_started() {
    for (std::size_t side = 0; side < bytes_.size(); ++side) {
        earlier_fronts_[side] = bytes_[side][0];
    }
}

std::uint64_t Traffic::useful_to_parent() const {
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < bytes_[0].size(); ++i) {
        if (i != static_cast<std::size_t>(Purpose::control)) {
            sum += bytes_[0][i].in + bytes_[0][i].out;
        }
    }
    return sum;
}

Json Traffic::json_of(const ByPurpose& bytes) {
    Json out = Json::object();
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        out[purpose_names[i]] = {{"in", bytes[i].in}, {"out", bytes[i].out}};
    }
    return out;
}

Json Traffic::json(bool has_parent) const {
    return {{"since", rfc3339(since_us_)},
            {"parent", has_parent ? json_of(bytes_[0]) : Json()},
            {"children", json_of(bytes_[1])}};
}

} // namespace hasp::maint

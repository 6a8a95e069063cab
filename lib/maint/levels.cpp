#include "levels.h"

#include "text_patch.h"

#include <algorithm>
#include <array>

namespace hasp::maint {

namespace {

constexpr std::array<std::string_view, 4> level_types{"report", "catalog", "desired", "lease"};

std::string payload_of(std::string_view head, std::string_view body) {
    std::string out;
    out.reserve(head.size() + 1 + body.size());
    out.append(head);
    out.push_back('\0');
    out.append(body);
    return out;
}

} // namespace

bool Levels::is_level(std::string_view type) {
    return std::find(level_types.begin(), level_types.end(), type) != level_types.end();
}

void Levels::remember(const std::string& type, std::string payload) {
    if (payload.size() > level_bytes_max) {
        last_.erase(type);
    } else {
        last_[type] = std::move(payload);
    }
}

std::optional<std::string> Levels::shorten(const std::string& type, std::string_view head,
                                           std::string_view body) {
    std::string payload = payload_of(head, body);
    std::optional<std::string> out;
    if (const auto last = last_.find(type);
        last != last_.end() && payload.size() <= level_bytes_max) {
        if (auto patch = make_patch(last->second, payload);
            patch.ok() && patch->size() < payload.size()) {
            out = *std::move(patch);
        }
    }
    remember(type, std::move(payload));
    return out;
}

void Levels::heard(const std::string& type, std::string_view head, std::string_view body) {
    remember(type, payload_of(head, body));
}

Result<Levels::Whole> Levels::restore(const std::string& type, std::string_view patch) {
    const auto last = last_.find(type);
    if (last == last_.end()) {
        return fail(Code::refused, "a difference to a '" + type + "' that was never said");
    }
    auto payload = apply_patch(last->second, patch, level_bytes_max);
    if (!payload.ok()) {
        return payload.error();
    }
    const std::size_t end = payload->find('\0');
    if (end == std::string::npos) {
        return fail(Code::refused, "a difference that gives no message");
    }
    Whole out{payload->substr(0, end), payload->substr(end + 1)};
    remember(type, *std::move(payload));
    return out;
}

} // namespace hasp::maint

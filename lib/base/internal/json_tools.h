// The JSON library behind a few total functions: nothing here throws, wrong types read as absent.
// For .cpp files and private headers of those who link hasp_json; never in a public header.
#pragma once

#include "base/result.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

// Compiled once, in json_tools.cpp: otherwise a tenth of all that the compiler does.
extern template class nlohmann::basic_json<>;

namespace hasp {

using Json = nlohmann::json;

inline std::string dump(const Json& json, int indent = -1) {
    return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

// Levels of objects and arrays in a text that comes from elsewhere: dump() calls itself for each of
// them, so that an endless "[[[[…" would end the process that repeats it.
inline constexpr int json_depth_max = 200;

inline bool json_too_deep(std::string_view text) {
    int depth = 0;
    bool quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (quoted) {
            i += c == '\\' ? 1 : 0;
            quoted = c != '"';
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            if (++depth > json_depth_max) {
                return true;
            }
        } else if (c == '}' || c == ']') {
            --depth;
        }
    }
    return false;
}

// An object, or an empty one for anything else and for what is nested too deep.
inline Json parse_object(std::string_view text) {
    Json json = json_too_deep(text) ? Json() : Json::parse(text, nullptr, false);
    return json.is_object() ? json : Json::object();
}

inline const Json& member(const Json& json, const char* key) {
    static const Json none;
    if (!json.is_object()) {
        return none;
    }
    const auto at = json.find(key);
    return at == json.end() ? none : *at;
}

// Of a temporary, by value: a loop over member(parse_object(text), …) must own what it walks.
inline Json member(Json&& json, const char* key) {
    if (!json.is_object()) {
        return {};
    }
    const auto at = json.find(key);
    return at == json.end() ? Json() : std::move(*at);
}

inline std::string text_of(const Json& json, const char* key) {
    const Json& value = member(json, key);
    return value.is_string() ? value.get<std::string>() : std::string();
}

inline std::int64_t int_of(const Json& json, const char* key, std::int64_t otherwise = 0) {
    const Json& value = member(json, key);
    return value.is_number_integer() ? value.get<std::int64_t>() : otherwise;
}

// What can be no less than nothing: 0 where it is, or is no number.
inline std::uint64_t count_of(const Json& json, const char* key) {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(0, int_of(json, key)));
}

inline bool true_of(const Json& json, const char* key, bool otherwise = false) {
    const Json& value = member(json, key);
    return value.is_boolean() ? value.get<bool>() : otherwise;
}

inline std::vector<std::string> texts_of(const Json& json, const char* key) {
    std::vector<std::string> out;
    for (const Json& value : member(json, key)) {
        if (value.is_string()) {
            out.push_back(value.get<std::string>());
        }
    }
    return out;
}

inline Json error_json(const Error& error) {
    return {{"code", code_name(error.code)}, {"message", error.message}, {"hint", error.hint}};
}

inline Error error_of(const Json& json) {
    return fail(code_from_name(text_of(json, "code")), text_of(json, "message"),
                text_of(json, "hint"));
}

} // namespace hasp

#include "manifest_read.h"

#include "base/log.h"
#include "base/text.h"

#include <algorithm>

namespace hasp::run {
namespace {

constexpr std::size_t entries_max = 64;
constexpr std::size_t string_bytes_max = 4096;
constexpr std::size_t shown_bytes_max = 60;

// The file is its publisher's, and messages go to terminals: nothing in it may act there.
std::string shown(std::string_view word) {
    return "\"" + json_escape(word.substr(0, shown_bytes_max)) + "\"";
}

std::vector<std::string> section_names() {
    std::vector<std::string> names;
    for (const KeyRow& row : manifest_keys()) {
        if (std::ranges::find(names, row.section) == names.end()) {
            names.emplace_back(row.section);
        }
    }
    return names;
}

std::vector<std::string> key_names(std::string_view section) {
    std::vector<std::string> names;
    for (const KeyRow& row : manifest_keys()) {
        if (row.section == section) {
            names.emplace_back(row.key);
        }
    }
    return names;
}

std::string did_you_mean(std::string_view word, const std::vector<std::string>& names) {
    const std::string near = nearest(word, names);
    return near.empty() ? "see hasp-app.toml(5) for the valid ones"
                        : "did you mean \"" + near + "\"?";
}

bool is_text(const toml::node& value) {
    const auto* text = value.as_string();
    return text != nullptr && text->get().size() <= string_bytes_max &&
           text->get().find('\0') == std::string::npos;
}

// "MIN-MAX" of an integer row.
std::optional<std::pair<std::int64_t, std::int64_t>> range_of(const KeyRow& row) {
    const auto dash = row.limits.find('-');
    if (dash == std::string_view::npos) {
        return std::nullopt;
    }
    const auto low = parse_u64(row.limits.substr(0, dash));
    const auto high = parse_u64(row.limits.substr(dash + 1));
    if (!low || !high) {
        return std::nullopt;
    }
    return std::pair{static_cast<std::int64_t>(*low), static_cast<std::int64_t>(*high)};
}

// Empty when the value is as the row says, else what was expected.
std::string expected(const KeyRow& row, const toml::node& value) {
    static const std::string text_limits = " (no NUL, at most 4096 bytes)";
    if (row.type == "integer") {
        const auto* number = value.as_integer();
        const auto range = range_of(row);
        const bool fits =
            number != nullptr &&
            (!range || (number->get() >= range->first && number->get() <= range->second));
        return fits ? "" : "expected an integer, " + std::string(row.limits);
    }
    if (row.type == "boolean") {
        return value.is_boolean() ? "" : "expected true or false";
    }
    if (row.type == "array of strings") {
        const auto* array = value.as_array();
        const bool fits =
            array != nullptr && array->size() <= entries_max &&
            std::ranges::all_of(*array, [](const toml::node& n) { return is_text(n); });
        return fits ? "" : "expected an array of at most 64 strings" + text_limits;
    }
    if (row.type == "array of integers") {
        const auto* array = value.as_array();
        const bool fits =
            array != nullptr && array->size() <= entries_max &&
            std::ranges::all_of(*array, [](const toml::node& n) { return n.is_integer(); });
        return fits ? "" : "expected an array of at most 64 integers";
    }
    if (row.type == "table of strings") {
        const auto* table = value.as_table();
        bool fits = table != nullptr && table->size() <= entries_max;
        if (fits) {
            for (const auto& entry : *table) {
                fits = fits && is_text(entry.second);
            }
        }
        return fits ? "" : "expected a table of at most 64 strings" + text_limits;
    }
    if (!is_text(value)) {
        return "expected a string" + text_limits;
    }
    if (row.type != "string") {
        for (const std::string_view choice : split(row.type, '|')) {
            if (trim(choice) == value.as_string()->get()) {
                return "";
            }
        }
        return "expected one of " + std::string(row.type) + ", not " +
               shown(value.as_string()->get());
    }
    return "";
}

} // namespace

Error ManifestReader::at(toml::source_region where, const std::string& what,
                         std::string hint) const {
    const auto line = where.begin.line;
    return fail(Code::usage, file_ + ":" + std::to_string(line == 0 ? 1 : line) + ": " + what,
                std::move(hint));
}

Error ManifestReader::error(std::string_view section, std::string_view key, const std::string& what,
                            std::string hint) const {
    toml::source_region where;
    if (const auto* section_node = table_.get(section)) {
        where = section_node->source();
    }
    if (const auto* value = node(section, key)) {
        where = value->source();
    }
    return at(where, "[" + std::string(section) + "] " + std::string(key) + ": " + what,
              std::move(hint));
}

Status ManifestReader::check_section(std::string_view section, const toml::key& name,
                                     const toml::node& value) const {
    for (const KeyRow& row : manifest_keys()) {
        if (row.section == section && row.key == name.str()) {
            const std::string what = expected(row, value);
            if (!what.empty()) {
                return at(value.source(),
                          "[" + std::string(section) + "] " + std::string(row.key) + ": " + what);
            }
            return {};
        }
    }
    return at(name.source(),
              "unknown key " + shown(name.str()) + " in [" + std::string(section) + "]",
              did_you_mean(name.str(), key_names(section)));
}

Status ManifestReader::load(std::string_view text) {
    if (text.size() > manifest_bytes_max) {
        return fail(Code::usage, file_ + ":1: the file has " + std::to_string(text.size()) +
                                     " bytes, and at most " + std::to_string(manifest_bytes_max) +
                                     " are allowed");
    }
    try {
        table_ = toml::parse(text, file_);
    } catch (const toml::parse_error& e) {
        return at(e.source(), "not valid TOML: " + std::string(e.description()));
    } catch (const std::exception& e) {
        // An assertion of toml++ (cmake/toml_assert.h), which knows no place.
        return at({}, "not valid TOML: " + std::string(e.what()));
    }
    const auto sections = section_names();
    for (const auto& [name, value] : table_) {
        if (std::ranges::find(sections, name.str()) == sections.end()) {
            return at(name.source(), "unknown section or key " + shown(name.str()),
                      did_you_mean(name.str(), sections));
        }
        if (!value.is_table()) {
            return at(value.source(), "[" + std::string(name.str()) + "] must be a table");
        }
        for (const auto& [key, inner] : *value.as_table()) {
            if (Status s = check_section(name.str(), key, inner); !s) {
                return s;
            }
        }
    }
    return {};
}

const toml::node* ManifestReader::node(std::string_view section, std::string_view key) const {
    const auto* table = table_.get_as<toml::table>(section);
    return table == nullptr ? nullptr : table->get(key);
}

bool ManifestReader::has(std::string_view section) const {
    return table_.contains(section);
}

bool ManifestReader::has(std::string_view section, std::string_view key) const {
    return node(section, key) != nullptr;
}

std::string ManifestReader::text(std::string_view section, std::string_view key,
                                 std::string fallback) const {
    const auto* value = node(section, key);
    return value == nullptr ? std::move(fallback) : value->as_string()->get();
}

std::int64_t ManifestReader::number(std::string_view section, std::string_view key,
                                    std::int64_t fallback) const {
    const auto* value = node(section, key);
    return value == nullptr ? fallback : value->as_integer()->get();
}

bool ManifestReader::flag(std::string_view section, std::string_view key, bool fallback) const {
    const auto* value = node(section, key);
    return value == nullptr ? fallback : value->as_boolean()->get();
}

std::vector<std::string> ManifestReader::list(std::string_view section,
                                              std::string_view key) const {
    std::vector<std::string> out;
    if (const auto* value = node(section, key)) {
        for (const toml::node& entry : *value->as_array()) {
            out.push_back(entry.as_string()->get());
        }
    }
    return out;
}

std::vector<std::int64_t> ManifestReader::numbers(std::string_view section,
                                                  std::string_view key) const {
    std::vector<std::int64_t> out;
    if (const auto* value = node(section, key)) {
        for (const toml::node& entry : *value->as_array()) {
            out.push_back(entry.as_integer()->get());
        }
    }
    return out;
}

std::map<std::string, std::string> ManifestReader::map(std::string_view section,
                                                       std::string_view key) const {
    std::map<std::string, std::string> out;
    if (const auto* value = node(section, key)) {
        for (const auto& [name, entry] : *value->as_table()) {
            out.emplace(std::string(name.str()), entry.as_string()->get());
        }
    }
    return out;
}

} // namespace hasp::run

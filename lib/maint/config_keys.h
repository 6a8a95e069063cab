// The table of keys of hasp.toml, and where each value stands in a Config.
#pragma once

#include "maint/config.h"

#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace hasp::maint {

// One accessor a type; a choice is an index into `choices`.
using NumberAt = std::int64_t& (*)(Config&);
using TextAt = std::string& (*)(Config&);
using ListAt = std::vector<std::string>& (*)(Config&);
using SwitchAt = bool& (*)(Config&);
struct ChoiceAt {
    std::size_t (*get)(const Config&);
    void (*set)(Config&, std::size_t);
};

struct ConfigKey {
    std::string_view section;
    std::string_view key;
    Takes takes;
    std::variant<NumberAt, TextAt, ListAt, SwitchAt, ChoiceAt> at;
    std::string_view unit = {};
    std::int64_t least = 0; // numbers
    std::int64_t most = 0;
    std::vector<std::string> choices = {};
    // Of a text or each item of a list: what is wrong with it, empty when nothing is. An empty text
    // is never asked about.
    std::string (*check)(std::string_view) = nullptr;
    std::string_view limits = {}; // for the manual, where `check` decides
    std::string_view text;
};

// In the manual's order, sections together.
const std::vector<ConfigKey>& config_keys();

// A value as it stands in the file.
std::string config_value_text(const ConfigKey& key, const Config& config);

} // namespace hasp::maint

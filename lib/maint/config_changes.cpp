// What differs between two configs, by the table of keys.
#include "config_keys.h"

namespace hasp::maint {

namespace {

void copy_value(const ConfigKey& key, const Config& from, Config& into) {
    Config source = from; // the accessors serve writing too
    struct Copy {
        Config& source;
        Config& into;
        void operator()(NumberAt at) const { at(into) = at(source); }
        void operator()(TextAt at) const { at(into) = at(source); }
        void operator()(ListAt at) const { at(into) = at(source); }
        void operator()(SwitchAt at) const { at(into) = at(source); }
        void operator()(const ChoiceAt& at) const { at.set(into, at.get(source)); }
    };
    std::visit(Copy{source, into}, key.at);
}

} // namespace

std::vector<ConfigChange> config_changes(const Config& was, const Config& now) {
    std::vector<ConfigChange> out;
    for (const ConfigKey& key : config_keys()) {
        if (config_value_text(key, was) != config_value_text(key, now)) {
            out.push_back({std::string(key.section) + "." + std::string(key.key), key.takes});
        }
    }
    return out;
}

Config config_in_effect(const Config& was, const Config& now) {
    Config out = now;
    for (const ConfigKey& key : config_keys()) {
        if (key.takes == Takes::start) {
            copy_value(key, was, out);
        }
    }
    return out;
}

} // namespace hasp::maint

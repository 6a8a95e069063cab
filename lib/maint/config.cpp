#include "maint/config.h"

#include "base/files.h"
#include "base/text.h"
#include "config_keys.h"
#include "web_zones.h"

#include <algorithm>
#define TOML_EXCEPTIONS 1
#include <toml++/toml.h>

namespace hasp::maint {

namespace {

constexpr std::size_t list_items_max = 256;

std::string at_line(const std::string& file, const toml::node& node) {
    return file + ":" + std::to_string(node.source().begin.line) + ": ";
}

std::string dotted(const ConfigKey& key) {
    return std::string(key.section) + "." + std::string(key.key);
}

// One value of the file into the Config.
class Reader {
  public:
    Reader(const std::string& file, Config& config) : file_(file), config_(config) {}

    Status read(const ConfigKey& key, const toml::node& node) const {
        return std::visit([&](const auto& at) { return take(key, node, at); }, key.at);
    }

  private:
    Error wrong(const ConfigKey& key, const toml::node& node, const std::string& text) const {
        return fail(Code::usage, at_line(file_, node) + dotted(key) + " " + text,
                    "see hasp.toml(5)");
    }

    Status take(const ConfigKey& key, const toml::node& node, NumberAt at) const {
        const auto* value = node.as_integer();
        if (value == nullptr) {
            return wrong(key, node, "must be a whole number of " + std::string(key.unit));
        }
        if (value->get() < key.least || value->get() > key.most) {
            return wrong(key, node,
                         "is " + std::to_string(value->get()) + ", but must be from " +
                             std::to_string(key.least) + " to " + std::to_string(key.most) + " " +
                             std::string(key.unit));
        }
        at(config_) = value->get();
        return {};
    }

    Status take(const ConfigKey& key, const toml::node& node, SwitchAt at) const {
        const auto* value = node.as_boolean();
        if (value == nullptr) {
            return wrong(key, node, "must be true or false");
        }
        at(config_) = value->get();
        return {};
    }

    Status take(const ConfigKey& key, const toml::node& node, const ChoiceAt& at) const {
        const auto* value = node.as_string();
        const auto found = value == nullptr
                               ? key.choices.end()
                               : std::find(key.choices.begin(), key.choices.end(), value->get());
        if (found == key.choices.end()) {
            std::string all;
            for (const std::string& choice : key.choices) {
                all += (all.empty() ? "\"" : ", \"") + choice + "\"";
            }
            return wrong(key, node, "must be one of " + all);
        }
        at.set(config_, static_cast<std::size_t>(found - key.choices.begin()));
        return {};
    }

    Status take(const ConfigKey& key, const toml::node& node, TextAt at) const {
        const auto* value = node.as_string();
        if (value == nullptr) {
            return wrong(key, node, "must be a text in quotes");
        }
        if (Status good = check(key, node, value->get()); !good.ok() && !value->get().empty()) {
            return good;
        }
        at(config_) = value->get();
        return {};
    }

    Status take(const ConfigKey& key, const toml::node& node, ListAt at) const {
        const toml::array* items = node.as_array();
        if (items == nullptr) {
            return wrong(key, node, "must be a list of texts, for example [\"a\", \"b\"]");
        }
        if (items->size() > list_items_max) {
            return wrong(key, node, "has more than " + std::to_string(list_items_max) + " items");
        }
        std::vector<std::string> out;
        for (const toml::node& item : *items) {
            const auto* value = item.as_string();
            if (value == nullptr) {
                return wrong(key, item, "must be a list of texts, for example [\"a\", \"b\"]");
            }
            if (Status good = check(key, item, value->get()); !good.ok()) {
                return good;
            }
            out.push_back(value->get());
        }
        at(config_) = std::move(out);
        return {};
    }

    Status check(const ConfigKey& key, const toml::node& node, const std::string& text) const {
        // Neither a control character nor a NUL belongs into any text here.
        const bool control = std::any_of(text.begin(), text.end(), [](char c) {
            return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
        });
        const std::string reason = control                ? "contains a control character"
                                   : key.check != nullptr ? key.check(text)
                                                          : "";
        return reason.empty() ? Status()
                              : wrong(key, node, "`" + (control ? "…" : text) + "` " + reason);
    }

    const std::string& file_;
    Config& config_;
};

Error unknown(const std::string& file, const toml::key& key, const std::string& where,
              const std::vector<std::string>& candidates) {
    const std::string near = nearest(key.str(), candidates);
    return fail(Code::usage,
                file + ":" + std::to_string(key.source().begin.line) + ": there is no " + where +
                    " `" + std::string(key.str()) + "`",
                near.empty() ? "see hasp.toml(5)" : "did you mean `" + near + "`?");
}

Status read_section(const std::string& file, const toml::key& name, const toml::node& node,
                    Config& config) {
    std::vector<std::string> sections;
    std::vector<std::string> keys;
    for (const ConfigKey& key : config_keys()) {
        if (sections.empty() || sections.back() != key.section) {
            sections.emplace_back(key.section);
        }
        if (key.section == name.str()) {
            keys.emplace_back(key.key);
        }
    }
    if (keys.empty()) {
        return unknown(file, name, node.is_table() ? "section" : "key at the top", sections);
    }
    const toml::table* table = node.as_table();
    if (table == nullptr) {
        return fail(Code::usage,
                    at_line(file, node) + "`" + std::string(name.str()) + "` must be a section, [" +
                        std::string(name.str()) + "]",
                    "see hasp.toml(5)");
    }
    for (const auto& [key, value] : *table) {
        const std::string_view word = key.str();
        const auto found =
            std::find_if(config_keys().begin(), config_keys().end(), [&](const ConfigKey& k) {
                return k.section == name.str() && k.key == word;
            });
        if (found == config_keys().end()) {
            return unknown(file, key, "key in [" + std::string(name.str()) + "]", keys);
        }
        if (Status taken = Reader(file, config).read(*found, value); !taken.ok()) {
            return taken;
        }
    }
    return {};
}

// The first line that opens a section without a name behind the bracket, 0 when there is none.
// toml++ 3.3 takes it for granted that a name follows ("[ = "), and no value of ours has a line
// that begins with a bracket.
std::size_t line_of_nameless_section(std::string_view text) {
    std::size_t number = 0;
    for (std::string_view line : split(text, '\n')) {
        ++number;
        line = trim(line);
        if (!line.starts_with('[')) {
            continue;
        }
        line = trim(line.substr(line.starts_with("[[") ? 2 : 1));
        const char c = line.empty() ? '\0' : line.front();
        const bool name = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '"' || c == '\'';
        if (!name) {
            return number;
        }
    }
    return 0;
}

Status check_relations(const Config& config, const std::string& file) {
    const auto wrong = [&](const std::string& text) {
        return fail(Code::usage, file + ": " + text, "see hasp.toml(5)");
    };
    const bool files = config.web.tls_from == Config::TlsFrom::files;
    if (!config.web.tls_listen.empty() && files &&
        (config.web.tls_cert.empty() || config.web.tls_key.empty())) {
        return wrong("web.tls_listen needs web.tls_cert and web.tls_key");
    }
    if (config.web.tls_cert.empty() != config.web.tls_key.empty()) {
        return wrong("web.tls_cert and web.tls_key go together");
    }
    if (!files && !config.web.tls_cert.empty()) {
        return wrong("web.tls_cert and web.tls_key are for web.tls_from = \"files\"");
    }
    if (!files && browser_names(config).empty()) {
        return wrong("web.tls_from needs web.tls_names, web.portal_hosts or web.app_host");
    }
    if (auto zones = WebZones::parse(config.web_ca.names, config.web_ca.assign); !zones.ok()) {
        return wrong("web_ca.assign " + zones.error().message);
    }
    if (!config.acme.directory.empty() &&
        (config.acme.names.empty() || config.acme.dns_hook.empty())) {
        return wrong("acme.directory needs acme.names and acme.dns_hook");
    }
    if (auto zones = WebZones::parse(config.acme.names, config.acme.assign); !zones.ok()) {
        return wrong("acme.assign " + zones.error().message);
    }
    if (!config.web.direct_url.empty()) {
        const std::string_view url = config.web.direct_url;
        const std::string_view authority = url.substr(url.find("://") + 3);
        if (authority.substr(0, authority.find(':')) != config.web.app_host) {
            return wrong("web.direct_url must name the hosts of web.app_host");
        }
    }
    if (config.web.max_connections_per_address > config.web.max_connections) {
        return wrong("web.max_connections_per_address must not be more than web.max_connections");
    }
    if (config.upstream.cert.empty() != config.upstream.key.empty()) {
        return wrong("upstream.cert and upstream.key go together");
    }
    if (config.link.park_min > config.link.park_max) {
        return wrong("link.park_min must not be more than link.park_max");
    }
    if (config.session.hours > config.session.absolute_days * 24) {
        return wrong("session.hours must not be longer than session.absolute_days");
    }
    if (!config.scan.clamd.empty() && !config.scan.command.empty()) {
        return wrong("scan.clamd and scan.command are two scanners: name one");
    }
    if (!config.scan.command.empty() && !config.scan.command.front().starts_with('/')) {
        return wrong("scan.command must begin with a program's absolute path");
    }
    if (config.lease.days > config.lease.run_days) {
        return wrong("lease.days must not be more than lease.run_days");
    }
    return {};
}

} // namespace

Result<Config> parse_config(std::string_view text, const std::string& file) {
    if (text.size() > config_bytes_max) {
        return fail(Code::usage, file + " is larger than the limit of " +
                                     std::to_string(config_bytes_max) + " bytes");
    }
    // TOML forbids them, and toml++ 3.3 ends the process at some of them ("[" and a NUL) instead of
    // refusing.
    const auto odd = std::find_if(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n' && c != '\r') ||
               c == 0x7f;
    });
    if (odd != text.end()) {
        return fail(Code::usage, file + ":" +
                                     std::to_string(1 + std::count(text.begin(), odd, '\n')) +
                                     ": there is a control character");
    }
    if (const std::size_t line = line_of_nameless_section(text); line > 0) {
        return fail(Code::usage, file + ":" + std::to_string(line) + ": a section has no name");
    }
    try {
        const toml::table root = toml::parse(text, file);
        Config config;
        for (const auto& [key, node] : root) {
            if (Status taken = read_section(file, key, node, config); !taken.ok()) {
                return taken.error();
            }
        }
        if (Status related = check_relations(config, file); !related.ok()) {
            return related.error();
        }
        return config;
    } catch (const toml::parse_error& e) {
        return fail(Code::usage,
                    file + ":" + std::to_string(e.source().begin.line) + ": " +
                        std::string(e.description()),
                    "see hasp.toml(5)");
    } catch (const std::exception& e) {
        return fail(Code::usage, file + ": " + e.what());
    }
}

Result<Config> load_config(const std::string& path) {
    Result<std::string> text = read_file(path, config_bytes_max);
    if (!text.ok()) {
        return text.error();
    }
    return parse_config(*text, path);
}

std::string example_config(const Config& config) {
    const Config defaults;
    std::string out = "# The config of this tier. Every key has a default; only what differs "
                      "stands here. See hasp.toml(5).\n";
    std::string_view section;
    for (const ConfigKey& key : config_keys()) {
        const std::string value = config_value_text(key, config);
        if (value == config_value_text(key, defaults)) {
            continue;
        }
        if (section != key.section) {
            section = key.section;
            out += "\n[" + std::string(section) + "]\n";
        }
        out += "# " + std::string(key.text) + "\n" + std::string(key.key) + " = " + value + "\n";
    }
    return out;
}

std::vector<TableRow> config_rows() {
    struct TypeName {
        const ConfigKey& key;
        std::string operator()(NumberAt) const { return "number"; }
        std::string operator()(TextAt) const { return "text"; }
        std::string operator()(ListAt) const { return "list of texts"; }
        std::string operator()(SwitchAt) const { return "true or false"; }
        std::string operator()(const ChoiceAt&) const {
            std::string out = "one of ";
            for (const std::string& choice : key.choices) {
                out += (&choice == &key.choices.front() ? "\"" : ", \"") + choice + "\"";
            }
            return out;
        }
    };
    std::vector<TableRow> out;
    const Config defaults;
    for (const ConfigKey& key : config_keys()) {
        const bool is_number = std::holds_alternative<NumberAt>(key.at);
        out.push_back({.section = std::string(key.section),
                       .key = std::string(key.key),
                       .type = std::visit(TypeName{key}, key.at),
                       .unit = std::string(key.unit),
                       .default_text = config_value_text(key, defaults),
                       .limits = is_number
                                     ? std::to_string(key.least) + " to " + std::to_string(key.most)
                                     : std::string(key.limits),
                       .text = std::string(key.text),
                       .at_start = key.takes == Takes::start});
    }
    return out;
}

} // namespace hasp::maint

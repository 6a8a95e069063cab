// A hasp-app.toml whose keys, types and ranges have been checked against manifest_keys(). Private:
// shows toml++.
#pragma once

#include "run/manifest.h"

// As an exception-free header toml++ would return results; it is compiled with exceptions here, and
// they stay inside.
#include <toml++/toml.h>

namespace hasp::run {

class ManifestReader {
  public:
    explicit ManifestReader(const std::string& file_name) : file_(file_name) {}

    // Parses and checks the whole text.
    Status load(std::string_view text);

    // Values of checked keys; the fallback when the key is missing.
    std::string text(std::string_view section, std::string_view key,
                     std::string fallback = {}) const;
    std::int64_t number(std::string_view section, std::string_view key,
                        std::int64_t fallback) const;
    bool flag(std::string_view section, std::string_view key, bool fallback) const;
    std::vector<std::string> list(std::string_view section, std::string_view key) const;
    std::vector<std::int64_t> numbers(std::string_view section, std::string_view key) const;
    std::map<std::string, std::string> map(std::string_view section, std::string_view key) const;

    bool has(std::string_view section) const;
    bool has(std::string_view section, std::string_view key) const;

    // "FILE:LINE: [section] key: what", with the line of the key, its section, or the file.
    Error error(std::string_view section, std::string_view key, const std::string& what,
                std::string hint = {}) const;

  private:
    const toml::node* node(std::string_view section, std::string_view key) const;
    Status check_section(std::string_view section, const toml::key& name,
                         const toml::node& value) const;
    Error at(toml::source_region where, const std::string& what, std::string hint = {}) const;

    std::string file_;
    toml::table table_;
};

} // namespace hasp::run

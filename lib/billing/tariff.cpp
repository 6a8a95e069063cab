#include "billing/tariff.h"

#include "base/text.h"
#include "billing/period.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <set>
#define TOML_EXCEPTIONS 1
#include <toml++/toml.h>

namespace hasp::billing {

namespace {

constexpr std::size_t text_bytes_max = 100;
constexpr std::array per_names{std::pair{"request", Per::request},
                               std::pair{"app_start", Per::app_start},
                               std::pair{"active_user", Per::active_user}};

class TariffReader {
  public:
    explicit TariffReader(const std::string& file) : file_(file) {}

    Result<Tariff> read(const toml::table& root) {
        for (const auto& [key, node] : root) {
            if (Status known = check_section(key, node); !known.ok()) {
                return known.error();
            }
        }
        const toml::table* head = root.get_as<toml::table>("tariff");
        if (head == nullptr) {
            return fail(Code::usage, file_ + ":1: there is no section [tariff]",
                        "see hasp-tariff.toml(5)");
        }
        Status good = read_head(*head);
        if (const toml::table* groups = root.get_as<toml::table>("groups");
            good.ok() && groups != nullptr) {
            for (const auto& [name, node] : *groups) {
                if (good.ok()) {
                    good = read_names(node, "groups." + std::string(name.str()),
                                      groups_[std::string(name.str())]);
                }
            }
        }
        if (const toml::array* prices = root.get_as<toml::array>("price");
            good.ok() && prices != nullptr) {
            if (prices->size() > tariff_prices_max) {
                return fail(Code::usage, file_ + ": there are more than " +
                                             std::to_string(tariff_prices_max) + " prices");
            }
            for (const toml::node& node : *prices) {
                if (good.ok()) {
                    good = read_price(*node.as_table());
                }
            }
        }
        if (!good.ok()) {
            return good.error();
        }
        if (tariff_.prices.empty()) {
            return fail(Code::usage, file_ + ": there is no [[price]]", "see hasp-tariff.toml(5)");
        }
        return std::move(tariff_);
    }

  private:
    Error at(const toml::node& node, const std::string& what, std::string hint = {}) const {
        return fail(Code::usage,
                    file_ + ":" + std::to_string(node.source().begin.line) + ": " + what,
                    hint.empty() ? "see hasp-tariff.toml(5)" : std::move(hint));
    }

    Error unknown(const toml::key& key, const std::string& where,
                  const std::vector<std::string>& candidates) const {
        const std::string near = nearest(key.str(), candidates);
        return fail(Code::usage,
                    file_ + ":" + std::to_string(key.source().begin.line) + ": there is no " +
                        where + " `" + std::string(key.str().substr(0, 40)) + "`",
                    near.empty() ? "see hasp-tariff.toml(5)" : "did you mean `" + near + "`?");
    }

    Status check_keys(const toml::table& table, std::string_view section) const {
        std::vector<std::string> keys;
        for (const TariffKey& row : tariff_keys()) {
            if (row.section == section) {
                keys.emplace_back(row.key);
            }
        }
        for (const auto& [key, node] : table) {
            if (std::find(keys.begin(), keys.end(), key.str()) == keys.end()) {
                return unknown(key, "key in [" + std::string(section) + "]", keys);
            }
        }
        return {};
    }

    Status check_section(const toml::key& key, const toml::node& node) const {
        if (key.str() == "tariff" || key.str() == "groups") {
            if (!node.is_table()) {
                return at(node, "[" + std::string(key.str()) + "] must be a section");
            }
            return key.str() == "tariff" ? check_keys(*node.as_table(), "tariff") : Status();
        }
        if (key.str() != "price") {
            return unknown(key, "section", {"tariff", "groups", "price"});
        }
        const toml::array* items = node.as_array();
        if (items == nullptr || !items->is_homogeneous(toml::node_type::table)) {
            return at(node, "prices are written as [[price]], one section each");
        }
        for (const toml::node& item : *items) {
            if (Status known = check_keys(*item.as_table(), "price"); !known.ok()) {
                return known;
            }
        }
        return {};
    }

    // A text; a number is refused with the text that it should have been.
    Result<std::string> text(const toml::table& table, const char* section, const char* key,
                             const char* otherwise) const {
        const toml::node* node = table.get(key);
        const std::string name = std::string(section) + "." + key;
        if (node == nullptr) {
            return otherwise != nullptr ? Result<std::string>(otherwise)
                                        : at(table, name + " is missing");
        }
        if (const auto* value = node->as_string(); value != nullptr) {
            const std::string& found = value->get();
            const bool printable = std::all_of(found.begin(), found.end(), [](char c) {
                return static_cast<unsigned char>(c) >= 0x20 && c != 0x7f;
            });
            if (found.empty() || found.size() > text_bytes_max || !printable) {
                return at(*node, name + " must have 1 to " + std::to_string(text_bytes_max) +
                                     " bytes without control characters");
            }
            return found;
        }
        std::string meant;
        if (const auto* real = node->as_floating_point(); real != nullptr) {
            std::array<char, 64> digits{};
            const auto end = std::to_chars(digits.data(), digits.data() + digits.size(),
                                           real->get(), std::chars_format::fixed);
            meant = end.ec == std::errc() ? std::string(digits.data(), end.ptr) : "";
            return at(*node,
                      name + " is a floating-point number, which money must never pass through",
                      "write it as text: " + std::string(key) + " = \"" + meant + "\"");
        }
        if (const auto* whole = node->as_integer(); whole != nullptr) {
            return at(*node, name + " must be a text",
                      "write it as text: " + std::string(key) + " = \"" +
                          std::to_string(whole->get()) + "\"");
        }
        return at(*node, name + " must be a text in quotes");
    }

    Status read_names(const toml::node& node, const std::string& name,
                      std::vector<std::string>& out) const {
        const toml::array* items = node.as_array();
        if (items == nullptr || items->empty()) {
            return at(node, name + " must be a list of names of apps, for example [\"wiki\"]");
        }
        for (const toml::node& item : *items) {
            const auto* value = item.as_string();
            if (value == nullptr || !valid_name(value->get())) {
                return at(item, name + " must be a list of names of apps, for example [\"wiki\"]");
            }
            out.push_back(value->get());
        }
        return {};
    }

    Status read_head(const toml::table& head) {
        auto version = text(head, "tariff", "version", nullptr);
        auto currency = text(head, "tariff", "currency", nullptr);
        auto from = text(head, "tariff", "effective_from", nullptr);
        auto zone_text = text(head, "tariff", "zone", "Z");
        auto rounding = text(head, "tariff", "rounding", "half-up");
        for (const auto* value : {&version, &currency, &from, &zone_text, &rounding}) {
            if (!value->ok()) {
                return value->error();
            }
        }
        tariff_.version = *version;
        tariff_.currency = *currency;
        if (currency->size() != 3 || !std::all_of(currency->begin(), currency->end(),
                                                  [](char c) { return c >= 'A' && c <= 'Z'; })) {
            return at(*head.get("currency"),
                      "tariff.currency must be three capital letters, for example \"EUR\"");
        }
        if (const toml::node* node = head.get("exponent"); node != nullptr) {
            const auto* value = node->as_integer();
            if (value == nullptr || value->get() < 0 || value->get() > exponent_max) {
                return at(*node, "tariff.exponent must be a whole number from 0 to " +
                                     std::to_string(exponent_max));
            }
            tariff_.exponent = static_cast<int>(value->get());
        }
        const auto zone = parse_zone(*zone_text);
        if (!zone.ok()) {
            return at(*head.get("zone"), "tariff.zone: " + zone.error().message, zone.error().hint);
        }
        tariff_.zone_minutes = *zone;
        const auto begins = from->size() == 10 ? parse_date(*from, *zone) : parse_rfc3339(*from);
        if (!begins.ok()) {
            return at(*head.get("effective_from"),
                      "tariff.effective_from: " + begins.error().message, begins.error().hint);
        }
        tariff_.effective_from_us = *begins;
        if (*rounding != "half-up" && *rounding != "half-even") {
            return at(*head.get("rounding"),
                      "tariff.rounding must be one of \"half-up\", \"half-even\"");
        }
        tariff_.rounding = *rounding == "half-up" ? Rounding::half_up : Rounding::half_even;
        return {};
    }

    Status read_price(const toml::table& table) {
        Price price;
        auto line = text(table, "price", "line", nullptr);
        auto per = text(table, "price", "per", nullptr);
        auto rate = text(table, "price", "rate", nullptr);
        auto tax = text(table, "price", "tax", "0");
        for (const auto* value : {&line, &per, &rate, &tax}) {
            if (!value->ok()) {
                return value->error();
            }
        }
        price.line = *line;
        const auto found = std::find_if(per_names.begin(), per_names.end(),
                                        [&](const auto& name) { return name.first == *per; });
        if (found == per_names.end()) {
            return at(*table.get("per"), "price.per must be one of \"request\", \"app_start\", "
                                         "\"active_user\"");
        }
        price.per = found->second;
        auto exact = parse_rate(*rate);
        if (!exact.ok()) {
            return at(*table.get("rate"), "price.rate: " + exact.error().message);
        }
        price.rate = *exact;
        price.rate_text = *rate;
        if (table.contains("tax")) {
            auto percent = parse_rate(*tax);
            if (!percent.ok()) {
                return at(*table.get("tax"), "price.tax: " + percent.error().message);
            }
            price.tax = *percent;
            price.tax_text = *tax;
        }
        if (const toml::node* node = table.get("apps"); node != nullptr) {
            if (Status read = read_names(*node, "price.apps", price.apps); !read.ok()) {
                return read;
            }
        }
        if (const toml::node* node = table.get("groups"); node != nullptr) {
            std::vector<std::string> names;
            if (Status read = read_names(*node, "price.groups", names); !read.ok()) {
                return read;
            }
            for (const std::string& name : names) {
                const auto group = groups_.find(name);
                if (group == groups_.end()) {
                    return at(*node,
                              "price.groups: there is no group `" + name + "` under [groups]");
                }
                price.apps.insert(price.apps.end(), group->second.begin(), group->second.end());
            }
        }
        std::sort(price.apps.begin(), price.apps.end());
        price.apps.erase(std::unique(price.apps.begin(), price.apps.end()), price.apps.end());
        // An event is on one line of each kind.
        const std::vector<std::string> every{"*"};
        for (const std::string& app : price.apps.empty() ? every : price.apps) {
            if (!named_.insert({price.per, app}).second) {
                return at(table, app == "*" ? "a second price per " + *per +
                                                  " names no apps, so both would be for all others"
                                            : "the app `" + app + "` has two prices per " + *per);
            }
        }
        tariff_.prices.push_back(std::move(price));
        return {};
    }

    const std::string& file_;
    Tariff tariff_;
    std::map<std::string, std::vector<std::string>> groups_;
    std::set<std::pair<Per, std::string>> named_;
};

} // namespace

const char* per_name(Per per) {
    for (const auto& [name, value] : per_names) {
        if (value == per) {
            return name;
        }
    }
    return "";
}

std::optional<std::size_t> Tariff::price(Per per, std::string_view app) const {
    std::optional<std::size_t> others;
    for (std::size_t i = 0; i < prices.size(); ++i) {
        if (prices[i].per != per) {
            continue;
        }
        if (prices[i].apps.empty()) {
            others = i;
        } else if (std::binary_search(prices[i].apps.begin(), prices[i].apps.end(), app)) {
            return i;
        }
    }
    return others;
}

Result<Tariff> parse_tariff(std::string_view text, const std::string& file) {
    if (text.size() > tariff_bytes_max) {
        return fail(Code::usage, file + " is larger than the limit of " +
                                     std::to_string(tariff_bytes_max) + " bytes");
    }
    try {
        return TariffReader(file).read(toml::parse(text, file));
    } catch (const toml::parse_error& e) {
        return fail(Code::usage,
                    file + ":" + std::to_string(e.source().begin.line) +
                        ": not valid TOML: " + std::string(e.description()),
                    "see hasp-tariff.toml(5)");
    } catch (const std::exception& e) {
        // An assertion of toml++ (cmake/toml_assert.h), which knows no place.
        return fail(Code::usage, file + ": not valid TOML: " + e.what());
    }
}

} // namespace hasp::billing

// Tariffs: what usage costs, as TOML (hasp-tariff.toml(5)). One table of keys is what the parser
// and the manual are made from. Pure; any thread.
#pragma once

#include "base/result.h"
#include "billing/money.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::billing {

inline constexpr std::size_t tariff_bytes_max = 256 * 1024;
inline constexpr std::size_t tariff_prices_max = 1000;

enum class Per : unsigned char { request, app_start, active_user };
const char* per_name(Per per);

struct Price {
    std::string line; // as it stands on the invoice
    Per per = Per::request;
    std::vector<std::string>
        apps; // sorted; empty: every app that no other price of this kind names
    Rate rate;
    std::string rate_text;
    std::optional<Rate> tax; // per cent
    std::string tax_text;
};

struct Tariff {
    std::string version;
    std::string currency;
    int exponent = 2;
    std::int64_t effective_from_us = 0;
    int zone_minutes = 0;
    Rounding rounding = Rounding::half_up;
    std::vector<Price> prices; // in the file's order

    // The prices of an app, by kind; index into `prices`, or none.
    std::optional<std::size_t> price(Per per, std::string_view app) const;
};

// Code::usage, "FILE:LINE: …", for bad TOML, unknown keys (the nearest one is the hint), wrong
// types (a number where a decimal text belongs: what to write instead), and prices that overlap.
Result<Tariff> parse_tariff(std::string_view text, const std::string& file);

// One row of the manual; the order is the manual's.
struct TariffKey {
    std::string_view section;
    std::string_view key;
    std::string_view type;
    std::string_view default_value;
    std::string_view limits;
    std::string_view text;
};
const std::vector<TariffKey>& tariff_keys();

} // namespace hasp::billing

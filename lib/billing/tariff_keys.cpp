// The table of keys of hasp-tariff.toml.
#include "billing/tariff.h"

namespace hasp::billing {

const std::vector<TariffKey>& tariff_keys() {
    static const std::vector<TariffKey> rows = {
        {"tariff", "version", "text", "", "required, at most 100 bytes",
         "The tariff's name. What was set under a version never changes; a new tariff has a new "
         "one."},
        {"tariff", "currency", "text", "", "required, three capital letters",
         "The currency of all amounts."},
        {"tariff", "exponent", "number", "2", "0 to 4",
         "How many digits the currency's minor unit stands behind the point: 2 for cents, 0 for "
         "yen."},
        {"tariff", "effective_from", "text", "", "required, a day or an RFC 3339 time",
         "From when on it is in force. A period is priced by the tariff that is in force when the "
         "period begins."},
        {"tariff", "zone", "text", "\"Z\"", "Z, +HH:MM or -HH:MM",
         "The zone of months and days, as its distance from UTC all year round. A period of "
         "another shape is closed as FROM/TO."},
        {"tariff", "rounding", "one of \"half-up\", \"half-even\"", "\"half-up\"", "",
         "What becomes of half a minor unit: away from zero, or to the even neighbour. Each line "
         "is rounded once, and the tax once a rate on each invoice."},
        {"groups", "NAME", "list of texts", "", "names of apps",
         "A name for several apps, to be used by prices."},
        {"price", "line", "text", "", "required, at most 100 bytes", "What stands on the invoice."},
        {"price", "per", "one of \"request\", \"app_start\", \"active_user\"", "", "required",
         "What is counted: answers of an app to a signed-on user, starts of an app that he caused, "
         "or one for each user who used it in the period."},
        {"price", "rate", "text", "", "required, a decimal number",
         "The price of one, exactly as written: a text such as \"0.0125\", with up to 9 digits "
         "before the point and behind it."},
        {"price", "tax", "text", "", "a decimal number of per cent",
         "The tax on this line. Without it the line is not taxed."},
        {"price", "apps", "list of texts", "", "names of apps",
         "For which apps. Without apps and groups: every app that no other price with the same per "
         "names. An app has at most one price of each kind."},
        {"price", "groups", "list of texts", "", "names under [groups]",
         "Likewise, by groups of apps."},
    };
    return rows;
}

} // namespace hasp::billing

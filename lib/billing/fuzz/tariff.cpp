// A tariff is read or refused with its line; a rate that is read is a number.
#include "billing/tariff.h"
#include "billing/period.h"

#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace hasp::billing;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto tariff = parse_tariff(text, "t"); tariff.ok()) {
        for (const Price& price : tariff->prices) {
            if (!price_of(1, price.rate, tariff->exponent, tariff->rounding).ok()) {
                std::abort();
            }
        }
    }
    if (const auto period = parse_period(text, 0);
        period.ok() && period->to_us <= period->from_us) {
        std::abort();
    }
    return 0;
}

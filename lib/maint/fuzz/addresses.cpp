// Whatever a parent says of where it is, the address at which it answered last is never forgotten,
// and the list stays short. Each line is a message of the parent's, or "!N": it has answered at the
// N-th address.
#include "parent_addresses.h"

#include "base/text.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <set>

namespace {

void hold(bool what) {
    if (!what) {
        std::abort();
    }
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using hasp::maint::AddressBook;
    const std::string_view bytes(size > 0 ? reinterpret_cast<const char*>(data) : "", size);
    AddressBook book{{}, {"192.0.2.1:8490", "center.example:8490"}};
    std::string answered = book.before.front();
    for (const std::string_view line : hasp::split(bytes, '\n')) {
        const std::vector<std::string> order = book.in_order();
        if (line.starts_with('!')) {
            answered = order[hasp::parse_u64(line.substr(1)).value_or(0) % order.size()];
            if (std::find(book.told.begin(), book.told.end(), answered) != book.told.end()) {
                book.proved();
            }
        } else if (auto told = hasp::maint::read_addresses(hasp::parse_object(line)); told.ok()) {
            book.take(*std::move(told));
        }
        const std::vector<std::string> now = book.in_order();
        hold(std::set<std::string>(now.begin(), now.end()).size() == now.size());
        hold(now.size() <= 2 * hasp::trust::invitation_addresses_max);
        hold(std::find(now.begin(), now.end(), answered) != now.end());
        // Ports and brackets are as numeric_addresses() needs them.
        const auto dialled =
            hasp::maint::numeric_addresses(now, [](const std::string& host, std::uint16_t port) {
                return std::vector<std::string>{host + ":" + std::to_string(port)};
            });
        hold(dialled.size() == std::set<std::string>(dialled.begin(), dialled.end()).size());
    }
    return 0;
}

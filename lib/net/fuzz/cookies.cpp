#include "net/fields.h"
#include "net/head.h"

#include <cstdint>
#include <cstdlib>

using namespace hasp::net;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    Cookies cookies{text};
    while (const auto cookie = cookies.next()) {
        if (!is_token(cookie->name) || !is_field_value(cookie->value) ||
            cookie->value.find(';') != std::string_view::npos) {
            std::abort();
        }
    }
    ListItems items{text};
    while (const auto item = items.next()) {
        if (item->empty()) {
            std::abort();
        }
    }
    accepts_type(text, "text/html");
    accepts_coding(text, "gzip");
    etag_listed(text, "\"a\"", false);
    return 0;
}

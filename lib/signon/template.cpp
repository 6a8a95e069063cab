#include "template.h"

#include "base/text.h"

#include <algorithm>
#include <cstdlib>

namespace hasp::signon {

namespace {

const Html& value_of(std::string_view name, const Slot* first, const Slot* last) {
    const Slot* slot = std::find_if(first, last, [&](const Slot& s) { return s.name == name; });
    if (slot == last) {
        std::abort();
    }
    return slot->value;
}

void append_filled(std::string& out, std::string_view rest, const Slot* first, const Slot* last) {
    for (;;) {
        const auto open = rest.find("{{");
        out += rest.substr(0, open);
        if (open == std::string_view::npos) {
            return;
        }
        const auto close = rest.find("}}", open);
        if (close == std::string_view::npos) {
            std::abort();
        }
        std::string_view name = rest.substr(open + 2, close - open - 2);
        rest.remove_prefix(close + 2);
        if (!name.starts_with('#')) {
            out += value_of(name, first, last).code;
            continue;
        }
        name.remove_prefix(1);
        const std::string end = "{{/" + std::string(name) + "}}";
        const auto ends = rest.find(end);
        if (ends == std::string_view::npos) {
            std::abort();
        }
        if (!value_of(name, first, last).code.empty()) {
            append_filled(out, rest.substr(0, ends), first, last);
        }
        rest.remove_prefix(ends + end.size());
    }
}

} // namespace

Html text(std::string_view plain) {
    return {html_escape(plain)};
}

Html fill(std::string_view page_template, std::initializer_list<Slot> slots) {
    Html out;
    append_filled(out.code, page_template, slots.begin(), slots.end());
    return out;
}

} // namespace hasp::signon

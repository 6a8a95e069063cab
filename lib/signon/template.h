// Private: fills the page templates of web/.
//
//   {{name}}            the value of `name`
//   {{#name}}…{{/name}} shown when the value of `name` is not empty; does not nest within itself
//
// Whether a value is escaped is decided by its type here and never by the template.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

namespace hasp::signon {

// HTML that is fit to stand in an element or in a quoted attribute.
struct Html {
    std::string code;
};
// Escapes.
Html text(std::string_view plain);

struct Slot {
    std::string_view name;
    Html value;
};

// One pass: values are never searched for placeholders. An unknown name ends the process: templates
// are compiled in, so that it is a bug that every test of the page finds.
Html fill(std::string_view page_template, std::initializer_list<Slot> slots);

} // namespace hasp::signon

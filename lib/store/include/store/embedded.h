// A text file that was compiled in by hasp_embed() of cmake/embed.cmake: migrations, page
// templates, style sheets.
#pragma once

#include <string_view>

namespace hasp::store {

struct EmbeddedFile {
    std::string_view name; // the file's name without folders: "0001_accounts.sql"
    std::string_view text;
};

} // namespace hasp::store

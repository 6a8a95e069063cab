// A row of a documented table of keys. hasp.toml(5) is made from config_rows(); lib/run's rows of
// hasp-app.toml(5) have the same shape and are copied into it by cmd/hasp.
#pragma once

#include <string>
#include <vector>

namespace hasp::maint {

struct TableRow {
    std::string section;      // "web"; empty: top level
    std::string key;          // "keepalive_s"
    std::string type;         // "text", "number", "true or false", "list of texts", "one of a, b"
    std::string unit;         // "seconds"; empty for none
    std::string default_text; // as it would stand in the file; empty: no default
    std::string limits;       // "1 to 3600"; empty for none
    std::string text;         // what it does; sentences
    bool at_start = false;    // a changed value waits for the next start
};

// The body of a man page's section for the rows: roff, grouped by section in the rows' order. No
// trailing empty line.
std::string table_to_roff(const std::vector<TableRow>& rows);

// Text made safe inside roff: backslashes, hyphens, leading dots and quotes.
std::string roff_escape(const std::string& text);

} // namespace hasp::maint

#include "maint/table.h"

#include "base/text.h"

#include <cstdio>

namespace hasp::maint {

namespace {

// The code point at `at`, which moves behind it; U+FFFD for a byte that begins none.
char32_t next_code_point(const std::string& text, std::size_t& at) {
    const auto byte = [&](std::size_t i) {
        return static_cast<unsigned>(static_cast<unsigned char>(text[i]));
    };
    const unsigned lead = byte(at);
    const std::size_t more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
    if (more == 0 || at + more >= text.size()) {
        ++at;
        return 0xfffd;
    }
    char32_t code = lead & (0x3fU >> more);
    for (std::size_t i = 1; i <= more; ++i) {
        code = code << 6 | (byte(at + i) & 0x3f);
    }
    at += more + 1;
    return code;
}

} // namespace

std::string roff_escape(const std::string& text) {
    std::string out;
    if (text.starts_with('.') || text.starts_with('\'')) {
        out += "\\&";
    }
    for (std::size_t i = 0; i < text.size();) {
        const char c = text[i];
        if ((static_cast<unsigned char>(c) & 0x80) != 0) {
            char name[16];
            std::snprintf(name, sizeof name, "\\[u%04X]",
                          static_cast<unsigned>(next_code_point(text, i)));
            out += name;
            continue;
        }
        ++i;
        switch (c) {
        case '\\':
            out += "\\e";
            break;
        case '-':
            out += "\\-";
            break;
        case '\'':
            out += "\\(aq";
            break;
        case '`':
            out += "\\(ga";
            break;
        case '^':
            out += "\\(ha";
            break;
        case '~':
            out += "\\(ti";
            break;
        case '"':
            out += "\\(dq";
            break;
        default:
            out += c;
        }
    }
    return out;
}

std::string table_to_roff(const std::vector<TableRow>& rows) {
    std::string out;
    const std::string* section = nullptr;
    for (const TableRow& row : rows) {
        if (section == nullptr || *section != row.section) {
            section = &row.section;
            out += ".SS " +
                   (row.section.empty() ? "At the top" : roff_escape("[" + row.section + "]")) +
                   "\n";
        }
        out += ".TP\n.B " + roff_escape(row.key) + "\n" + roff_escape(row.text);
        std::string notes = row.type;
        notes += row.limits.empty() ? "" : ", " + row.limits;
        notes += row.unit.empty() ? "" : (row.limits.empty() ? ", " : " ") + row.unit;
        notes += row.default_text.empty() ? "" : "; default: " + row.default_text;
        notes += row.at_start ? ". Counts from the next start; a reload leaves it" : "";
        if (!notes.empty()) {
            notes.front() = notes.front() >= 'a' && notes.front() <= 'z'
                                ? static_cast<char>(notes.front() - 'a' + 'A')
                                : notes.front();
            out += "\n.br\n" + roff_escape(notes) + ".";
        }
        out += "\n";
    }
    return out;
}

} // namespace hasp::maint

#include "golden.h"

#include "base/files.h"
#include "base/text.h"

#include <gtest/gtest.h>

namespace hasp::maint::tests {

namespace {

constexpr std::size_t file_bytes_max = 1 << 20;
constexpr std::string_view any = "…";
constexpr std::string_view body_mark = " + body";

bool is_any(const Json& value) {
    return value.is_string() && value.get<std::string>() == any;
}

bool same(const Json& example, const Json& said) {
    if (is_any(example)) {
        return true;
    }
    if (example.is_object() && said.is_object()) {
        if (example.size() != said.size()) {
            return false;
        }
        for (const auto& [key, value] : example.items()) {
            if (!said.contains(key) || !same(value, said[key])) {
                return false;
            }
        }
        return true;
    }
    if (example.is_array() && said.is_array()) {
        // A list that goes on.
        const bool open = example.size() > 1 && is_any(example.back());
        const std::size_t shown = example.size() - (open ? 1 : 0);
        if (open ? said.size() < shown : said.size() != shown) {
            return false;
        }
        for (std::size_t i = 0; i < shown; ++i) {
            if (!same(example[i], said[i])) {
                return false;
            }
        }
        return true;
    }
    return example == said;
}

bool same_kind(const Json& a, const Json& b) {
    return a.is_number() ? b.is_number() : a.type() == b.type();
}

// The frame's head must be the shortest text of its values, keys sorted: what dump() writes.
std::string canonical(const Json& head) {
    return head.dump();
}

} // namespace

Golden Golden::read(const std::string& path) {
    Golden out;
    auto file = read_file(path, file_bytes_max);
    if (!file.ok()) {
        ADD_FAILURE() << file.error().message;
        return out;
    }
    bool inside = false;
    int number = 0;
    for (const std::string_view line : split(*file, '\n')) {
        ++number;
        const std::string where = path + ":" + std::to_string(number) + ": ";
        if (line.starts_with("```")) {
            inside = line == "```messages";
            continue;
        }
        if (!inside || trim(line).empty()) {
            continue;
        }
        const std::size_t space = line.find(' ');
        const std::string_view mark = line.substr(0, space);
        std::string_view rest =
            space == std::string_view::npos ? std::string_view() : line.substr(space + 1);
        if (mark == "=") {
            std::string hex(rest);
            std::erase(hex, ' ');
            const auto bytes = from_hex(hex);
            if (!bytes || out.examples_.empty()) {
                ADD_FAILURE() << where << "no frame in hex behind a message";
                continue;
            }
            out.examples_.back().frame = *bytes;
            continue;
        }
        Example one;
        one.line = number;
        one.answer = mark == "→";
        one.up = mark == "↑";
        if (!one.answer && !one.up && mark != "↓") {
            ADD_FAILURE() << where << "a line begins with ↑, ↓, → or =";
            continue;
        }
        one.body = rest.ends_with(body_mark);
        if (one.body) {
            rest.remove_suffix(body_mark.size());
        }
        one.text = rest;
        one.head = parse_object(rest);
        if (one.head.empty() || canonical(one.head) != rest) {
            ADD_FAILURE() << where
                          << "no head as a frame has it; written so: " << canonical(one.head);
            continue;
        }
        one.type = text_of(one.head, "t");
        if (one.answer) {
            if (out.examples_.empty() || out.examples_.back().answer || one.type != "re") {
                ADD_FAILURE() << where << "an answer stands behind its question";
                continue;
            }
            one.type = out.examples_.back().type;
            one.up = !out.examples_.back().up;
        }
        for (const auto& [key, value] : one.head.items()) {
            out.fields_[{one.up, one.answer, one.type}][key].push_back(value);
        }
        out.examples_.push_back(std::move(one));
    }
    return out;
}

const Golden& Golden::of_maint() {
    static const Golden golden = read(HASP_MAINT_PROTOCOL);
    return golden;
}

std::string Golden::unknown(const Said& said) const {
    // An error may be the answer to anything, and looks the same everywhere; and an answer to a
    // question that a test forged is that test's own affair.
    if (said.answer && (said.head->contains("error") || said.type.empty())) {
        return "";
    }
    const auto explain = [&](const std::string& why) {
        return why +
               " Show it in a block of `messages` in PROTOCOL.md, for example so (\"…\" stands "
               "for what differs from time to time):\n" +
               line_of(said);
    };
    const auto shown = fields_.find({said.up, said.answer, said.type});
    if (shown == fields_.end()) {
        return explain("PROTOCOL.md has no example of " +
                       std::string(said.answer ? "an answer to " : "") + "'" + said.type + "' " +
                       (said.up ? "from a child to its parent." : "from a parent to its child."));
    }
    for (const auto& [key, value] : said.head->items()) {
        const auto known = shown->second.find(key);
        if (known == shown->second.end()) {
            return explain("No example of '" + said.type + "' has the field '" + key + "'.");
        }
        bool fits = false;
        for (const Json& example : known->second) {
            fits = fits || is_any(example) || same_kind(example, value);
        }
        if (!fits) {
            return explain("In no example of '" + said.type + "' has '" + key +
                           "' this kind of value.");
        }
    }
    return "";
}

bool Golden::matches(const Example& example, const Said& said) {
    if (example.type != said.type || example.up != said.up || example.answer != said.answer ||
        example.body != said.body) {
        return false;
    }
    Json shown = example.head;
    Json heard = *said.head;
    if (shown.contains("q") && heard.contains("q")) {
        shown.erase("q");
        heard.erase("q");
    }
    return same(shown, heard);
}

std::string Golden::line_of(const Said& said) {
    return std::string(said.answer ? "→ "
                       : said.up   ? "↑ "
                                   : "↓ ") +
           canonical(*said.head) + std::string(said.body ? body_mark : "");
}

Said Conversation::hear(bool up, const Json& head, bool body) {
    Said said{up, false, text_of(head, "t"), &head, body};
    const std::int64_t q = int_of(head, "q");
    if (said.type == "re") {
        said.answer = true;
        const auto question = asked_.find({!up, q});
        said.type = question == asked_.end() ? "" : question->second;
        if (question != asked_.end()) {
            asked_.erase(question);
        }
    } else if (q != 0) {
        asked_[{up, q}] = said.type;
    }
    return said;
}

} // namespace hasp::maint::tests

#include "net/fields.h"

#include "chars.h"
#include "net/head.h"

#include <algorithm>

namespace hasp::net {
namespace {

bool is_space(char c) {
    return c == ' ' || c == '\t';
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && is_space(text.front())) {
        text.remove_prefix(1);
    }
    while (!text.empty() && is_space(text.back())) {
        text.remove_suffix(1);
    }
    return text;
}

// First `wanted` outside of quoted strings, or the size.
std::size_t find_unquoted(std::string_view text, char wanted) {
    bool quoted = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (quoted && c == '\\') {
            ++i;
        } else if (c == '"') {
            quoted = !quoted;
        } else if (c == wanted && !quoted) {
            return i;
        }
    }
    return text.size();
}

// RFC 9110 §12.4.2: a weight of zero means "not acceptable".
bool weight_is_zero(std::string_view parameters) {
    while (!parameters.empty()) {
        const std::size_t stop = find_unquoted(parameters, ';');
        const std::string_view one = trimmed(parameters.substr(0, stop));
        parameters.remove_prefix(std::min(stop + 1, parameters.size()));
        if (one.size() >= 3 && lower(one[0]) == 'q' && one[1] == '=') {
            return one.find_first_not_of("0.", 2) == std::string_view::npos;
        }
    }
    return false;
}

bool accepts(std::string_view list, std::string_view exact, std::string_view group,
             std::string_view all, bool unlisted) {
    int best = 0; // how specific the match was
    bool good = unlisted;
    ListItems items(list);
    while (const auto item = items.next()) {
        const std::size_t stop = find_unquoted(*item, ';');
        const std::string_view name = trimmed(item->substr(0, stop));
        const int match = same_text(name, exact)                     ? 3
                          : !group.empty() && same_text(name, group) ? 2
                          : name == all                              ? 1
                                                                     : 0;
        if (match > best) {
            best = match;
            good = !weight_is_zero(item->substr(std::min(stop, item->size())));
        }
    }
    return good;
}

} // namespace

std::optional<std::string_view> ListItems::next() {
    while (!rest_.empty()) {
        const std::size_t stop = find_unquoted(rest_, ',');
        const std::string_view item = trimmed(rest_.substr(0, stop));
        rest_.remove_prefix(std::min(stop + 1, rest_.size()));
        if (!item.empty()) {
            return item;
        }
    }
    return std::nullopt;
}

bool list_has(std::string_view value, std::string_view token) {
    ListItems items(value);
    while (const auto item = items.next()) {
        if (same_text(*item, token)) {
            return true;
        }
    }
    return false;
}

bool list_has(const Headers& headers, Name id, std::string_view token) {
    for (const Header* field = headers.find(id); field != nullptr; field = headers.next(*field)) {
        if (list_has(field->value, token)) {
            return true;
        }
    }
    return false;
}

Cookies::Cookies(std::string_view value) : rest_(value), clean_(is_field_value(value)) {}

std::optional<Cookie> Cookies::next() {
    while (!rest_.empty()) {
        const std::size_t stop = std::min(rest_.find(';'), rest_.size());
        const std::string_view pair = trimmed(rest_.substr(0, stop));
        rest_.remove_prefix(std::min(stop + 1, rest_.size()));
        const std::size_t equals = pair.find('=');
        if (equals == std::string_view::npos || !is_token(pair.substr(0, equals)) ||
            !(clean_ || is_field_value(pair))) {
            malformed_ = malformed_ || !pair.empty();
            continue;
        }
        return Cookie{pair.substr(0, equals), pair.substr(equals + 1)};
    }
    return std::nullopt;
}

bool accepts_type(std::string_view accept, std::string_view type) {
    if (trimmed(accept).empty()) {
        return true;
    }
    char group[64];
    const std::size_t slash = type.find('/');
    if (slash == std::string_view::npos || slash + 2 > sizeof group) {
        return false;
    }
    std::copy_n(type.begin(), slash + 1, group);
    group[slash + 1] = '*';
    return accepts(accept, type, {group, slash + 2}, "*/*", false);
}

bool accepts_coding(std::string_view accept_encoding, std::string_view coding) {
    return accepts(accept_encoding, coding, {}, "*", same_text(coding, "identity"));
}

bool etag_listed(std::string_view list, std::string_view etag, bool strong) {
    const auto opaque = [](std::string_view tag) {
        return tag.substr(0, 2) == "W/" ? tag.substr(2) : tag;
    };
    if (trimmed(list) == "*") {
        return true;
    }
    ListItems items(list);
    while (const auto item = items.next()) {
        if (strong ? *item == etag && etag.substr(0, 2) != "W/" : opaque(*item) == opaque(etag)) {
            return true;
        }
    }
    return false;
}

} // namespace hasp::net

#include "cache/directives.h"

#include "base/text.h"
#include "net/fields.h"

#include <algorithm>
#include <string>

namespace hasp::cache {
namespace {

// "name", "name=token" or "name=\"text\"". A name with white space before "=" is no directive that
// anybody knows.
struct Directive {
    std::string_view name;
    std::optional<std::string_view> value; // without quotes
};

Directive directive_of(std::string_view item) {
    const std::size_t equals = item.find('=');
    if (equals == std::string_view::npos) {
        return {item, std::nullopt};
    }
    std::string_view value = item.substr(equals + 1);
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
        value = value.substr(1, value.size() - 2);
    }
    return {item.substr(0, equals), value};
}

bool is_named(const Directive& one, std::string_view name) {
    return one.name.size() == name.size() && iequals(one.name, name);
}

std::int64_t lifetime(const std::optional<std::string_view>& value) {
    return value ? parse_delta_seconds(*value).value_or(0) : 0;
}

// Of two that contradict each other the first counts (RFC 9111 §4.2.1).
void first(std::optional<std::int64_t>& into, std::int64_t value) {
    if (!into) {
        into = value;
    }
}

void take(AnswerDirectives& out, const Directive& one) {
    const auto is = [&one](std::string_view name) { return is_named(one, name); };
    if (is("max-age")) {
        first(out.max_age, lifetime(one.value));
    } else if (is("s-maxage")) {
        first(out.s_maxage, lifetime(one.value));
    } else if (is("public")) {
        out.is_public = true;
    } else if (is("private")) {
        out.is_private = true;
    } else if (is("no-store")) {
        out.no_store = true;
    } else if (is("no-cache")) {
        if (one.value && !one.value->empty()) {
            out.no_cache_fields = *one.value;
        } else {
            out.no_cache = true;
        }
    } else if (is("must-revalidate")) {
        out.must_revalidate = true;
    } else if (is("proxy-revalidate")) {
        out.proxy_revalidate = true;
    } else if (is("must-understand")) {
        out.must_understand = true;
    } else if (is("stale-while-revalidate")) {
        first(out.stale_while_revalidate, lifetime(one.value));
    } else if (is("stale-if-error")) {
        first(out.stale_if_error, lifetime(one.value));
    }
}

// RFC 8941: what a dictionary of directives needs of it.
class Dictionary {
  public:
    explicit Dictionary(std::string_view text) : rest_(trim(text)) {}

    enum class Type : unsigned char { boolean, integer, other };
    struct Member {
        std::string_view key;
        Type type = Type::boolean;
        std::string_view text; // of the value
    };
    bool done() const { return rest_.empty(); }

    // False: malformed.
    bool next(Member& out) {
        out = {};
        if (!key(out.key)) {
            return false;
        }
        out.text = "?1";
        if (accept('=') && !item(out)) {
            return false;
        }
        while (accept(';')) {
            skip(" ");
            Member ignored;
            if (!key(ignored.key) || (accept('=') && !item(ignored))) {
                return false;
            }
        }
        skip(" \t");
        if (done()) {
            return true;
        }
        if (!accept(',')) {
            return false;
        }
        skip(" \t");
        return !done();
    }

  private:
    bool accept(char c) {
        if (rest_.empty() || rest_.front() != c) {
            return false;
        }
        rest_.remove_prefix(1);
        return true;
    }
    void skip(std::string_view set) {
        rest_.remove_prefix(std::min(rest_.find_first_not_of(set), rest_.size()));
    }
    std::string_view run(std::string_view set) {
        const std::string_view out =
            rest_.substr(0, std::min(rest_.find_first_not_of(set), rest_.size()));
        rest_.remove_prefix(out.size());
        return out;
    }
    bool key(std::string_view& out) {
        if (rest_.empty() ||
            !((rest_.front() >= 'a' && rest_.front() <= 'z') || rest_.front() == '*')) {
            return false;
        }
        out = run("abcdefghijklmnopqrstuvwxyz0123456789_-.*");
        return true;
    }
    bool item(Member& out) {
        if (rest_.empty()) {
            return false;
        }
        const char c = rest_.front();
        if (c == '?') {
            out.text = rest_.substr(0, 2);
            out.type = Type::boolean;
            rest_.remove_prefix(out.text.size());
            return out.text == "?0" || out.text == "?1";
        }
        if (c == '-' || (c >= '0' && c <= '9')) {
            out.text = run("-0123456789.");
            out.type = out.text.find('.') == std::string_view::npos ? Type::integer : Type::other;
            return out.text.find('-', 1) == std::string_view::npos && out.text.size() <= 16;
        }
        out.type = Type::other;
        if (c == '"') {
            return quoted();
        }
        // A token, or a byte sequence between colons.
        const std::string_view token = run("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                           "0123456789!#$%&'*+-.^_`|~:/=");
        return !token.empty() &&
               (token.front() == ':' || token.front() == '*' ||
                (to_lower(token.substr(0, 1))[0] >= 'a' && to_lower(token.substr(0, 1))[0] <= 'z'));
    }
    bool quoted() {
        rest_.remove_prefix(1);
        while (!rest_.empty()) {
            const char c = rest_.front();
            rest_.remove_prefix(1);
            if (c == '"') {
                return true;
            }
            if (c == '\\') {
                if (rest_.empty() || (rest_.front() != '"' && rest_.front() != '\\')) {
                    return false;
                }
                rest_.remove_prefix(1);
            }
        }
        return false;
    }
    std::string_view rest_;
};

bool is_lifetime(std::string_view key) {
    return key == "max-age" || key == "s-maxage" || key == "stale-while-revalidate" ||
           key == "stale-if-error";
}

} // namespace

std::optional<std::int64_t> parse_delta_seconds(std::string_view text) {
    if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos) {
        return std::nullopt;
    }
    text.remove_prefix(std::min(text.find_first_not_of('0'), text.size()));
    if (text.size() > 10) {
        return delta_seconds_max;
    }
    std::int64_t out = 0;
    for (const char c : text) {
        out = out * 10 + (c - '0');
    }
    return std::min(out, delta_seconds_max);
}

bool parse_targeted(std::string_view value, AnswerDirectives& out) {
    AnswerDirectives found;
    found.targeted = true;
    Dictionary dictionary(value);
    if (dictionary.done()) {
        return false;
    }
    while (!dictionary.done()) {
        Dictionary::Member one;
        if (!dictionary.next(one)) {
            return false;
        }
        if (is_lifetime(one.key)) {
            if (one.type != Dictionary::Type::integer) {
                return false;
            }
            take(found, {one.key, one.text});
        } else if (one.type != Dictionary::Type::boolean || one.text == "?1") {
            take(found, {one.key, std::nullopt});
        }
    }
    out = found;
    return true;
}

AnswerDirectives answer_directives(const net::Headers& headers) {
    AnswerDirectives out;
    // Lines of one field are one value; more than one is rare, and then none is used.
    const net::Header* const aimed = headers.find(net::Name::cdn_cache_control);
    if (aimed != nullptr && headers.next(*aimed) == nullptr && parse_targeted(aimed->value, out)) {
        return out;
    }
    for (const net::Header* field = headers.find(net::Name::cache_control); field != nullptr;
         field = headers.next(*field)) {
        net::ListItems items(field->value);
        while (const auto item = items.next()) {
            take(out, directive_of(*item));
        }
    }
    return out;
}

RequestDirectives request_directives(const net::Headers& headers) {
    RequestDirectives out;
    for (const net::Header* field = headers.find(net::Name::cache_control); field != nullptr;
         field = headers.next(*field)) {
        net::ListItems items(field->value);
        while (const auto item = items.next()) {
            const Directive one = directive_of(*item);
            const auto is = [&one](std::string_view name) { return is_named(one, name); };
            if (is("no-cache")) {
                out.no_cache = true;
            } else if (is("no-store")) {
                out.no_store = true;
            } else if (is("only-if-cached")) {
                out.only_if_cached = true;
            } else if (is("max-age")) {
                first(out.max_age, lifetime(one.value));
            } else if (is("min-fresh")) {
                first(out.min_fresh, lifetime(one.value));
            } else if (is("max-stale")) {
                first(out.max_stale, one.value ? lifetime(one.value) : delta_seconds_max);
            }
        }
    }
    return out;
}

} // namespace hasp::cache

#include "chars.h"
#include "head_lines.h"
#include "net/fields.h"
#include "net/head.h"
#include "net/target.h"

#include <cstring>

namespace hasp::net {
namespace {

constexpr std::size_t method_max = 32;  // RFC 9112 §3: longer than any we know: 501
constexpr std::size_t version_size = 8; // "HTTP/1.1"

Method method_of(std::string_view text) {
    switch (text.size()) {
    case 3:
        return text == "GET" ? Method::get : text == "PUT" ? Method::put : Method::other;
    case 4:
        return text == "POST" ? Method::post : text == "HEAD" ? Method::head : Method::other;
    case 5:
        return text == "PATCH" ? Method::patch : text == "TRACE" ? Method::trace : Method::other;
    case 6:
        return text == "DELETE" ? Method::delete_ : Method::other;
    case 7:
        return text == "OPTIONS" ? Method::options : Method::other;
    default:
        return Method::other;
    }
}

ParseResult parse_method(const char*& at, const char* end, RequestHead& head) {
    const char* const start = at;
    if (end - at > 4 && std::memcmp(at, "GET ", 4) == 0) {
        head.method_text = {start, 3};
        head.method = Method::get;
        at += 4;
        return {ParseResult::State::done};
    }
    while (at != end && has_class(*at, char_token)) {
        ++at;
    }
    const auto size = static_cast<std::size_t>(at - start);
    if (size > method_max) {
        return refuse(501, "the method is too long");
    }
    if (at == end) {
        return need_more();
    }
    if (*at != ' ' || size == 0) {
        return refuse(400, "the request line does not begin with a method and one space");
    }
    head.method_text = {start, size};
    head.method = method_of(head.method_text);
    ++at;
    return {ParseResult::State::done};
}

// Scans the target up to its space; splits at the first "?". `suspect`: check_path() is needed.
ParseResult parse_target(const char*& at, const char* end, RequestHead& head,
                         const HeadLimits& limits, bool& suspect) {
    const char* const start = at;
    unsigned seen = 0;
    at = skip_common_target(at, end);
    while (at != end && has_class(*at, char_path)) {
        seen |= char_classes[static_cast<unsigned char>(*at)];
        ++at;
    }
    head.path = {start, static_cast<std::size_t>(at - start)};
    head.query = {};
    head.target_clean = true;
    head.has_query = at != end && *at == '?';
    if (head.has_query) {
        const char* const query = ++at;
        unsigned in_query = 0;
        at = skip_common_target(at, end);
        while (at != end && has_class(*at, char_query)) {
            in_query |= char_classes[static_cast<unsigned char>(*at)];
            ++at;
        }
        head.query = {query, static_cast<std::size_t>(at - query)};
        // An escape in the path was looked at, or is refused; one in the query may be a bare "%".
        head.target_clean = (in_query & (char_foreign | char_escape)) == 0;
    }
    suspect = (seen & char_suspect) != 0;
    head.target_clean = head.target_clean && (seen & char_foreign) == 0;
    head.target = {start, static_cast<std::size_t>(at - start)};
    if (head.target.size() > limits.target_max) {
        return refuse(414, "the request target is too long");
    }
    if (at == end) {
        return need_more();
    }
    if (*at != ' ') {
        return refuse(400, *at == '#' ? "a fragment in the request target"
                                      : "a character that a request target cannot have");
    }
    if (head.target.empty()) {
        return refuse(400, "the request target is empty");
    }
    ++at;
    return {ParseResult::State::done};
}

ParseResult parse_version(const char*& at, const char* end, RequestHead& head) {
    const auto left = static_cast<std::size_t>(end - at);
    if (left < version_size + 2) {
        return std::memchr(at, '\n', left) == nullptr
                   ? need_more()
                   : refuse(400, "the request line does not end with an HTTP version");
    }
    if (std::memcmp(at, "HTTP/1.1\r\n", version_size + 2) == 0) {
        head.version_minor = 1;
        at += version_size + 2;
        return {ParseResult::State::done};
    }
    if (std::memcmp(at, "HTTP/", 5) != 0 || !is_digit(at[5]) || at[6] != '.' || !is_digit(at[7]) ||
        at[8] != '\r' || at[9] != '\n') {
        return refuse(400, "the request line does not end with an HTTP version and CRLF");
    }
    if (at[5] != '1') {
        return refuse(505, "an HTTP version other than 1.0 and 1.1");
    }
    head.version_minor = at[7] == '0' ? 0 : 1;
    at += version_size + 2;
    return {ParseResult::State::done};
}

// "http://authority[path]" (RFC 9112 §3.2.2). Fills host, port and path.
const char* split_absolute(RequestHead& head) {
    const std::size_t colon = head.path.find(':');
    if (colon == std::string_view::npos) {
        return "the request target is neither a path nor an address";
    }
    const std::string_view scheme = head.path.substr(0, colon);
    if ((!same_text(scheme, "http") && !same_text(scheme, "https")) ||
        head.path.substr(colon, 3) != "://") {
        return "a request target with another scheme than http and https";
    }
    std::string_view rest = head.path.substr(colon + 3);
    const std::size_t slash = rest.find('/');
    head.authority = rest.substr(0, slash);
    head.scheme = scheme;
    head.form = TargetForm::absolute;
    if (slash != std::string_view::npos) {
        head.path = rest.substr(slash);
    } else if (head.method == Method::options && !head.has_query) {
        head.path = "*"; // RFC 9112 §3.2.4
        head.form = TargetForm::asterisk;
    } else {
        head.path = "/";
    }
    return nullptr;
}

const char* understand_target(RequestHead& head, bool suspect) {
    head.authority = {};
    head.scheme = {};
    head.form = TargetForm::origin;
    if (head.path.empty() || head.path.front() != '/') {
        if (head.target == "*") {
            head.form = TargetForm::asterisk;
            return head.method == Method::options ? nullptr : "\"*\" is for OPTIONS only";
        }
        if (const char* fault = split_absolute(head)) {
            return fault;
        }
    }
    return suspect && head.path.front() == '/' ? check_path(head.path) : nullptr;
}

// RFC 9112 §3.2: exactly one valid Host in 1.1; also where an absolute target overrides it.
const char* understand_host(RequestHead& head) {
    head.host = {};
    head.port = 0;
    head.host_is_ip = false;
    const bool absolute = !head.authority.empty() || head.form == TargetForm::absolute;
    const Header* field = head.headers.find(Name::host);
    if (field == nullptr) {
        if (head.version_minor != 0) {
            return "no Host";
        }
    } else {
        if (field->next_same != 0) {
            return "several Host fields";
        }
        if (!absolute) {
            head.authority = field->value;
        } else if (!parse_authority(field->value)) {
            return "Host is not a host with an optional port";
        }
    }
    if (field == nullptr && !absolute) {
        return nullptr;
    }
    const auto authority = parse_authority(head.authority);
    if (!authority) {
        return absolute ? "the authority in the request target is not a host with an optional port"
                        : "Host is not a host with an optional port";
    }
    head.host = authority->host;
    head.port = static_cast<std::uint16_t>(authority->port);
    head.host_is_ip = authority->ip;
    return nullptr;
}

// Fields that have one value (RFC 9110 §5.3, RFC 6455 §11.3): of two, some reader behind us would
// take the other one. Host and what frames the body have sentences of their own.
constexpr NameSet single_fields = {Name::authorization,
                                   Name::content_range,
                                   Name::content_type,
                                   Name::if_modified_since,
                                   Name::if_range,
                                   Name::if_unmodified_since,
                                   Name::max_forwards,
                                   Name::origin,
                                   Name::proxy_authorization,
                                   Name::range,
                                   Name::referer,
                                   Name::sec_fetch_site,
                                   Name::sec_websocket_key,
                                   Name::sec_websocket_version};

ParseResult understand_fields(RequestHead& head) {
    if (const char* fault = understand_host(head)) {
        return refuse(400, fault);
    }
    if (head.headers.any_repeated(single_fields)) {
        return refuse(400, "a field twice that has one value");
    }
    const FramingFields framing = framing_fields(head.headers, head.version_minor);
    if (framing.fault != nullptr) {
        return refuse(framing.status, framing.fault);
    }
    head.framing = framing.chunked      ? Framing::chunked
                   : framing.has_length ? Framing::length
                                        : Framing::none;
    head.content_length = framing.length;
    const auto options = connection_options(head.headers);
    if (!options) {
        return refuse(400, "Connection is not a list of tokens");
    }
    const bool modern = head.version_minor != 0;
    head.keep_alive = !options->close && (modern || options->keep_alive);
    head.upgrade = modern && options->upgrade && head.headers.has(Name::upgrade);
    head.expect_continue = false;
    if (const Header* expect = head.headers.find(Name::expect); expect != nullptr && modern) {
        // RFC 9110 §10.1.1: there is one expectation.
        if (!same_text(expect->value, "100-continue") || expect->next_same != 0) {
            return refuse(417, "an expectation other than 100-continue");
        }
        head.expect_continue = framing.chunked || framing.length != 0;
    }
    return {ParseResult::State::done};
}

// "CONNECT host:port" has no origin or absolute form; hasp is no tunnel.
ParseResult refuse_connect(const RequestHead& head) {
    const auto authority = parse_authority(head.target);
    return authority && authority->port != 0 ? refuse(501, "CONNECT is not offered")
                                             : refuse(400, "CONNECT without a host and a port");
}

} // namespace

ParseResult parse_request_head(std::string_view bytes, RequestHead& head, const HeadLimits& limits,
                               std::size_t seen) {
    if (seen != 0 && seen < bytes.size() && bytes.size() < limits.head_max &&
        std::memchr(bytes.data() + seen, '\n', bytes.size() - seen) == nullptr) {
        return need_more(); // no line became complete
    }
    if (bytes.empty()) {
        return need_more();
    }
    const char* const begin = bytes.data();
    const char* const end = begin + bytes.size();
    const char* at = begin;
    if (*at == '\r') {
        if (bytes.size() == 1) {
            return need_more();
        }
        if (at[1] != '\n') {
            return refuse(400, "a bare CR");
        }
        at += 2;
    }
    bool suspect = false;
    ParseResult part = parse_method(at, end, head);
    if (part.done()) {
        part = parse_target(at, end, head, limits, suspect);
    }
    if (part.done()) {
        part = parse_version(at, end, head);
    }
    if (!part.done()) {
        return part;
    }
    if (head.method_text == "CONNECT") {
        return refuse_connect(head);
    }
    if (const char* fault = understand_target(head, suspect)) {
        return refuse(400, fault);
    }
    head.headers.clear();
    part = parse_field_lines(at, begin, end, head.headers, limits);
    if (part.done()) {
        part = understand_fields(head);
    }
    part.consumed = part.done() ? static_cast<std::size_t>(at - begin) : 0;
    return part;
}

} // namespace hasp::net

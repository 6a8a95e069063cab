// Header fields of one message: views into the buffer that holds the head, in a fixed array.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace hasp::net {

// Names that the engine acts on, and others that most messages carry: found once while parsing, so
// that later stages compare a byte. The order is that of the table in header.cpp. None of them
// begins with what a client may not send (passon/request_rules.h), but those of proxies, which are
// written anew.
enum class Name : std::uint8_t {
    other,
    accept,
    accept_encoding,
    accept_language,
    accept_ranges,
    access_control_allow_credentials,
    access_control_allow_headers,
    access_control_allow_methods,
    access_control_allow_origin,
    access_control_expose_headers,
    access_control_max_age,
    access_control_request_headers,
    access_control_request_method,
    age,
    allow,
    alt_svc,
    authorization,
    cache_control,
    cdn_cache_control,
    cdn_loop,
    connection,
    content_disposition,
    content_encoding,
    content_language,
    content_length,
    content_location,
    content_range,
    content_security_policy,
    content_type,
    cookie,
    cross_origin_opener_policy,
    cross_origin_resource_policy,
    date,
    depth,
    destination,
    dnt,
    etag,
    expect,
    expires,
    forwarded,
    host,
    http2_settings,
    if_match,
    if_modified_since,
    if_none_match,
    if_range,
    if_unmodified_since,
    keep_alive,
    last_modified,
    link,
    location,
    max_forwards,
    origin,
    overwrite,
    permissions_policy,
    pragma,
    priority,
    proxy_authenticate,
    proxy_authorization,
    proxy_connection,
    range,
    referer,
    referrer_policy,
    refresh,
    retry_after,
    sec_ch_ua,
    sec_ch_ua_mobile,
    sec_ch_ua_platform,
    sec_fetch_dest,
    sec_fetch_mode,
    sec_fetch_site,
    sec_fetch_user,
    sec_gpc,
    sec_websocket_accept,
    sec_websocket_extensions,
    sec_websocket_key,
    sec_websocket_protocol,
    sec_websocket_version,
    server,
    set_cookie,
    set_cookie2,
    strict_transport_security,
    te,
    traceparent,
    tracestate,
    trailer,
    transfer_encoding,
    upgrade,
    upgrade_insecure_requests,
    user_agent,
    vary,
    via,
    www_authenticate,
    x_content_type_options,
    x_forwarded_for,
    x_forwarded_host,
    x_forwarded_proto,
    x_frame_options,
    x_powered_by,
    x_request_id,
    x_requested_with,
    x_xss_protection,
    count_ // not a name
};
inline constexpr std::size_t names_known = static_cast<std::size_t>(Name::count_);

// A set of names.
class NameSet {
  public:
    constexpr NameSet() = default;
    constexpr NameSet(std::initializer_list<Name> names) {
        for (const Name name : names) {
            add(name);
        }
    }
    constexpr void add(Name name) {
        std::uint64_t& word = words_[index(name)];
        word |= bit(name);
    }
    constexpr bool has(Name name) const { return (words_[index(name)] & bit(name)) != 0; }
    constexpr bool meets(const NameSet& other) const {
        return ((words_[0] & other.words_[0]) | (words_[1] & other.words_[1])) != 0;
    }

  private:
    static constexpr std::size_t index(Name name) { return static_cast<std::size_t>(name) / 64; }
    static constexpr std::uint64_t bit(Name name) {
        return std::uint64_t{1} << (static_cast<unsigned>(name) % 64);
    }
    std::array<std::uint64_t, 2> words_{};
};
static_assert(names_known <= 128);

// Case-insensitive (RFC 9110 §5.1); Name::other for every other name. Precondition: a token.
Name name_id(std::string_view name);
// Lower case; empty for Name::other.
std::string_view name_text(Name id);

struct Header {
    std::string_view name;  // as sent: a token, compare without case
    std::string_view value; // without surrounding white space; VCHAR, SP, HTAB and obs-text only
    Name id;
    std::uint8_t next_same; // 1 + index of the next field of this known name; 0: none
    // Where the views point there is "name: value" and CRLF, as it would be written.
    bool as_written;
};

// A value that views a buffer: valid as long as the buffer stands still. No allocation.
class Headers {
  public:
    static constexpr std::size_t capacity = 100;

    Headers() { clear(); }
    void clear() {
        count_ = 0;
        repeated_ = {};
        first_.fill(0);
    }
    std::size_t size() const { return count_; }
    const Header* begin() const { return fields_.data(); }
    const Header* end() const { return fields_.data() + count_; }
    const Header& operator[](std::size_t i) const { return fields_[i]; }

    bool has(Name id) const { return first_[static_cast<std::size_t>(id)] != 0; }
    // First field of a known name, null when absent. O(1). Not for Name::other.
    const Header* find(Name id) const {
        const std::uint8_t at = first_[static_cast<std::size_t>(id)];
        return at == 0 ? nullptr : &fields_[at - 1U];
    }
    // The next field of the same name after `field`.
    const Header* next(const Header& field) const {
        return field.next_same == 0 ? nullptr : &fields_[field.next_same - 1U];
    }
    // Value of the first field of that name, empty when absent.
    std::string_view value(Name id) const {
        const Header* field = find(id);
        return field == nullptr ? std::string_view{} : field->value;
    }
    // One of these names stands twice.
    bool any_repeated(const NameSet& names) const { return repeated_.meets(names); }
    // First field of any name, without case; linear.
    const Header* find(std::string_view name) const;

    // False when full. `as_written`: a parser has seen that the line is; see Header.
    bool add(std::string_view name, std::string_view value, Name id, bool as_written = false) {
        if (count_ == capacity) {
            return false;
        }
        // Member by member: building a Header first and copying it stalls on store forwarding, a
        // third of the whole parse.
        Header& field = fields_[count_++];
        field.name = name;
        field.value = value;
        field.id = id;
        field.next_same = 0;
        field.as_written = as_written;
        if (id != Name::other) {
            link(id);
        }
        return true;
    }

  private:
    // The field that was added last, behind the others of its name.
    void link(Name id) {
        const auto index = static_cast<std::size_t>(id);
        const auto place = static_cast<std::uint8_t>(count_);
        if (first_[index] == 0) {
            first_[index] = place;
        } else {
            fields_[last_[index] - 1U].next_same = place;
            repeated_.add(id);
        }
        last_[index] = place;
    }
    std::array<Header, capacity> fields_; // only the first count_ are set
    std::array<std::uint8_t, names_known> first_;
    std::array<std::uint8_t, names_known> last_;
    std::size_t count_ = 0;
    NameSet repeated_; // the known names that stand more than once
};

} // namespace hasp::net

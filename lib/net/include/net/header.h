// Header fields of one message: views into the buffer that holds the head, in a fixed array.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace hasp::net {

// Names that the engine acts on, found once while parsing so that later stages compare a byte. The
// order is that of the table in header.cpp.
enum class Name : std::uint8_t {
    other,
    accept,
    accept_encoding,
    age,
    authorization,
    cache_control,
    cdn_loop,
    connection,
    content_encoding,
    content_length,
    content_range,
    content_type,
    cookie,
    date,
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
    location,
    max_forwards,
    origin,
    pragma,
    priority,
    proxy_authenticate,
    proxy_authorization,
    proxy_connection,
    range,
    referer,
    sec_fetch_site,
    sec_websocket_accept,
    sec_websocket_extensions,
    sec_websocket_key,
    sec_websocket_protocol,
    sec_websocket_version,
    server,
    set_cookie,
    te,
    traceparent,
    tracestate,
    trailer,
    transfer_encoding,
    upgrade,
    user_agent,
    vary,
    via,
    www_authenticate,
    x_forwarded_for,
    x_forwarded_host,
    x_forwarded_proto,
    x_request_id,
    count_ // not a name
};
inline constexpr std::size_t names_known = static_cast<std::size_t>(Name::count_);

// A set of names.
constexpr std::uint64_t name_bits(std::initializer_list<Name> names) {
    std::uint64_t bits = 0;
    for (const Name name : names) {
        bits |= std::uint64_t{1} << static_cast<unsigned>(name);
    }
    return bits;
}
static_assert(names_known <= 64);

// Case-insensitive (RFC 9110 §5.1); Name::other for every other name. Precondition: a token.
Name name_id(std::string_view name);
// Lower case; empty for Name::other.
std::string_view name_text(Name id);

struct Header {
    std::string_view name;  // as sent: a token, compare without case
    std::string_view value; // without surrounding white space; VCHAR, SP, HTAB and obs-text only
    Name id;
    std::uint8_t next_same; // 1 + index of the next field of this known name; 0: none
};

// A value that views a buffer: valid as long as the buffer stands still. No allocation.
class Headers {
  public:
    static constexpr std::size_t capacity = 100;

    Headers() { clear(); }
    void clear() {
        count_ = 0;
        repeated_ = 0;
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
    // One of these names stands twice. `names` is made by name_bits().
    bool any_repeated(std::uint64_t names) const { return (repeated_ & names) != 0; }
    // First field of any name, without case; linear.
    const Header* find(std::string_view name) const;

    // False when full.
    bool add(std::string_view name, std::string_view value, Name id);

  private:
    std::array<Header, capacity> fields_; // only the first count_ are set
    std::array<std::uint8_t, names_known> first_;
    std::array<std::uint8_t, names_known> last_;
    std::size_t count_ = 0;
    std::uint64_t repeated_ = 0; // bits of the known names that stand more than once
};

} // namespace hasp::net

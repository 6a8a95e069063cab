#include "billing/batch.h"
#include "billing/numbering.h"
#include "wire.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <limits>

namespace hasp::billing {

namespace {

constexpr std::size_t id_bytes = 16;
constexpr std::uint16_t known_flags =
    usage_aborted | usage_failed | usage_tls | usage_cached | usage_final;
constexpr auto size_max = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());

bool numbers_make_sense(const UsageRecord& r) {
    const bool kind = r.kind == UsageKind::request || r.kind == UsageKind::websocket ||
                      r.kind == UsageKind::app_start;
    const bool served =
        r.served == Served::here || r.served == Served::parent || r.served == Served::child;
    return r.version == 1 && kind && served && (r.flags & ~known_flags) == 0 && r.time_us >= 0 &&
           r.duration_us >= 0 && r.bytes_in <= size_max && r.bytes_out <= size_max;
}

using Name = std::array<char, 40>;
// That of zeros, and what each event may name.
constexpr std::size_t names_max = 1 + 3 * batch_events_max;
constexpr std::size_t ids_max = 1 + batch_events_max;

bool printable(char c) {
    return c > 0x20 && c < 0x7f;
}

bool name_makes_sense(const Name& field) {
    std::size_t at = 0;
    while (at < field.size() && printable(field[at])) {
        ++at;
    }
    while (at < field.size() && field[at] == '\0') {
        ++at;
    }
    return at == field.size();
}

bool is_empty(const Name& field) {
    std::array<std::uint64_t, sizeof(Name) / 8> words;
    std::memcpy(words.data(), field.data(), sizeof words);
    std::uint64_t any = 0;
    for (const std::uint64_t word : words) {
        any |= word;
    }
    return any == 0;
}

// The tables in front of the events, as they grow. 0 is the name, or the id, of zeros.
class Tables {
  public:
    Tables() {
        name({});
        id({});
    }
    std::size_t name(const Name& field) {
        const auto number = names_.of(field.data());
        if (number.fresh) {
            Name copy;
            std::memcpy(copy.data(), names_.key(number.value).data(), copy.size());
            sensible_ = sensible_ && name_makes_sense(copy);
        }
        return number.value;
    }
    std::size_t id(const std::array<std::uint8_t, id_bytes>& field) {
        return ids_.of(field.data()).value;
    }
    bool sensible() const { return sensible_; }

    std::string encoded(std::size_t room) const {
        std::string bytes;
        bytes.reserve(4 + names_.size() * (1 + sizeof(Name)) + ids_.size() * id_bytes + room);
        detail::put_fixed(bytes, names_.size() - 1, 2);
        for (std::size_t i = 1; i < names_.size(); ++i) {
            const std::string_view padded = bytes_of(names_.key(i));
            const std::string_view name = padded.substr(0, padded.find('\0'));
            bytes += static_cast<char>(name.size());
            bytes += name;
        }
        detail::put_fixed(bytes, ids_.size() - 1, 2);
        for (std::size_t i = 1; i < ids_.size(); ++i) {
            bytes += bytes_of(ids_.key(i));
        }
        return bytes;
    }

  private:
    template <typename Key>
    static std::string_view bytes_of(const Key& key) {
        return {reinterpret_cast<const char*>(key.data()), sizeof key};
    }
    Numbering<sizeof(Name) / 8, names_max> names_;
    Numbering<id_bytes / 8, ids_max> ids_;
    bool sensible_ = true;
};

// Whose event it was, as it is written: nearly all events repeat one before them.
struct Owner {
    std::array<char, 4> names{}; // app and user, two bytes each at most
    std::array<char, 2> session{};
    std::uint8_t names_bytes = 0;
    std::uint8_t session_bytes = 0;
};
constexpr std::size_t owner_offset = offsetof(UsageRecord, app);
constexpr std::size_t owner_bytes = sizeof(UsageRecord::app) + sizeof(UsageRecord::user) + id_bytes;
static_assert(offsetof(UsageRecord, sid) + id_bytes == owner_offset + owner_bytes);
static_assert(names_max < 1 << 14 && ids_max < 1 << 14, "a varint of two bytes");

Error nonsense() {
    return fail(Code::refused, "a record of usage makes no sense");
}

Owner owner_of(const UsageRecord& r, Tables& tables) {
    Owner out;
    char* end = detail::put_varint(out.names.data(), tables.name(r.app));
    end = detail::put_varint(end, tables.name(r.user));
    out.names_bytes = static_cast<std::uint8_t>(end - out.names.data());
    end = detail::put_varint(out.session.data(), tables.id(r.sid));
    out.session_bytes = static_cast<std::uint8_t>(end - out.session.data());
    return out;
}

} // namespace

bool sensible(const UsageRecord& r) {
    return numbers_make_sense(r) && name_makes_sense(r.app) && name_makes_sense(r.user) &&
           name_makes_sense(r.peer);
}

Result<std::string> encode_events(std::span<const UsageRecord> records) {
    constexpr std::size_t event_bytes_max = 2 + 10 * detail::varint_bytes_max + id_bytes;
    constexpr std::size_t event_bytes_usual = 48;
    std::string events(records.size() * event_bytes_usual + event_bytes_max, '\0');
    std::size_t written = 0;
    Tables tables;
    Numbering<owner_bytes / 8, batch_events_max> numbers;
    std::vector<Owner> owners;
    std::int64_t before_us = 0;
    for (const UsageRecord& r : records) {
        if (!numbers_make_sense(r)) {
            return nonsense();
        }
        const auto number = numbers.of(reinterpret_cast<const char*>(&r) + owner_offset);
        if (number.fresh) {
            owners.push_back(owner_of(r, tables));
        }
        const Owner& owner = owners[number.value];
        if (events.size() - written < event_bytes_max) {
            events.resize(2 * events.size());
        }
        char* out = events.data() + written;
        *out++ = static_cast<char>(r.kind);
        *out++ = static_cast<char>(r.served);
        out = detail::put_varint(out, r.flags);
        out = detail::put_varint(out, r.status);
        out = detail::put_varint(out, detail::zigzag(r.time_us - before_us));
        before_us = r.time_us;
        out = detail::put_varint(out, static_cast<std::uint64_t>(r.duration_us));
        out = detail::put_varint(out, r.bytes_in);
        out = detail::put_varint(out, r.bytes_out);
        std::memcpy(out, owner.names.data(), owner.names.size());
        out += owner.names_bytes;
        // Without a look at the table: hardly an event has a peer.
        out = detail::put_varint(out, is_empty(r.peer) ? 0 : tables.name(r.peer));
        std::memcpy(out, owner.session.data(), owner.session.size());
        out += owner.session_bytes;
        std::memcpy(out, r.rid.data(), id_bytes);
        out += id_bytes;
        written = static_cast<std::size_t>(out - events.data());
    }
    if (!tables.sensible()) {
        return nonsense();
    }
    std::string bytes = tables.encoded(2 + written);
    detail::put_fixed(bytes, records.size(), 2);
    bytes.append(events, 0, written);
    return bytes;
}

namespace {

// Indexes come in the order of first use, so that a table has one spelling.
class Looked {
  public:
    explicit Looked(std::vector<std::string_view> keys) : keys_(std::move(keys)) {}
    std::string_view at(std::uint64_t index, detail::Reader& reader) {
        if (index > used_ + 1 || index >= keys_.size()) {
            reader.fail();
            return {};
        }
        used_ = std::max(used_, index);
        return keys_[index];
    }
    bool all_used() const { return used_ + 1 == keys_.size(); }
    bool distinct() const {
        std::vector<std::string_view> sorted = keys_;
        std::sort(sorted.begin(), sorted.end());
        return std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end();
    }

  private:
    std::vector<std::string_view> keys_;
    std::uint64_t used_ = 0;
};

Error malformed(const char* what) {
    return fail(Code::refused, std::string("the events of a usage batch are malformed: ") + what);
}

} // namespace

Status decode_events(std::string_view bytes,
                     const std::function<void(std::size_t, const Event&)>& on_event) {
    static constexpr std::array<char, id_bytes> no_id{};
    if (bytes.size() > batch_bytes_max) {
        return malformed("they are larger than the limit");
    }
    detail::Reader r(bytes);
    std::vector<std::string_view> keys{std::string_view{}};
    for (std::uint64_t left = r.fixed(2); left > 0 && !r.failed(); --left) {
        const std::string_view name = r.raw(r.fixed(1));
        if (name.empty() || name.size() > sizeof(Name) ||
            !std::all_of(name.begin(), name.end(), printable)) {
            return malformed("a name is none");
        }
        keys.push_back(name);
    }
    Looked names(std::move(keys));
    keys = {std::string_view(no_id.data(), id_bytes)};
    for (std::uint64_t left = r.fixed(2); left > 0 && !r.failed(); --left) {
        keys.push_back(r.raw(id_bytes));
    }
    Looked ids(std::move(keys));
    if (!names.distinct() || !ids.distinct()) {
        return malformed("a name stands there twice");
    }
    const std::uint64_t count = r.fixed(2);
    if (r.failed() || count == 0 || count > batch_events_max) {
        return malformed("the number of events");
    }
    std::int64_t before_us = 0;
    for (std::uint64_t i = 0; i < count; ++i) {
        Event e;
        const std::uint64_t kind = r.fixed(1);
        const std::uint64_t served = r.fixed(1);
        const std::uint64_t flags = r.varint();
        const std::uint64_t status = r.varint();
        const std::uint64_t delta = r.varint();
        const std::uint64_t duration = r.varint();
        e.bytes_in = r.varint();
        e.bytes_out = r.varint();
        e.app = names.at(r.varint(), r);
        e.user = names.at(r.varint(), r);
        e.peer = names.at(r.varint(), r);
        e.sid = ids.at(r.varint(), r);
        e.rid = r.raw(id_bytes);
        if (__builtin_add_overflow(before_us, detail::unzigzag(delta), &e.time_us)) {
            return malformed("a time");
        }
        if (r.failed() || kind < 1 || kind > 3 || served < 1 || served > 3 ||
            (flags & ~std::uint64_t{known_flags}) != 0 || status > 0xffff || e.time_us < 0 ||
            duration > size_max || e.bytes_in > size_max || e.bytes_out > size_max) {
            return malformed("an event is cut short, or holds a value that there is not");
        }
        before_us = e.time_us;
        e.kind = static_cast<UsageKind>(kind);
        e.served = static_cast<Served>(served);
        e.flags = static_cast<std::uint16_t>(flags);
        e.status = static_cast<std::uint16_t>(status);
        e.duration_us = static_cast<std::int64_t>(duration);
        on_event(i, e);
    }
    if (!r.at_end() || !names.all_used() || !ids.all_used()) {
        return malformed("there is more than the events");
    }
    return {};
}

} // namespace hasp::billing

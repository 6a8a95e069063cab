#include "billing/batch.h"
#include "wire.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <memory>

namespace hasp::billing {

namespace {

constexpr std::size_t id_bytes = 16;
constexpr std::uint16_t known_flags =
    usage_aborted | usage_failed | usage_tls | usage_cached | usage_final;
constexpr auto size_max = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());

bool printable(std::string_view name) {
    return std::all_of(name.begin(), name.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

// Keys in the order in which they first came, from 1; 0 stands for the key of zeros. Open
// addressing over a table that fits the most that one batch can name.
template <std::size_t key_bytes, std::size_t keys_max>
class Table {
  public:
    Table() { slots_.fill(0); }

    std::uint32_t index(const char* key) {
        std::array<std::uint64_t, key_bytes / 8> words;
        std::memcpy(words.data(), key, key_bytes);
        std::uint64_t hash = 0;
        std::uint64_t any = 0;
        for (const std::uint64_t word : words) {
            any |= word;
            hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
            hash ^= hash >> 29;
        }
        if (any == 0) {
            return 0;
        }
        for (std::size_t at = hash % slots_.size();; at = (at + 1) % slots_.size()) {
            if (slots_[at] == 0) {
                keys_.push_back(words);
                slots_[at] = static_cast<std::uint16_t>(keys_.size());
                return slots_[at];
            }
            if (keys_[slots_[at] - 1U] == words) {
                return slots_[at];
            }
        }
    }
    std::size_t size() const { return keys_.size(); }
    std::string_view key(std::size_t i) const {
        return {reinterpret_cast<const char*>(keys_[i].data()), key_bytes};
    }

  private:
    std::array<std::uint16_t, keys_max * 2> slots_;
    std::vector<std::array<std::uint64_t, key_bytes / 8>> keys_;
};
using Names = Table<40, 4096>;
using Ids = Table<id_bytes, 1024>;

} // namespace

namespace {

bool numbers_make_sense(const UsageRecord& r) {
    const bool kind = r.kind == UsageKind::request || r.kind == UsageKind::websocket ||
                      r.kind == UsageKind::app_start;
    const bool served =
        r.served == Served::here || r.served == Served::parent || r.served == Served::child;
    return r.version == 1 && kind && served && (r.flags & ~known_flags) == 0 && r.time_us >= 0 &&
           r.duration_us >= 0 && r.bytes_in <= size_max && r.bytes_out <= size_max;
}

bool names_make_sense(const UsageRecord& r) {
    const auto padded = [](const std::array<char, 40>& field) {
        const std::string_view name = name_of(field);
        return printable(name) && std::all_of(field.begin() + static_cast<long>(name.size()),
                                              field.end(), [](char c) { return c == '\0'; });
    };
    return padded(r.app) && padded(r.user) && padded(r.peer);
}

} // namespace

bool sensible(const UsageRecord& r) {
    return numbers_make_sense(r) && names_make_sense(r);
}

bool SenseCheck::operator()(const UsageRecord& r) {
    if (!numbers_make_sense(r)) {
        return false;
    }
    const UsageRecord*& known = known_[names_hash(r) % known_.size()];
    if (known != nullptr && known->app == r.app && known->user == r.user && known->peer == r.peer) {
        return true;
    }
    if (!names_make_sense(r)) {
        return false;
    }
    known = &r;
    return true;
}

std::string encode_events(std::span<const UsageRecord> records) {
    const auto names = std::make_unique<Names>();
    const auto ids = std::make_unique<Ids>();
    constexpr std::size_t event_bytes_max = 2 + 10 * detail::varint_bytes_max + id_bytes;
    std::string events(records.size() * event_bytes_max, '\0');
    char* out = events.data();
    std::int64_t before_us = 0;
    for (const UsageRecord& r : records) {
        *out++ = static_cast<char>(r.kind);
        *out++ = static_cast<char>(r.served);
        out = detail::put_varint(out, r.flags);
        out = detail::put_varint(out, r.status);
        out = detail::put_varint(out, detail::zigzag(r.time_us - before_us));
        before_us = r.time_us;
        out = detail::put_varint(out, static_cast<std::uint64_t>(r.duration_us));
        out = detail::put_varint(out, r.bytes_in);
        out = detail::put_varint(out, r.bytes_out);
        out = detail::put_varint(out, names->index(r.app.data()));
        out = detail::put_varint(out, names->index(r.user.data()));
        out = detail::put_varint(out, names->index(r.peer.data()));
        out = detail::put_varint(out, ids->index(reinterpret_cast<const char*>(r.sid.data())));
        std::memcpy(out, r.rid.data(), id_bytes);
        out += id_bytes;
    }
    events.resize(static_cast<std::size_t>(out - events.data()));
    std::string bytes;
    bytes.reserve(6 + names->size() * 41 + ids->size() * id_bytes + events.size());
    detail::put_fixed(bytes, names->size(), 2);
    for (std::size_t i = 0; i < names->size(); ++i) {
        const std::string_view padded = names->key(i);
        const std::string_view name = padded.substr(0, padded.find('\0'));
        detail::put_fixed(bytes, name.size(), 1);
        bytes += name;
    }
    detail::put_fixed(bytes, ids->size(), 2);
    for (std::size_t i = 0; i < ids->size(); ++i) {
        bytes += ids->key(i);
    }
    detail::put_fixed(bytes, records.size(), 2);
    bytes += events;
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
        if (name.empty() || name.size() > 40 || !printable(name)) {
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

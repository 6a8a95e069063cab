#include "cache/label.h"

#include <algorithm>
#include <cstring>

namespace hasp::cache {
namespace {

constexpr char version = 1;
constexpr std::size_t vary_max = 64;

void put(std::string& out, std::uint32_t value) {
    out.append(reinterpret_cast<const char*>(&value), sizeof value);
}
void put(std::string& out, std::int64_t value) {
    out.append(reinterpret_cast<const char*>(&value), sizeof value);
}
void put(std::string& out, std::string_view text) {
    put(out, static_cast<std::uint32_t>(text.size()));
    out.append(text);
}

// Takes off the front; after a fault nothing more is given.
class Unpacker {
  public:
    explicit Unpacker(std::string_view bytes) : rest_(bytes) {}
    std::string_view bytes(std::size_t count) {
        if (count > rest_.size()) {
            good_ = false;
            rest_ = {};
            return {};
        }
        const std::string_view out = rest_.substr(0, count);
        rest_.remove_prefix(count);
        return out;
    }
    template <typename Number>
    Number number() {
        Number out{};
        if (const std::string_view raw = bytes(sizeof out); raw.size() == sizeof out) {
            std::memcpy(&out, raw.data(), sizeof out);
        }
        return out;
    }
    std::string text() { return std::string(bytes(number<std::uint32_t>())); }
    bool good() const { return good_; }
    bool done() const { return good_ && rest_.empty(); }

  private:
    std::string_view rest_;
    bool good_ = true;
};

} // namespace

std::string pack(const Label& label) {
    std::string out(1, version);
    out += label.open ? '\1' : '\0';
    for (const std::string* one : {&label.owner, &label.app, &label.origin, &label.mount,
                                   &label.target, &label.release, &label.head}) {
        put(out, std::string_view(*one));
    }
    put(out, label.request_s);
    put(out, label.response_s);
    put(out, label.confirmed_s);
    put(out, static_cast<std::uint32_t>(label.vary.size()));
    for (const auto& [name, value] : label.vary) {
        put(out, std::string_view(name));
        put(out, std::string_view(value));
    }
    return out;
}

bool unpack(std::string_view bytes, Label& into) {
    Unpacker from(bytes);
    if (from.number<char>() != version) {
        return false;
    }
    into.open = from.number<char>() != '\0';
    for (std::string* one : {&into.owner, &into.app, &into.origin, &into.mount, &into.target,
                             &into.release, &into.head}) {
        *one = from.text();
    }
    into.request_s = from.number<std::int64_t>();
    into.response_s = from.number<std::int64_t>();
    into.confirmed_s = from.number<std::int64_t>();
    const std::uint32_t count = from.number<std::uint32_t>();
    into.vary.clear();
    for (std::uint32_t i = 0; i < count && i < vary_max && from.good(); ++i) {
        std::string name = from.text();
        into.vary.emplace_back(std::move(name), from.text());
    }
    return from.done() && into.vary.size() == count;
}

bool parse_head(const Label& label, net::AnswerHead& into) {
    net::HeadLimits limits;
    limits.head_max = label.head.size() + 1;
    limits.line_max = limits.head_max;
    const net::ParseResult parsed = net::parse_answer_head(label.head, into, {}, limits);
    return parsed.done() && parsed.consumed == label.head.size() && !into.interim && !into.switched;
}

} // namespace hasp::cache

#include "ledger_words.h"

#include <optional>

namespace hasp::maint {

namespace {

void put(std::string& out, std::uint64_t value, int bytes) {
    for (int shift = (bytes - 1) * 8; shift >= 0; shift -= 8) {
        out += static_cast<char>(value >> shift & 0xff);
    }
}

// Cuts `size` bytes off the front; nothing when there are fewer.
std::optional<std::string_view> cut(std::string_view& rest, std::size_t size) {
    if (rest.size() < size) {
        return std::nullopt;
    }
    const std::string_view out = rest.substr(0, size);
    rest.remove_prefix(size);
    return out;
}

std::optional<std::uint64_t> number(std::string_view& rest, std::size_t bytes) {
    const auto raw = cut(rest, bytes);
    if (!raw) {
        return std::nullopt;
    }
    std::uint64_t value = 0;
    for (const char c : *raw) {
        value = value << 8 | static_cast<unsigned char>(c);
    }
    return value;
}

std::optional<std::string_view> sized(std::string_view& rest, std::size_t bytes) {
    const auto size = number(rest, bytes);
    return size ? cut(rest, static_cast<std::size_t>(*size)) : std::nullopt;
}

} // namespace

void pack_batch(std::string& out, std::string_view envelope, std::string_view events) {
    put(out, envelope.size(), 4);
    out += envelope;
    put(out, events.size(), 4);
    out += events;
}

Result<std::vector<std::pair<std::string, std::string>>> unpack_batches(std::string_view body) {
    std::vector<std::pair<std::string, std::string>> out;
    while (!body.empty()) {
        const auto envelope = sized(body, 4);
        const auto events = envelope ? sized(body, 4) : std::nullopt;
        if (!events) {
            return fail(Code::refused, "a message with usage is cut short");
        }
        out.emplace_back(*envelope, *events);
    }
    return out;
}

std::string encode_ack(const UsageAck& ack) {
    std::string out;
    put(out, ack.chain.tier.size(), 2);
    out += ack.chain.tier;
    put(out, ack.chain.epoch, 8);
    put(out, ack.until.stream, 8);
    put(out, ack.until.next, 8);
    return out + ack.hash;
}

Result<UsageAck> decode_ack(std::string_view bytes) {
    const auto tier = sized(bytes, 2);
    const auto epoch = number(bytes, 8);
    const auto stream = number(bytes, 8);
    const auto next = number(bytes, 8);
    if (!tier || !epoch || !stream || !next || bytes.size() != billing::digest_bytes) {
        return fail(Code::refused, "a confirmation of usage makes no sense");
    }
    return UsageAck{{std::string(*tier), *epoch}, {*stream, *next}, std::string(bytes)};
}

} // namespace hasp::maint

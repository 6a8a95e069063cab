#include "sync/attributes.h"

#include "numbers.h"

#include <optional>

namespace hasp::sync {

namespace {

void put_bytes(std::string& out, std::string_view text) {
    put_number(out, text.size());
    out.append(text);
}

std::optional<std::string> take_bytes(std::string_view& bytes) {
    const auto size = take_number(bytes);
    if (!size || *size > bytes.size()) {
        return std::nullopt;
    }
    std::string out(bytes.substr(0, static_cast<std::size_t>(*size)));
    bytes.remove_prefix(static_cast<std::size_t>(*size));
    return out;
}

AttributeMap read_own(const std::string& bytes) {
    auto read = read_attributes(bytes);
    return read ? *std::move(read) : AttributeMap{};
}

} // namespace

bool valid_attribute_name(std::string_view name) {
    return name.starts_with(attribute_prefix) && name.size() > attribute_prefix.size() &&
           name.size() <= attribute_name_bytes_max && name.find('\0') == std::string_view::npos;
}

std::string write_attributes(const AttributeMap& attributes) {
    std::string out;
    for (const auto& [name, value] : attributes) {
        put_bytes(out, name);
        put_bytes(out, value);
    }
    return out;
}

Result<AttributeMap> read_attributes(std::string_view bytes) {
    AttributeMap out;
    if (bytes.size() > attributes_bytes_max) {
        return fail(Code::refused, "the attributes of a file are beyond their limit");
    }
    while (!bytes.empty()) {
        auto name = take_bytes(bytes);
        auto value = name ? take_bytes(bytes) : std::nullopt;
        if (!value || !valid_attribute_name(*name) ||
            (!out.empty() && *name <= out.rbegin()->first)) {
            return fail(Code::refused, "the attributes of a file are damaged");
        }
        out.emplace_hint(out.end(), *std::move(name), *std::move(value));
    }
    return out;
}

namespace {

// Nothing: that would be too much.
std::optional<std::string> carried(const std::string& before, const std::string& after,
                                   const std::string& onto) {
    if (before == onto || before == after) {
        return before == after ? onto : after;
    }
    const AttributeMap old = read_own(before);
    const AttributeMap fresh = read_own(after);
    AttributeMap out = read_own(onto);
    for (const auto& [name, value] : old) {
        if (!fresh.contains(name)) {
            out.erase(name);
        }
    }
    for (const auto& [name, value] : fresh) {
        const auto was = old.find(name);
        if (was == old.end() || was->second != value) {
            out[name] = value;
        }
    }
    std::string bytes = write_attributes(out);
    return bytes.size() > attributes_bytes_max ? std::nullopt : std::optional(std::move(bytes));
}

} // namespace

std::string carry_over(const std::string& before, const std::string& after,
                       const std::string& onto) {
    return carried(before, after, onto).value_or(onto);
}

std::string merge_attributes(const std::string& before, const std::string& mine,
                             const std::string& theirs) {
    if (auto all = carried(before, theirs, mine)) {
        return *std::move(all);
    }
    const AttributeMap old = read_own(before);
    const AttributeMap kept = read_own(theirs);
    AttributeMap known = read_own(mine);
    std::erase_if(known, [&](const auto& one) {
        return !old.contains(one.first) && !kept.contains(one.first);
    });
    return carried(before, theirs, write_attributes(known)).value_or(theirs);
}

} // namespace hasp::sync

// What a parent answers to `release.get` (PROTOCOL.md), taken apart and put together. Pure; any
// thread.
#pragma once

#include "base/result.h"
#include "links.h"

#include <cstdint>
#include <functional>
#include <string>

namespace hasp::maint {

struct ReleaseAnswer {
    std::string text;      // of the release: encode_release
    std::string signature; // an envelope, see release_proof.h
    std::string statement; // of the app's publishers; empty: the origin itself signs
    std::string pack;      // the whole of it, when it is small; else empty, and to be asked for:
    std::string pack_name;
    std::uint64_t pack_bytes = 0;
    std::string pack_sha256;
};

// A release's text without its sequence, which may differ from tier to tier: what others are
// compared with.
std::string base_text(std::string_view text);

// The shortest: the text as its difference to that of `base_id`, then signature and pack as they
// are. `base` is the base's base_text(), empty with an empty id.
Result<Message> encode_release_answer(const ReleaseAnswer& answer, const std::string& base_id,
                                      std::string_view base);
// For a child that does not know the above: text whole, the rest as JSON.
Message encode_plain_release_answer(const ReleaseAnswer& answer);

// Either. `base_of` gives the base_text() of a release that is here; empty: it is not.
// Code::refused for what is cut short, damaged, or above release_manifest_bytes_max.
using BaseOf = std::function<std::string(const std::string& release_id)>;
Result<ReleaseAnswer> decode_release_answer(const Message& message, const BaseOf& base_of);

} // namespace hasp::maint

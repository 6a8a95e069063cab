// The grammar of the values in hasp-app.toml. Pure.
#pragma once

#include "run/manifest.h"

namespace hasp::run {

// No control characters.
bool printable(std::string_view text);
// What may stand in a request line as a path and query: no spaces, no controls, no fragment.
bool request_path(std::string_view path);
bool host_name(std::string_view host);
// RFC 9110 section 5.6.2, without '_': servers that turn headers into variables cannot tell it from
// '-'. May be empty.
bool header_name(std::string_view name);
// Names with a meaning of their own in HTTP, which the app must not be told otherwise.
bool reserved_header(std::string_view name);
// Framing and hop-by-hop fields (RFC 9110 section 7.6.1): they end at every hop.
bool connection_header(std::string_view lower_name);
// A path inside the release: relative, and never upward.
bool inside(std::string_view path);
// A name that a manifest may give to an environment variable.
bool env_name(std::string_view name);
// http://HOST[:PORT][/PATH] or https://…; nullopt for anything else.
std::optional<UpstreamUrl> parse_url(std::string_view text);

} // namespace hasp::run

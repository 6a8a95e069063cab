// Names of the header fields between tiers. None of them survives from a user (see is_forgeable).
// What they mean: PROTOCOL.md.
#pragma once

#include <string_view>

namespace hasp::passon {

inline constexpr std::string_view link_app = "hasp-app";
inline constexpr std::string_view link_mount = "hasp-mount";
inline constexpr std::string_view link_origin = "hasp-origin";
inline constexpr std::string_view link_client = "hasp-client";
inline constexpr std::string_view link_session = "hasp-session";
// Toward a peer alone, in place of a session: what its keeper must verify, as base64url.
inline constexpr std::string_view link_assertion = "hasp-assertion";
inline constexpr std::size_t assertion_text_bytes_max = 2800;
inline constexpr std::string_view link_deadline = "hasp-deadline-ms";
inline constexpr std::string_view link_user = "hasp-user";
inline constexpr std::string_view link_user_name = "hasp-user-name";
inline constexpr std::string_view link_user_email = "hasp-user-email";
inline constexpr std::string_view link_user_groups = "hasp-user-groups";
// In answers: the page that the user's own tier is to show instead.
inline constexpr std::string_view link_notice = "hasp-notice";
inline constexpr std::string_view link_notice_text = "hasp-notice-text";

// In answers: what a cache below has to know of the app (PROTOCOL.md).
inline constexpr std::string_view link_cache = "hasp-cache";

// The one thing that a box without a certificate may ask for.
inline constexpr std::string_view link_enrol_path = "/hasp/link/enrol";

} // namespace hasp::passon

// JSON Web Signatures as ACME asks for them (RFC 7515 flattened, RFC 7518 ES256, RFC 7517, RFC
// 7638): only making them. Pure; any thread.
#pragma once

#include "trust/keys.h"

#include <string>
#include <string_view>

namespace hasp::trust {

// {"crv":…,"kty":"EC","x":…,"y":…}: the members that count, in the order of RFC 7638 §3.
std::string jwk_of(const TlsKey& key);
// base64url of the SHA-256 of that.
std::string jwk_thumbprint(const TlsKey& key);
// The flattened serialisation. `protected_head` is JSON and names ES256; the payload may be empty.
std::string jws_es256(const TlsKey& key, std::string_view protected_head, std::string_view payload);

} // namespace hasp::trust

// Private: the text of a token, taken apart and put together.
#pragma once

#include "signon/token_store.h"

#include <optional>
#include <string>
#include <string_view>

namespace hasp::signon {

struct TokenParts {
    std::string id;     // 32 hex digits
    std::string secret; // 32 hex digits
};

std::string format_token(const TokenParts& parts);
std::optional<TokenParts> parse_token(std::string_view text);

// What is left of an identity under a scope.
void narrow(Identity& identity, const Scope& scope);

} // namespace hasp::signon

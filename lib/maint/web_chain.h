// A chain that somebody signed for a request, looked at before it is used or passed on. Pure.
#pragma once

#include "base/result.h"
#include "trust/web_ca.h"

#include <cstdint>
#include <string>
#include <vector>

namespace hasp::maint {

inline constexpr std::size_t web_chain_bytes_max = 64 * 1024;

struct WebChain {
    std::vector<std::string> der; // the leaf first
    trust::WebCertificate said;   // by the leaf
};
// What is needed of it.
struct WebChainFor {
    std::string tls_fingerprint;
    std::vector<std::string> names; // each is to be in the leaf
    std::int64_t now_us = 0;        // wall time
    std::int64_t early_us = 0;      // its life may begin so much later
};
// PEM. refused: it cannot be read or is larger than web_chain_bytes_max, is for another key, lacks
// a name, or is not valid now.
Result<WebChain> read_web_chain(const std::string& pem, const WebChainFor& wanted);

} // namespace hasp::maint

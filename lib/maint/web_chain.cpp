#include "web_chain.h"

namespace hasp::maint {

Result<WebChain> read_web_chain(const std::string& pem, const WebChainFor& wanted) {
    const auto refuse = [](const std::string& why) {
        return fail(Code::refused, "the certificate for browsers cannot be used: " + why);
    };
    if (pem.size() > web_chain_bytes_max) {
        return refuse("it is too large");
    }
    auto chain = trust::from_pem(pem);
    auto said = chain.ok() ? trust::read_web_certificate(chain->front())
                           : Result<trust::WebCertificate>(chain.error());
    if (!said.ok()) {
        return refuse(said.error().message);
    }
    if (said->tls_fingerprint != wanted.tls_fingerprint) {
        return refuse("it is for another key");
    }
    if (said->from_us > wanted.now_us + wanted.early_us || said->to_us <= wanted.now_us) {
        return refuse("it is not valid now");
    }
    for (const std::string& name : wanted.names) {
        if (!trust::is_for(*said, name)) {
            return refuse("it is not for " + name);
        }
    }
    return WebChain{*std::move(chain), *std::move(said)};
}

} // namespace hasp::maint

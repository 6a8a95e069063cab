#include "join.h"

#include "base/files.h"
#include "base/text.h"
#include "json_tools.h"
#include "maint/enrol_request.h"
#include "maint/tier_identity.h"
#include "state.h"
#include "trust/certificate.h"
#include "trust/invite.h"

#include <curl/curl.h>
#include <memory>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <unistd.h>
#include <vector>

namespace hasp::cmd {

namespace {

constexpr long address_s_max = 20;
constexpr long connect_s_max = 5;            // where nobody answers, the next address is tried
constexpr std::size_t token_bytes_max = 256; // in hex
constexpr std::size_t answer_bytes_max = 256 * 1024;

struct ParentCheck {
    const trust::Invitation& invitation;
    trust::TierName me;
    std::int64_t now_us;
    std::string refusal;
};

std::string der_of(X509* certificate) {
    unsigned char* bytes = nullptr;
    const int size = i2d_X509(certificate, &bytes);
    std::string der;
    if (size > 0) {
        der.assign(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
    }
    OPENSSL_free(bytes);
    return der;
}

// In place of OpenSSL's own: the parent must prove its name in this realm, by the root's hash in
// the invitation.
int check_parent(X509_STORE_CTX* context, void* argument) {
    auto& check = *static_cast<ParentCheck*>(argument);
    X509* leaf = X509_STORE_CTX_get0_cert(context);
    STACK_OF(X509)* sent = X509_STORE_CTX_get0_untrusted(context);
    std::vector<std::string> chain;
    for (int i = 0; sent != nullptr && i < sk_X509_num(sent); ++i) {
        X509* certificate = sk_X509_value(sent, i);
        if (X509_cmp(certificate, leaf) != 0) {
            chain.push_back(der_of(certificate));
        }
    }
    auto peer = trust::verify_peer(der_of(leaf), chain,
                                   {check.invitation.realm_id, check.me, trust::Relation::parent},
                                   check.now_us);
    if (!peer.ok()) {
        check.refusal = peer.error().message;
        X509_STORE_CTX_set_error(context, X509_V_ERR_CERT_UNTRUSTED);
        return 0;
    }
    return 1;
}

CURLcode set_check(CURL*, void* ssl_context, void* argument) {
    SSL_CTX_set_cert_verify_callback(static_cast<SSL_CTX*>(ssl_context), check_parent, argument);
    return CURLE_OK;
}

std::size_t take_answer(char* data, std::size_t one, std::size_t size, void* argument) {
    auto& answer = *static_cast<std::string*>(argument);
    if (answer.size() + size > answer_bytes_max) {
        return 0;
    }
    answer.append(data, one * size);
    return size;
}

struct Answer {
    long status = 0;
    std::string body;
};

Result<Answer> post(const std::string& address, const std::string& body, ParentCheck& check) {
    const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(),
                                                                   curl_easy_cleanup);
    if (curl == nullptr) {
        return fail(Code::failed, "cannot load libcurl.so.4", "install the package libcurl4");
    }
    const std::string url = "https://" + address + "/hasp/link/enrol";
    const std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(
        curl_slist_append(nullptr, "content-type: application/json"), curl_slist_free_all);
    Answer answer;
    curl_easy_setopt(curl.get(), CURLOPT_URL, url.c_str());
    curl_easy_setopt(curl.get(), CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(curl.get(), CURLOPT_NOPROXY, "*");
    curl_easy_setopt(curl.get(), CURLOPT_HTTPHEADER, headers.get());
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDS, body.c_str());
    curl_easy_setopt(curl.get(), CURLOPT_POSTFIELDSIZE, static_cast<long>(body.size()));
    curl_easy_setopt(curl.get(), CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_3));
    // The name in the certificate is a tier's, not a host's: check_parent decides.
    curl_easy_setopt(curl.get(), CURLOPT_SSL_VERIFYHOST, 0L);
    curl_easy_setopt(curl.get(), CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(curl.get(), CURLOPT_SSL_CTX_FUNCTION, set_check);
    curl_easy_setopt(curl.get(), CURLOPT_SSL_CTX_DATA, &check);
    curl_easy_setopt(curl.get(), CURLOPT_WRITEFUNCTION, take_answer);
    curl_easy_setopt(curl.get(), CURLOPT_WRITEDATA, &answer.body);
    curl_easy_setopt(curl.get(), CURLOPT_TIMEOUT, address_s_max);
    curl_easy_setopt(curl.get(), CURLOPT_CONNECTTIMEOUT, connect_s_max);
    curl_easy_setopt(curl.get(), CURLOPT_NOSIGNAL, 1L);
    const CURLcode rc = curl_easy_perform(curl.get());
    if (!check.refusal.empty()) {
        return fail(Code::refused,
                    address + " is not the parent that the invitation names: " + check.refusal);
    }
    if (rc != CURLE_OK) {
        return fail(Code::unreachable, address + ": " + curl_easy_strerror(rc));
    }
    curl_easy_getinfo(curl.get(), CURLINFO_RESPONSE_CODE, &answer.status);
    return answer;
}

Status store(const std::string& state, const trust::Invitation& invitation,
             const trust::TierName& me, const maint::JoinKeys& keys, const std::string& body,
             const Clock& clock) {
    auto signed_for_us = maint::read_certificates(body, me, invitation.realm_id, keys.envelope_key,
                                                  keys.tls_key, clock.wall_us());
    if (!signed_for_us.ok()) {
        return signed_for_us.error();
    }
    return maint::save_identity(state + "/keys",
                                {me, invitation.realm_id, signed_for_us->epoch, keys.envelope_key,
                                 keys.tls_key, std::move(signed_for_us->ca_chain_der),
                                 std::move(signed_for_us->tls_cert_der), invitation.addresses});
}

} // namespace

Result<std::string> join_parent(const std::string& state, const std::string& invitation_line,
                                const Clock& clock, Random& random) {
    auto invitation = trust::parse_invitation(invitation_line);
    if (!invitation.ok()) {
        return invitation.error();
    }
    const auto me = invitation->parent.child(invitation->name);
    if (!me.ok()) {
        return me.error();
    }
    if (Status made = make_folders(state, 0711); !made.ok()) {
        return made.error();
    }
    auto lock = lock_state(state);
    if (!lock.ok()) {
        return lock.error();
    }
    const std::string taken_file = state + "/keys/invitation";
    const std::string token = to_hex(invitation->token_id);
    auto taken = read_file(taken_file, token_bytes_max);
    auto held = maint::load_identity(state + "/keys");
    if (held.ok()) {
        if (held->name != *me || held->realm_id != invitation->realm_id) {
            return fail(Code::conflict, state + " holds the tier " + held->name.text() + " already",
                        "use another --state for " + me->text());
        }
        if (taken.ok() && *taken == token) {
            return me->text();
        }
    }
    // Enrolled already, and this is another invitation: the parent may not know us any more, as
    // after it came back from a backup. Who cannot be reached now is asked at the next start; a
    // refusal says nothing where nobody noted which invitation it was that we took.
    const auto unless_held = [&](Error error) -> Result<std::string> {
        const bool serves = held.ok() && (error.code != Code::refused || !taken.ok());
        return serves ? Result<std::string>(me->text()) : Result<std::string>(std::move(error));
    };
    // Keys of an earlier try stay: their enrolment may have been done and its answer lost.
    const bool tried_before = ::access((state + "/keys/tls.pem").c_str(), F_OK) == 0;
    const auto refused_for_good = [&](Error error) {
        if (!tried_before) {
            [[maybe_unused]] const Status gone = remove_tree(state + "/keys");
        }
        return error;
    };
    auto keys = maint::prepare_join_keys(state + "/keys", random);
    if (!keys.ok()) {
        return keys.error();
    }
    const std::string request =
        maint::enrol_request(*invitation, keys->envelope_key, keys->tls_key);
    std::string tried;
    for (const std::string& address : invitation->addresses) {
        ParentCheck check{*invitation, *me, clock.wall_us(), ""};
        auto answer = post(address, request, check);
        if (!answer.ok() && answer.error().code == Code::refused) {
            return unless_held(refused_for_good(answer.error()));
        }
        if (!answer.ok()) {
            tried += (tried.empty() ? "" : "; ") + answer.error().message;
            continue;
        }
        if (answer->status != 200) {
            Error refused = error_of(member(parse_object(answer->body), "error"));
            if (refused.message.empty()) {
                refused = fail(Code::failed,
                               "the parent answered with status " + std::to_string(answer->status));
            }
            return unless_held(refused.code == Code::refused ? refused_for_good(refused) : refused);
        }
        if (Status stored = store(state, *invitation, *me, *keys, answer->body, clock);
            !stored.ok()) {
            return stored.error();
        }
        if (Status noted = write_file_durably(taken_file, token, 0600); !noted.ok()) {
            return noted.error();
        }
        return me->text();
    }
    return unless_held(fail(
        Code::unreachable, "the parent cannot be reached: " + tried,
        "check the cable and the addresses in the invitation, then run the same command again"));
}

} // namespace hasp::cmd

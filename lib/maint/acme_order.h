// One certificate by ACME (RFC 8555) with DNS-01, as a machine without I/O: it says what is to be
// done next, and is told how it ended. What a restart needs is the URL of the order; the rest is
// read from the server again. One thread.
#pragma once

#include "base/random.h"
#include "base/result.h"
#include "json_tools.h"
#include "maint/keeper_ports.h"
#include "trust/keys.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hasp::maint {

// What a server says when it refuses (RFC 7807, RFC 8555 §6.7).
struct AcmeProblem {
    std::string type;         // without "urn:ietf:params:acme:error:"
    std::string detail;       // printable, at most 500 bytes
    std::int64_t wait_us = 0; // what Retry-After asked for; 0: nothing
    std::string secret{};     // of the operator's program: for the tier that runs it, and no other
    std::string words() const { return type.empty() ? detail : type + ": " + detail; }
};
// Of an answer that is no success, or of a "error" member of an object in one.
AcmeProblem read_acme_problem(const OutsideAnswer& answer);
AcmeProblem acme_problem_of(const Json& problem);
// Seconds or an HTTP date (RFC 9110 §10.2.3), at most a day; 0: there is none.
std::int64_t retry_after_us(const OutsideAnswer& answer, std::int64_t now_us);

// The account at one server, and what of the server every order needs. The owner keeps `kid`.
struct AcmeAccount {
    trust::TlsKey key;
    std::string directory; // URL
    std::string ca_file;
    std::string contact;
    std::string kid; // the account's URL; empty: not made yet
    std::string nonce;
    std::string new_nonce_url;
    std::string new_account_url;
    std::string new_order_url;
};

class AcmeOrder {
  public:
    struct Step {
        enum class Kind : unsigned char { http, hook, wait, done, failed };
        Kind kind = Kind::failed;
        OutsideCall call;               // http
        std::vector<std::string> words; // hook: "set" or "clear", name, value
        std::int64_t wait_us = 0;       // wait: then next() again
    };
    // A `url` from an earlier run goes on with that order. `dns_wait_us`: from the last record set
    // until the server is told to look.
    AcmeOrder(AcmeAccount& account, std::vector<std::string> names, std::string request_der,
              std::string url, std::int64_t dns_wait_us);

    // What to do now. After http and hook, their ends are told before next() is called again.
    Step next();
    void http_done(const Result<OutsideAnswer>& answer, std::int64_t now_us);
    void hook_done(const Status& done);

    const std::string& url() const { return url_; }
    // After Kind::done: PEM, as the server gave it, the certificate first.
    const std::string& chain_pem() const { return chain_; }
    // After Kind::failed. The order is of no more use, unless resumes().
    const AcmeProblem& problem() const { return problem_; }
    // The server could not be asked, or asked to wait: the same order may go on later.
    bool resumes() const { return resumes_; }
    // The server, not this order, is in the way: others need not be tried now.
    bool server_busy() const { return server_busy_; }
    // For people: what is waited for.
    std::string words() const;

  private:
    enum class Stage : unsigned char {
        directory,
        account,
        new_order,
        order,
        authorization,
        set,
        challenge,
        poll,
        finalize,
        download,
        why_invalid,
        clear,
        end
    };
    struct Challenge {
        std::string name; // _acme-challenge.…
        std::string value;
        std::string url;
        bool set = false;
        bool left = false; // it may stand in the DNS: from before the program is asked to set it
        bool told = false;
    };
    Step post(const std::string& url, const std::string& payload);
    void take(const OutsideAnswer& answer, std::int64_t now_us);
    void take_directory(const Json& json);
    void take_order(const Json& json, const OutsideAnswer& answer, std::int64_t now_us);
    void take_authorization(const Json& json);
    void refused(const OutsideAnswer& answer, bool for_nonce, std::int64_t now_us);
    bool poll_lost();
    void poll_again(const OutsideAnswer& answer, std::int64_t now_us);
    void fail_with(AcmeProblem problem, bool resumes);
    void end_with_clearing(bool good);
    Challenge* next_of(bool Challenge::*flag, bool value);

    AcmeAccount& account_;
    std::vector<std::string> names_;
    std::string request_der_;
    std::string url_;
    std::int64_t dns_wait_us_;
    Stage stage_;
    std::int64_t wait_us_ = 0; // before the stage's question
    std::vector<std::string> authorizations_;
    std::size_t authorization_ = 0;
    std::vector<Challenge> challenges_;
    std::string finalize_url_;
    std::string certificate_url_;
    std::string chain_;
    AcmeProblem problem_;
    bool resumes_ = false;
    bool server_busy_ = false;
    bool good_ = false;
    bool asked_for_nonce_ = false; // by the question under way
    bool told_ = false;            // the server was asked to look
    int bad_nonces_ = 0;
    int polls_ = 0;
    int polls_lost_ = 0; // in a row
};

} // namespace hasp::maint

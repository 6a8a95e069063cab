#include "acme_order.h"

#include "base/clock.h"
#include "base/text.h"
#include "net/fields.h"
#include "trust/hash.h"
#include "trust/jws.h"

#include <algorithm>

namespace hasp::maint {

namespace {
constexpr std::string_view error_prefix = "urn:ietf:params:acme:error:";
constexpr std::size_t type_bytes_max = 100;
constexpr std::size_t detail_bytes_max = 500;
constexpr std::size_t url_bytes_max = 2048;
constexpr std::size_t token_bytes_max = 256;
constexpr std::size_t authorizations_max = 100;
constexpr int bad_nonces_max = 5;
constexpr int polls_max = 60;
constexpr int polls_lost_max = 5;
constexpr std::int64_t retry_after_us_max = 24LL * 3600 * second_us;
constexpr std::int64_t poll_us_min = 2 * second_us;
constexpr std::int64_t poll_us_max = 60 * second_us;

bool is_url(const std::string& text) {
    return text.starts_with("https://") && text.size() <= url_bytes_max &&
           std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
}

bool is_token(const std::string& text) {
    return !text.empty() && text.size() <= token_bytes_max &&
           std::all_of(text.begin(), text.end(), [](char c) {
               return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '-' || c == '_';
           });
}

// From outside, into logs and status.
std::string printable(std::string text, std::size_t bytes_max) {
    for (char& c : text) {
        if (c < ' ' || c > '~') {
            c = '?';
        }
    }
    return text.substr(0, bytes_max);
}

std::string answer_header_of(const OutsideAnswer& answer, std::string_view name) {
    for (const auto& [key, value] : answer.headers) {
        if (key == name) {
            return value;
        }
    }
    return {};
}

std::string without_wildcard(const std::string& name) {
    return name.starts_with("*.") ? name.substr(2) : name;
}
} // namespace

AcmeProblem acme_problem_of(const Json& problem) {
    std::string type = text_of(problem, "type");
    if (type.starts_with(error_prefix)) {
        type.erase(0, error_prefix.size());
    }
    return {printable(type, type_bytes_max),
            printable(text_of(problem, "detail"), detail_bytes_max),
            0,
            {}};
}

AcmeProblem read_acme_problem(const OutsideAnswer& answer) {
    AcmeProblem problem = acme_problem_of(parse_object(answer.body));
    if (problem.type.empty() && problem.detail.empty()) {
        problem.detail = "the server answered with status " + std::to_string(answer.status);
    }
    return problem;
}

std::int64_t retry_after_us(const OutsideAnswer& answer, std::int64_t now_us) {
    const std::string text = answer_header_of(answer, "retry-after");
    const auto seconds = parse_u64(text);
    if (seconds) {
        return static_cast<std::int64_t>(std::min<std::uint64_t>(
                   *seconds, static_cast<std::uint64_t>(retry_after_us_max / second_us))) *
               second_us;
    }
    const auto at = net::parse_http_date(text, now_us / second_us);
    return at ? std::clamp<std::int64_t>(*at - now_us / second_us, 0,
                                         retry_after_us_max / second_us) *
                    second_us
              : 0;
}

AcmeOrder::AcmeOrder(AcmeAccount& account, std::vector<std::string> names, std::string request_der,
                     std::string url, std::int64_t dns_wait_us)
    : account_(account), names_(std::move(names)), request_der_(std::move(request_der)),
      url_(std::move(url)), dns_wait_us_(dns_wait_us),
      stage_(account.new_order_url.empty() ? Stage::directory : Stage::account) {}

// The body of RFC 8555 §6.2; before it, a nonce where none is left over.
AcmeOrder::Step AcmeOrder::post(const std::string& url, const std::string& payload) {
    Step step{Step::Kind::http, {}, {}, 0};
    step.call.ca_file = account_.ca_file;
    if (account_.nonce.empty()) {
        asked_for_nonce_ = true;
        step.call.method = "HEAD";
        step.call.url = account_.new_nonce_url;
        return step;
    }
    Json head{{"alg", "ES256"}, {"nonce", std::exchange(account_.nonce, {})}, {"url", url}};
    if (url == account_.new_account_url) {
        head["jwk"] = parse_object(trust::jwk_of(account_.key));
    } else {
        head["kid"] = account_.kid;
    }
    step.call.method = "POST";
    step.call.url = url;
    step.call.content_type = "application/jose+json";
    step.call.body = trust::jws_es256(account_.key, dump(head), payload);
    return step;
}

AcmeOrder::Challenge* AcmeOrder::next_of(bool Challenge::*flag, bool value) {
    const auto at = std::find_if(challenges_.begin(), challenges_.end(),
                                 [&](const Challenge& one) { return one.*flag == value; });
    return at == challenges_.end() ? nullptr : &*at;
}

AcmeOrder::Step AcmeOrder::next() {
    if (wait_us_ > 0) {
        return {Step::Kind::wait, {}, {}, std::exchange(wait_us_, 0)};
    }
    if (stage_ == Stage::account && !account_.kid.empty()) {
        stage_ = url_.empty() ? Stage::new_order : Stage::order;
    }
    if (stage_ == Stage::set && next_of(&Challenge::set, false) == nullptr) {
        stage_ = Stage::challenge;
        return {Step::Kind::wait, {}, {}, dns_wait_us_};
    }
    if (stage_ == Stage::challenge && next_of(&Challenge::told, false) == nullptr) {
        told_ = true;
        stage_ = Stage::poll;
        return {Step::Kind::wait, {}, {}, poll_us_min};
    }
    if (stage_ == Stage::clear && next_of(&Challenge::left, true) == nullptr) {
        stage_ = Stage::end;
    }
    switch (stage_) {
    case Stage::directory: {
        Step step{Step::Kind::http, {}, {}, 0};
        step.call.url = account_.directory;
        step.call.ca_file = account_.ca_file;
        return step;
    }
    case Stage::account: {
        Json about{{"termsOfServiceAgreed", true}};
        if (!account_.contact.empty()) {
            about["contact"] = {account_.contact};
        }
        return post(account_.new_account_url, dump(about));
    }
    case Stage::new_order: {
        Json identifiers = Json::array();
        for (const std::string& name : names_) {
            identifiers.push_back({{"type", "dns"}, {"value", name}});
        }
        return post(account_.new_order_url, dump({{"identifiers", identifiers}}));
    }
    case Stage::order:
    case Stage::poll:
        return post(url_, "");
    case Stage::authorization:
    case Stage::why_invalid:
        return post(authorizations_[authorization_], "");
    case Stage::set: {
        Challenge& one = *next_of(&Challenge::set, false);
        one.left = true; // a program that fails may have set it
        return {Step::Kind::hook, {}, {"set", one.name, one.value}, 0};
    }
    case Stage::challenge:
        return post(next_of(&Challenge::told, false)->url, "{}");
    case Stage::finalize:
        return post(finalize_url_, dump({{"csr", to_base64url(request_der_)}}));
    case Stage::download:
        return post(certificate_url_, "");
    case Stage::clear: {
        const Challenge& one = *next_of(&Challenge::left, true);
        return {Step::Kind::hook, {}, {"clear", one.name, one.value}, 0};
    }
    case Stage::end:
        break;
    }
    return {good_ ? Step::Kind::done : Step::Kind::failed, {}, {}, 0};
}

void AcmeOrder::fail_with(AcmeProblem problem, bool resumes) {
    problem_ = std::move(problem);
    resumes_ = resumes;
    end_with_clearing(false);
}

void AcmeOrder::end_with_clearing(bool good) {
    good_ = good;
    wait_us_ = 0;
    stage_ = Stage::clear;
}

void AcmeOrder::hook_done(const Status& done) {
    if (stage_ == Stage::set) {
        if (!done.ok()) {
            fail_with({"", "the record in the DNS could not be set", 0,
                       "dns_hook: " + printable(done.error().message, detail_bytes_max)},
                      true);
            return;
        }
        next_of(&Challenge::set, false)->set = true;
    } else if (stage_ == Stage::clear) {
        // A record that stays is of no use to anybody.
        next_of(&Challenge::left, true)->left = false;
    }
}

void AcmeOrder::http_done(const Result<OutsideAnswer>& answer, std::int64_t now_us) {
    const bool for_nonce = std::exchange(asked_for_nonce_, false);
    if (!answer.ok() && poll_lost()) {
        return;
    }
    if (!answer.ok()) {
        server_busy_ = true;
        fail_with({"", printable(answer.error().message, detail_bytes_max)}, true);
        return;
    }
    if (const std::string nonce = answer_header_of(*answer, "replay-nonce"); is_token(nonce)) {
        account_.nonce = nonce;
    }
    if (for_nonce && answer->status < 300) {
        if (account_.nonce.empty()) {
            fail_with({"", "the server gives no nonce"}, true);
        }
        return;
    }
    if (answer->status < 200 || answer->status > 299) {
        refused(*answer, for_nonce, now_us);
        return;
    }
    bad_nonces_ = 0;
    polls_lost_ = 0;
    take(*answer, now_us);
}

// While the server looks into the DNS, one question that was lost is no reason to take the records
// away.
bool AcmeOrder::poll_lost() {
    if (stage_ != Stage::poll || ++polls_lost_ > polls_lost_max) {
        return false;
    }
    wait_us_ = poll_us_max;
    return true;
}

void AcmeOrder::refused(const OutsideAnswer& answer, bool for_nonce, std::int64_t now_us) {
    if (answer.status >= 500 && poll_lost()) {
        return;
    }
    AcmeProblem problem = read_acme_problem(answer);
    problem.wait_us = retry_after_us(answer, now_us);
    if (problem.type == "badNonce" && ++bad_nonces_ <= bad_nonces_max) {
        return; // the same question, with the nonce that came with the refusal
    }
    if (problem.type == "accountDoesNotExist" && stage_ != Stage::account) {
        account_.kid.clear(); // made anew by the next order
    }
    server_busy_ =
        for_nonce || problem.type == "rateLimited" || answer.status == 429 || answer.status >= 500;
    const bool later =
        server_busy_ || problem.type == "badNonce" || problem.type == "accountDoesNotExist";
    fail_with(std::move(problem), later);
}

void AcmeOrder::take(const OutsideAnswer& answer, std::int64_t now_us) {
    const Json json = parse_object(answer.body);
    const std::string location = answer_header_of(answer, "location");
    switch (stage_) {
    case Stage::directory:
        take_directory(json);
        return;
    case Stage::account:
        if (!is_url(location)) {
            fail_with({"", "the server did not say which account it made"}, true);
            return;
        }
        account_.kid = location;
        return;
    case Stage::new_order:
        if (!is_url(location)) {
            fail_with({"", "the server did not say which order it made"}, true);
            return;
        }
        url_ = location;
        take_order(json, answer, now_us);
        return;
    case Stage::order:
    case Stage::poll:
    case Stage::finalize:
        take_order(json, answer, now_us);
        return;
    case Stage::authorization:
    case Stage::why_invalid:
        take_authorization(json);
        return;
    case Stage::challenge:
        next_of(&Challenge::told, false)->told = true;
        return;
    case Stage::download:
        chain_ = answer.body;
        end_with_clearing(true);
        return;
    case Stage::set:
    case Stage::clear:
    case Stage::end:
        return;
    }
}

void AcmeOrder::take_directory(const Json& json) {
    account_.new_nonce_url = text_of(json, "newNonce");
    account_.new_account_url = text_of(json, "newAccount");
    account_.new_order_url = text_of(json, "newOrder");
    if (!is_url(account_.new_nonce_url) || !is_url(account_.new_account_url) ||
        !is_url(account_.new_order_url)) {
        account_.new_order_url.clear();
        fail_with({"", "that is no directory of an ACME server"}, true);
        return;
    }
    stage_ = Stage::account;
}

void AcmeOrder::take_order(const Json& json, const OutsideAnswer& answer, std::int64_t now_us) {
    const std::string status = text_of(json, "status");
    authorizations_ = texts_of(json, "authorizations");
    finalize_url_ = text_of(json, "finalize");
    certificate_url_ = text_of(json, "certificate");
    const bool good = is_url(finalize_url_) && authorizations_.size() <= authorizations_max &&
                      std::all_of(authorizations_.begin(), authorizations_.end(), is_url);
    if (!good) {
        fail_with({"", "the server's order makes no sense"}, false);
    } else if (status == "ready" && stage_ == Stage::finalize) {
        poll_again(answer, now_us); // it did not take the request, and says no more
    } else if (status == "ready") {
        stage_ = Stage::finalize;
    } else if (status == "valid" && is_url(certificate_url_)) {
        stage_ = Stage::download;
    } else if (status == "invalid") {
        problem_ = acme_problem_of(member(json, "error"));
        if (!problem_.type.empty() || authorizations_.empty()) {
            fail_with(problem_, false);
            return;
        }
        authorization_ = 0;
        stage_ = Stage::why_invalid;
    } else if (status == "pending" && !told_ && !authorizations_.empty()) {
        authorization_ = 0;
        challenges_.clear();
        stage_ = Stage::authorization;
    } else if (status == "pending" || status == "processing") {
        poll_again(answer, now_us);
    } else {
        fail_with({"", "the server's order makes no sense"}, false);
    }
}

void AcmeOrder::poll_again(const OutsideAnswer& answer, std::int64_t now_us) {
    if (++polls_ > polls_max) {
        fail_with({"", "the server does not come to an end with the order"}, true);
        return;
    }
    wait_us_ = std::clamp(retry_after_us(answer, now_us), poll_us_min, poll_us_max);
    stage_ = Stage::poll;
}

void AcmeOrder::take_authorization(const Json& json) {
    const std::string name = text_of(member(json, "identifier"), "value");
    const std::string status = text_of(json, "status");
    if (stage_ == Stage::why_invalid) {
        for (const Json& one : member(json, "challenges")) {
            if (one.is_object() && one.contains("error")) {
                AcmeProblem problem = acme_problem_of(member(one, "error"));
                problem.detail = printable(name, detail_bytes_max) + ": " + problem.detail;
                fail_with(std::move(problem), false);
                return;
            }
        }
        if (++authorization_ == authorizations_.size()) {
            fail_with({"", "the server calls the order invalid, and does not say why"}, false);
        }
        return;
    }
    // What is set in the DNS is for what was asked for, whatever the server says.
    const bool ours = std::any_of(names_.begin(), names_.end(), [&](const std::string& one) {
        return iequals(without_wildcard(one), name);
    });
    if (!ours) {
        fail_with({"", "the server asks for a proof of a name that was not asked for"}, false);
        return;
    }
    if (status == "pending") {
        const Json* found = nullptr;
        for (const Json& one : member(json, "challenges")) {
            found = text_of(one, "type") == "dns-01" ? &one : found;
        }
        if (found == nullptr || !is_token(text_of(*found, "token")) ||
            !is_url(text_of(*found, "url"))) {
            fail_with({"", "the server does not offer DNS-01 for " + to_lower(name)}, false);
            return;
        }
        // RFC 8555 §8.1 and §8.4.
        const std::string proof =
            text_of(*found, "token") + "." + trust::jwk_thumbprint(account_.key);
        Challenge challenge;
        challenge.name = "_acme-challenge." + to_lower(name);
        challenge.value = to_base64url(trust::sha256(proof));
        challenge.url = text_of(*found, "url");
        challenge.told = text_of(*found, "status") == "processing";
        challenges_.push_back(std::move(challenge));
    }
    if (++authorization_ == authorizations_.size()) {
        stage_ = challenges_.empty() ? Stage::poll : Stage::set;
        told_ = challenges_.empty();
    }
}

std::string AcmeOrder::words() const {
    switch (stage_) {
    case Stage::directory:
    case Stage::account:
        return "an account at " + account_.directory;
    case Stage::new_order:
    case Stage::order:
    case Stage::authorization:
        return "an order at " + account_.directory;
    case Stage::set:
        return "a record in the DNS";
    case Stage::challenge:
    case Stage::poll:
        return "the server's look into the DNS";
    case Stage::finalize:
    case Stage::download:
        return "the certificate";
    case Stage::why_invalid:
    case Stage::clear:
    case Stage::end:
        break;
    }
    return "the end of the order";
}

} // namespace hasp::maint

// The ACME machine against a scripted server: every refusal, and what a restart goes on with. The
// signatures themselves are verified in trust's tests, and by a real server in the end-to-end test.
#include "acme_order.h"

#include "base/clock.h"
#include "base/text.h"
#include "trust/hash.h"
#include "trust/jws.h"

#include <gtest/gtest.h>
#include <map>
#include <set>

namespace hasp::maint {
namespace {

constexpr std::int64_t now_us = 1'800'000'000LL * second_us;
const std::string base_url = "https://acme.test";

// Follows RFC 8555 §7; a test bends it by answers that are given in the place of the next ones.
class Server {
  public:
    std::map<std::string, OutsideAnswer> instead; // by path, once
    std::vector<std::string> asked;               // "METHOD /path"
    std::set<std::string> records;                // "name value", in the DNS
    std::string order = "none";
    int processing = 1; // polls until a step is done
    bool looked = false;
    std::string thumbprint;
    std::vector<std::string> names{"tokyo.clinic.example", "tokyo.clinic.example"};

    OutsideAnswer answer(const OutsideCall& call) {
        const std::string path = call.url.substr(base_url.size());
        asked.push_back(call.method + " " + path);
        OutsideAnswer out = call.method == "POST" ? post(call, path) : plain(call, path);
        if (!path.ends_with("directory")) {
            nonce_ = "nonce" + std::to_string(++nonces_);
            out.headers.emplace_back("replay-nonce", nonce_);
        }
        return out;
    }

  private:
    static OutsideAnswer say(int status, const Json& json, const std::string& location = {}) {
        OutsideAnswer out{status, {}, dump(json)};
        if (!location.empty()) {
            out.headers.emplace_back("location", base_url + location);
        }
        return out;
    }
    static OutsideAnswer plain(const OutsideCall& call, const std::string& path) {
        if (path == "/directory") {
            return say(200, {{"newNonce", base_url + "/nonce"},
                             {"newAccount", base_url + "/account"},
                             {"newOrder", base_url + "/new-order"}});
        }
        if (path == "/no-directory") {
            return {200, {}, "<html>"};
        }
        EXPECT_EQ(call.method, "HEAD");
        return {200, {}, ""};
    }
    OutsideAnswer post(const OutsideCall& call, const std::string& path) {
        const Json jws = parse_object(call.body);
        const Json head = parse_object(from_base64url(text_of(jws, "protected")).value_or(""));
        const Json body = parse_object(from_base64url(text_of(jws, "payload")).value_or(""));
        EXPECT_EQ(call.content_type, "application/jose+json");
        EXPECT_EQ(text_of(head, "url"), call.url);
        EXPECT_EQ(text_of(head, "nonce"), nonce_) << "each nonce is used once";
        EXPECT_NE(head.contains("jwk"), head.contains("kid"));
        EXPECT_EQ(head.contains("jwk"), path == "/account");
        if (const auto bent = instead.find(path); bent != instead.end()) {
            const OutsideAnswer out = bent->second;
            instead.erase(bent);
            return out;
        }
        if (path == "/account") {
            EXPECT_TRUE(true_of(body, "termsOfServiceAgreed"));
            return say(201, {{"status", "valid"}}, "/account/1");
        }
        if (path == "/new-order") {
            order = "pending";
            return say(201, order_json(), "/order/1");
        }
        if (path == "/order/1") {
            if (looked && order == "pending" && processing-- <= 0) {
                order = "ready";
            } else if (order == "processing" && processing-- <= 0) {
                order = "valid";
            }
            return say(200, order_json());
        }
        if (path.starts_with("/authz/")) {
            const std::string number = path.substr(7);
            return say(200,
                       {{"status", looked ? "valid" : "pending"},
                        {"identifier", {{"type", "dns"}, {"value", names[number == "0" ? 0 : 1]}}},
                        {"challenges",
                         {{{"type", "http-01"}, {"url", base_url + "/no"}, {"token", "no"}},
                          {{"type", "dns-01"},
                           {"status", "pending"},
                           {"url", base_url + "/challenge/" + number},
                           {"token", "token" + number}}}}});
        }
        if (path.starts_with("/challenge/")) {
            const std::string value =
                to_base64url(trust::sha256("token" + path.substr(11) + "." + thumbprint));
            EXPECT_TRUE(records.contains("_acme-challenge.tokyo.clinic.example " + value));
            looked = path.ends_with("1");
            processing = 1;
            return say(200, {{"status", "processing"}});
        }
        if (path == "/finalize/1") {
            EXPECT_EQ(from_base64url(text_of(body, "csr")), "the request");
            order = "processing";
            processing = 1;
            return say(200, order_json());
        }
        EXPECT_EQ(path, "/certificate/1");
        return {200, {}, "the chain"};
    }
    Json order_json() const {
        Json out{{"status", order},
                 {"authorizations", {base_url + "/authz/0", base_url + "/authz/1"}},
                 {"finalize", base_url + "/finalize/1"}};
        if (order == "valid") {
            out["certificate"] = base_url + "/certificate/1";
        }
        return out;
    }
    std::string nonce_;
    int nonces_ = 0;
};

struct OneOrder : testing::Test {
    SeededRandom random{5};
    AcmeAccount account{trust::TlsKey::generate(random),
                        base_url + "/directory",
                        {},
                        "mailto:it@clinic",
                        {},
                        {},
                        {},
                        {},
                        {}};
    Server server;
    std::string url;
    AcmeProblem problem;
    std::int64_t waited_us = 0;
    bool resumes = false;
    int steps_max = 200; // a power cut after so many
    bool server_busy = false;
    int sets_that_fail = 0; // of the program, though the record is set
    int calls_lost = 0;     // the next ones to this path
    std::string lost_path;

    OneOrder() { server.thumbprint = trust::jwk_thumbprint(account.key); }

    // The chain; empty: it failed, or was cut.
    std::string run() {
        AcmeOrder order(account, {"tokyo.clinic.example", "*.tokyo.clinic.example"}, "the request",
                        url, 30 * second_us);
        using Kind = AcmeOrder::Step::Kind;
        for (int i = 0; i < steps_max; ++i) {
            const AcmeOrder::Step step = order.next();
            switch (step.kind) {
            case Kind::http:
                if (calls_lost > 0 && step.call.url == base_url + lost_path) {
                    --calls_lost;
                    EXPECT_EQ(server.records.size(), lost_path == "/order/1" ? 2U : 0U);
                    order.http_done(fail(Code::timed_out, "nobody answers"), now_us);
                } else {
                    order.http_done(server.answer(step.call), now_us);
                }
                url = order.url();
                break;
            case Kind::hook:
                if (step.words[0] == "set") {
                    server.records.insert(step.words[1] + " " + step.words[2]);
                } else {
                    EXPECT_EQ(server.records.erase(step.words[1] + " " + step.words[2]), 1U);
                }
                order.hook_done(step.words[0] == "set" && sets_that_fail-- > 0
                                    ? Status(fail(Code::failed, "hook: KEY=hunter2"))
                                    : Status());
                break;
            case Kind::wait:
                waited_us += step.wait_us;
                break;
            case Kind::done:
                EXPECT_TRUE(server.records.empty()) << "it takes its records away";
                return order.chain_pem();
            case Kind::failed:
                EXPECT_TRUE(server.records.empty()) << "it takes its records away";
                problem = order.problem();
                resumes = order.resumes();
                server_busy = order.server_busy();
                return "";
            }
        }
        return "";
    }
    static OutsideAnswer refusal(int status, const std::string& type, const std::string& detail,
                                 const std::string& retry_after = {}) {
        OutsideAnswer out{
            status, {}, dump({{"type", "urn:ietf:params:acme:error:" + type}, {"detail", detail}})};
        if (!retry_after.empty()) {
            out.headers.emplace_back("retry-after", retry_after);
        }
        return out;
    }
};

} // namespace

TEST_F(OneOrder, ANameAndItsWildcardAreProvenByTwoRecordsAndTheChainComesDown) {
    EXPECT_EQ(run(), "the chain") << problem.words();
    EXPECT_EQ(account.kid, base_url + "/account/1");
    EXPECT_GE(waited_us, 30 * second_us) << "the DNS had its time";
    // The account is there the next time, and so is a nonce.
    server.asked.clear();
    server.order = "none";
    server.looked = false;
    url.clear();
    EXPECT_EQ(run(), "the chain");
    EXPECT_EQ(server.asked.front(), "POST /new-order");
}

TEST_F(OneOrder, ARestartAfterAnyStepGoesOnWithTheSameOrder) {
    for (int cut = 1; cut < 40; ++cut) {
        server = Server();
        server.thumbprint = trust::jwk_thumbprint(account.key);
        account.kid = account.nonce = account.new_order_url = "";
        url.clear();
        steps_max = cut;
        run();
        steps_max = 200;
        // What front, key and kid are kept; records may be left, and nonces are gone.
        account.nonce = account.new_order_url = "";
        server.records.clear();
        EXPECT_EQ(run(), "the chain") << "after step " << cut << ": " << problem.words();
        EXPECT_EQ(std::count(server.asked.begin(), server.asked.end(), "POST /new-order"), 1)
            << "after step " << cut;
    }
}

TEST_F(OneOrder, ABadNonceIsAskedAgainWithTheNewOneAndNotForEver) {
    for (const char* path : {"/account", "/new-order", "/authz/0", "/challenge/0", "/finalize/1"}) {
        server.instead[path] = refusal(400, "badNonce", "it was used");
    }
    EXPECT_EQ(run(), "the chain") << problem.words();
    EXPECT_EQ(std::count(server.asked.begin(), server.asked.end(), "POST /new-order"), 2);
}

TEST_F(OneOrder, ARateLimitIsWaitedForAndSaid) {
    server.instead["/new-order"] =
        refusal(429, "rateLimited", "too many certificates (5)\x01 this week", "7200");
    EXPECT_EQ(run(), "");
    EXPECT_EQ(problem.words(), "rateLimited: too many certificates (5)? this week");
    EXPECT_EQ(problem.wait_us, 7200 * second_us);
    EXPECT_TRUE(resumes);
    EXPECT_EQ(run(), "the chain");
}

TEST_F(OneOrder, WhatTheServerDidNotFindInTheDnsIsSaid) {
    server.instead["/order/1"] = {200,
                                  {},
                                  dump({{"status", "invalid"},
                                        {"authorizations", {base_url + "/authz/0"}},
                                        {"finalize", base_url + "/finalize/1"}})};
    url = base_url + "/order/1";
    server.instead["/authz/0"] = {
        200,
        {},
        dump({{"status", "invalid"},
              {"identifier", {{"value", "tokyo.clinic.example"}}},
              {"challenges",
               {{{"type", "dns-01"},
                 {"error",
                  {{"type", "urn:ietf:params:acme:error:dns"}, {"detail", "NXDOMAIN"}}}}}}})};
    EXPECT_EQ(run(), "");
    EXPECT_EQ(problem.words(), "dns: tokyo.clinic.example: NXDOMAIN");
    EXPECT_FALSE(resumes) << "another order is needed";
}

TEST_F(OneOrder, NoRecordIsSetForANameThatWasNotAskedFor) {
    server.names[1] = "bank.example";
    EXPECT_EQ(run(), "");
    EXPECT_NE(problem.words().find("was not asked for"), std::string::npos);
}

TEST_F(OneOrder, ADirectoryOrAnOrderThatMakesNoSenseEndsIt) {
    for (const char* order :
         {"", "[]", "{}", R"({"status":"ready","finalize":"http://x","authorizations":[]})",
          R"({"status":"valid","finalize":"https://x","authorizations":[]})",
          R"({"status":"pending","finalize":"https://x","authorizations":[]})",
          R"({"status":"pending","finalize":"https://x","authorizations":["file:///etc"]})"}) {
        server.instead["/new-order"] = {201, {{"location", base_url + "/order/1"}}, order};
        url.clear();
        server.instead["/order/1"] = {200, {}, order};
        EXPECT_EQ(run(), "") << order;
    }
    account.new_order_url.clear();
    account.directory = base_url + "/no-directory";
    EXPECT_EQ(run(), "");
}

TEST_F(OneOrder, AnOrderThatNeverEndsIsLeftAfterManyPollsThatHonourRetryAfter) {
    server.processing = 100000;
    server.looked = true;
    server.order = "processing";
    url = base_url + "/order/1";
    EXPECT_EQ(run(), "");
    EXPECT_TRUE(resumes);
    EXPECT_LT(server.asked.size(), 80U);
}

TEST_F(OneOrder, WhatTheProgramSaidIsApartAndARecordThatItSetBeforeItFailedIsTakenAway) {
    sets_that_fail = 1;
    EXPECT_EQ(run(), "");
    EXPECT_EQ(problem.words(), "the record in the DNS could not be set");
    EXPECT_EQ(problem.secret, "dns_hook: hook: KEY=hunter2");
    EXPECT_TRUE(resumes);
    EXPECT_FALSE(server_busy) << "other orders may have a program that works";
}

TEST_F(OneOrder, AQuestionThatIsLostWhileTheServerLooksLeavesTheRecordsWhereTheyAre) {
    lost_path = "/order/1";
    calls_lost = 5;
    EXPECT_EQ(run(), "the chain") << problem.words();
    server = Server();
    server.thumbprint = trust::jwk_thumbprint(account.key);
    account.nonce = account.new_order_url = "";
    url.clear();
    calls_lost = 6;
    EXPECT_EQ(run(), "") << "not for ever";
    EXPECT_TRUE(resumes && server_busy);
    EXPECT_TRUE(server.records.empty());
}

TEST_F(OneOrder, AServerThatRefusesANonceOrCannotBeAskedIsAskedAgainLater) {
    account.new_order_url = base_url + "/new-order";
    account.new_account_url = base_url + "/account";
    account.new_nonce_url = base_url + "/no-nonce";
    lost_path = "/no-nonce";
    calls_lost = 1;
    EXPECT_EQ(run(), "");
    EXPECT_TRUE(resumes && server_busy);
    AcmeOrder order(account, {"tokyo.clinic.example"}, "the request", "", 0);
    EXPECT_EQ(order.next().call.method, "HEAD");
    order.http_done(refusal(403, "unauthorized", "not now"), now_us);
    EXPECT_EQ(order.next().kind, AcmeOrder::Step::Kind::failed);
    EXPECT_TRUE(order.resumes() && order.server_busy());
}

TEST_F(OneOrder, AnOrderThatStaysReadyAfterTheRequestIsPolledAndNotForEver) {
    const OutsideAnswer ready{200,
                              {},
                              dump({{"status", "ready"},
                                    {"authorizations", {base_url + "/authz/0"}},
                                    {"finalize", base_url + "/finalize/1"}})};
    url = base_url + "/order/1";
    account.kid = base_url + "/account/1";
    AcmeOrder order(account, {"tokyo.clinic.example"}, "the request", url, 0);
    int asked = 0;
    std::int64_t waited = 0;
    AcmeOrder::Step step = order.next();
    for (; step.kind != AcmeOrder::Step::Kind::failed && asked < 1000; step = order.next()) {
        waited += step.wait_us;
        if (step.kind == AcmeOrder::Step::Kind::http) {
            ++asked;
            OutsideAnswer answer = step.call.method == "POST" ? ready : server.answer(step.call);
            answer.headers.emplace_back("replay-nonce", "n");
            order.http_done(answer, now_us);
        }
    }
    EXPECT_LT(asked, 200);
    EXPECT_GE(waited, 60 * second_us);
    EXPECT_TRUE(order.resumes());
}

TEST(AcmeProblem, RetryAfterIsSecondsOrADateAndAtMostADay) {
    const auto after = [](const char* text) {
        return retry_after_us({429, {{"retry-after", text}}, ""}, now_us) / second_us;
    };
    EXPECT_EQ(after("120"), 120);
    EXPECT_EQ(after("Fri, 15 Jan 2027 08:01:00 GMT"), 60);
    EXPECT_EQ(after("Thu, 14 Jan 2027 08:00:00 GMT"), 0);
    EXPECT_EQ(after("99999999999999999999"), 0);
    EXPECT_EQ(after("9999999"), 86'400);
    EXPECT_EQ(after("soon"), 0);
    EXPECT_EQ(read_acme_problem({502, {}, "<html>"}).words(),
              "the server answered with status 502");
}

} // namespace hasp::maint

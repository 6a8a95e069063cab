// The orders of many tiers at one authority: whom they are for, how many there may be, and what a
// server or a program that misbehaves can do to the others.
#include "acme.h"

#include "base/files.h"

#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <gtest/gtest.h>

namespace hasp::maint {
namespace {

constexpr const char* server_url = "https://acme.test/";

// Goes through an order, up to the program or to a certificate; everything is answered at once.
struct Outside final : KeeperPorts {
    bool reached = true;
    int calls = 0;
    std::string program_says; // it fails; empty: it is not come to
    std::string name;         // of the authorization

    void send_front(std::string_view, std::string_view, std::span<const int>) override {}
    void send_spawner(std::string_view, std::string_view) override {}
    void answer_admin(std::uint64_t, std::string_view, std::string_view) override {}
    void background(std::function<void()>, std::function<void()>) override {}
    void outside_http(OutsideCall call, std::function<void(Result<OutsideAnswer>)> done) override {
        ++calls;
        if (reached) {
            done(answer(call.url.substr(std::string(server_url).size())));
        } else {
            done(fail(Code::unreachable, "nobody is there"));
        }
    }
    void outside_command(std::vector<std::string> words,
                         std::function<void(Status)> done) override {
        done(words[1] == "set" ? Status(fail(Code::failed, program_says)) : Status());
    }

  private:
    OutsideAnswer answer(const std::string& path) const {
        Json out = Json::object();
        if (path == "directory") {
            for (const char* one : {"newNonce", "newAccount", "newOrder"}) {
                out[one] = std::string(server_url) + one;
            }
        } else if (path == "authorization") {
            out = {{"status", "pending"},
                   {"identifier", {{"value", name}}},
                   {"challenges",
                    {{{"type", "dns-01"},
                      {"token", "t"},
                      {"url", std::string(server_url) + "challenge"}}}}};
        } else {
            out = {{"status", program_says.empty() ? "valid" : "pending"},
                   {"authorizations", {std::string(server_url) + "authorization"}},
                   {"finalize", std::string(server_url) + "finalize"},
                   {"certificate", std::string(server_url) + "certificate"}};
        }
        return {200,
                {{"replay-nonce", "n"}, {"location", std::string(server_url) + "1"}},
                path == "certificate" ? "no chain" : dump(out)};
    }
};

struct AcmeJobs : testing::Test {
    SeededRandom random{7};
    ManualClock clock;
    const Log log{::open("/dev/null", O_WRONLY | O_CLOEXEC), clock, "test", false};
    Config config;
    TierIdentity me = make_top_identity("clinics", "center", clock, random).value();
    std::string folder;
    Outside outside;
    std::unique_ptr<Acme> acme;

    AcmeJobs() {
        std::string name = "/tmp/hasp-acme-XXXXXX";
        folder = ::mkdtemp(name.data());
        config.acme.directory = std::string(server_url) + "directory";
        config.acme.names = {"clinic.example"};
        config.acme.assign = {"tokyo=booking.clinic.example"};
        config.acme.dns_hook = "/hook";
        start();
    }
    ~AcmeJobs() override { std::filesystem::remove_all(folder); }
    void start() {
        acme = std::make_unique<Acme>(
            Acme::World{outside, clock, random, log, config, me, folder, [] {}});
        ASSERT_TRUE(acme->load().ok());
    }
    std::string request(const std::string& name) {
        return trust::make_web_request(trust::TlsKey::generate(random), {name}).value();
    }
    Result<Acme::Answer> ask(const std::string& path, const std::string& name) {
        return acme->certify(trust::TierName::parse("hasp://clinics/center/" + path).value(),
                             request(name));
    }
    std::string shown(const char* what, std::size_t i = 0) const {
        const Json orders = member(acme->show(), "orders");
        return i < orders.size() ? text_of(orders[i], what) : "none";
    }
};

} // namespace

TEST_F(AcmeJobs, ATierGetsNoMoreRequestsByInventingTiersBelowItAndTakesNoneOfAnothers) {
    outside.reached = false;
    for (int i = 0; i < acme_requests_a_day_max; ++i) {
        const std::string desk = "desk" + std::to_string(i);
        ASSERT_TRUE(ask("tokyo/" + desk, desk + ".tokyo.clinic.example").ok()) << i;
    }
    EXPECT_EQ(ask("tokyo/other", "other.tokyo.clinic.example").error().code, Code::try_later);
    EXPECT_EQ(ask("tokyo/desk0", "desk0.tokyo.clinic.example").error().code, Code::try_later);
    EXPECT_EQ(shown("tier"), "hasp://clinics/center/tokyo/desk0")
        << "what is under way is not lost by a request that is refused";
    EXPECT_TRUE(ask("osaka", "osaka.clinic.example").ok());
    clock.advance_us(day_us);
    EXPECT_TRUE(ask("tokyo/other", "other.tokyo.clinic.example").ok());
}

TEST_F(AcmeJobs, WhatTheProgramSaysIsShownHereAndToldToNoTierBelow) {
    outside.program_says = "curl: KEY=hunter2";
    outside.name = "tokyo.clinic.example";
    const trust::TierName tokyo = trust::TierName::parse("hasp://clinics/center/tokyo").value();
    const std::string der = request("tokyo.clinic.example");
    ASSERT_TRUE(acme->certify(tokyo, der).ok());
    const auto said = acme->certify(tokyo, der);
    EXPECT_EQ(said->why, "the record in the DNS could not be set");
    EXPECT_EQ(shown("why"), "the record in the DNS could not be set (dns_hook: curl: KEY=hunter2)");
}

TEST_F(AcmeJobs, AChainThatCannotBeUsedIsNoneAndAnotherOrderIsMadeLater) {
    const trust::TierName tokyo = trust::TierName::parse("hasp://clinics/center/tokyo").value();
    const std::string der = request("tokyo.clinic.example");
    ASSERT_TRUE(acme->certify(tokyo, der).ok());
    const auto said = acme->certify(tokyo, der);
    EXPECT_EQ(said->chain_pem, "");
    EXPECT_NE(said->why.find("cannot be used"), std::string::npos) << said->why;
    EXPECT_GE(said->wait_s, 900);
    EXPECT_EQ(shown("state"), "failed");
    const Json kept = parse_object(*read_file(folder + "/acme.json", 1 << 20));
    EXPECT_EQ(text_of(member(kept, "orders")[0], "url"), "");
}

TEST_F(AcmeJobs, WhileTheServerCannotBeAskedOneOrderTriesAndTheOthersWait) {
    outside.reached = false;
    for (const char* name : {"tokyo", "osaka", "nara"}) {
        ASSERT_TRUE(ask(name, std::string(name) + ".clinic.example").ok());
        acme->tick();
    }
    EXPECT_EQ(outside.calls, 1);
    EXPECT_GE(ask("kobe", "kobe.clinic.example")->wait_s, 60);
    clock.advance_us(61 * second_us);
    acme->tick();
    acme->tick();
    EXPECT_EQ(outside.calls, 2);
    clock.advance_us(61 * second_us);
    acme->tick();
    EXPECT_EQ(outside.calls, 2) << "ever more seldom";
}

TEST_F(AcmeJobs, AfterARestartOrdersAreHeldAgainstTheConfigAndForgottenByWhenTheyWereAsked) {
    outside.reached = false;
    ASSERT_TRUE(ask("tokyo", "booking.clinic.example").ok());
    ASSERT_TRUE(ask("osaka", "osaka.clinic.example").ok());
    config.acme.assign.clear();
    clock.advance_us(23 * hour_us);
    start();
    EXPECT_EQ(shown("tier"), "hasp://clinics/center/osaka");
    EXPECT_EQ(shown("tier", 1), "none");
    clock.advance_us(2 * hour_us);
    acme->tick();
    EXPECT_EQ(shown("tier"), "none") << "nobody has asked for a day";
}

TEST_F(AcmeJobs, AnAccountWhoseKeyIsGoneIsMadeAnew) {
    outside.program_says = "no";
    outside.name = "tokyo.clinic.example";
    ASSERT_TRUE(ask("tokyo", "tokyo.clinic.example").ok());
    EXPECT_EQ(text_of(acme->show(), "account"), std::string(server_url) + "1");
    start();
    EXPECT_EQ(text_of(acme->show(), "account"), std::string(server_url) + "1");
    std::filesystem::remove(folder + "/acme-account.pem");
    start();
    EXPECT_EQ(text_of(acme->show(), "account"), "");
}

} // namespace hasp::maint

#include "web_chain.h"

#include "base/clock.h"

#include <gtest/gtest.h>

namespace hasp::maint {
namespace {

struct Chains : testing::Test {
    SeededRandom random{9};
    trust::TlsKey ca_key = trust::TlsKey::generate(random);
    trust::TlsKey key = trust::TlsKey::generate(random);
    std::int64_t now = 1'800'000'000LL * second_us;
    std::string ca =
        trust::issue_web_ca(ca_key, "ca", trust::WebNames::parse({"clinic.lan"}).value(),
                            trust::valid_for(now, 100 * day_us), random)
            .value();

    std::string chain(const std::vector<std::string>& names) {
        return trust::to_pem({trust::issue_web_leaf(ca_key, ca, names, key.spki_der(),
                                                    trust::valid_for(now, 10 * day_us), random)
                                  .value(),
                              ca});
    }
    WebChainFor wanted(std::int64_t now_us, std::int64_t early_us = 0) const {
        return {key.fingerprint(), {"a.clinic.lan", "*.a.clinic.lan"}, now_us, early_us};
    }
};

TEST_F(Chains, WhatFitsIsTakenAndItsEndKnown) {
    const auto read = read_web_chain(chain({"a.clinic.lan", "*.a.clinic.lan"}), wanted(now));
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(read->der.size(), 2U);
    EXPECT_EQ(read->said.to_us, now + 10 * day_us);
}

TEST_F(Chains, WhatIsForAnotherKeyOrNameOrTimeOrIsNoneIsRefused) {
    const std::string good = chain({"a.clinic.lan", "*.a.clinic.lan"});
    WebChainFor other = wanted(now);
    other.tls_fingerprint = ca_key.fingerprint();
    EXPECT_FALSE(read_web_chain(good, other).ok());
    EXPECT_FALSE(read_web_chain(chain({"a.clinic.lan"}), wanted(now)).ok());
    EXPECT_FALSE(read_web_chain(good, wanted(now + 10 * day_us)).ok()) << "it has ended";
    EXPECT_FALSE(read_web_chain(good, wanted(now - 2 * day_us)).ok()) << "it is not valid yet";
    EXPECT_TRUE(read_web_chain(good, wanted(now - 2 * day_us, 3 * day_us)).ok());
    for (const std::string& bad : {std::string(), std::string("the chain"), good.substr(0, 200),
                                   good + std::string(web_chain_bytes_max, '\n')}) {
        EXPECT_FALSE(read_web_chain(bad, wanted(now)).ok());
    }
}

} // namespace
} // namespace hasp::maint

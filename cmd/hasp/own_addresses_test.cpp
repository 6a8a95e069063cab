#include "own_addresses.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace hasp::cmd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::vector<MachineAddress> machine{{"127.0.0.1"},         {"192.0.2.10"},   {"::1"},
                                          {"2001:db8::1", true}, {"2001:db8::10"}, {"fe80::1"}};

std::vector<std::string> texts(const OwnAddresses& own) {
    std::vector<std::string> out;
    for (const IpAddress& one : own.addresses) {
        out.push_back(one.text());
    }
    return out;
}

TEST(OwnAddresses, AreThoseThatTheListenersName) {
    const OwnAddresses own =
        own_addresses({"[2001:db8::10]:443", "192.0.2.10:443", "192.0.2.10:80"}, machine);
    EXPECT_THAT(texts(own), ElementsAre("192.0.2.10", "2001:db8::10"));
    EXPECT_THAT(own.notes, IsEmpty());
}

TEST(OwnAddresses, OfAListenerOnAllAreTheMachinesWithoutLoopbackLinkLocalAndWhatPasses) {
    EXPECT_THAT(texts(own_addresses({"0.0.0.0:80"}, machine)), ElementsAre("192.0.2.10"));
    EXPECT_THAT(texts(own_addresses({"[::]:80"}, machine)),
                ElementsAre("192.0.2.10", "2001:db8::10"));
    EXPECT_THAT(texts(own_addresses({"127.0.0.1:80", "192.0.2.10:80"}, machine)),
                ElementsAre("192.0.2.10"));
}

TEST(OwnAddresses, AreLoopbackWhereNothingElseIsThereAndSaySo) {
    const OwnAddresses own = own_addresses({"127.0.0.1:8480"}, machine);
    EXPECT_THAT(texts(own), ElementsAre("127.0.0.1"));
    EXPECT_THAT(own.notes, ElementsAre(HasSubstr("loopback alone")));
    EXPECT_THAT(own_addresses({}, machine).addresses, IsEmpty());
}

TEST(OwnAddresses, SayWhenSeveralOfAFamilyAreThere) {
    const OwnAddresses own = own_addresses({"0.0.0.0:80"}, {{"192.0.2.10"}, {"172.17.0.1"}});
    EXPECT_EQ(own.addresses.size(), 2U);
    EXPECT_THAT(own.notes, ElementsAre(HasSubstr("several addresses of one family")));
}

TEST(OwnAddresses, OfThisMachineAreAddresses) {
    for (const MachineAddress& one : machine_addresses()) {
        EXPECT_FALSE(one.ip.empty());
    }
}

} // namespace
} // namespace hasp::cmd

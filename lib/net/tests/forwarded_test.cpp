// What is believed of proxies in front: networks, the PROXY header, X-Forwarded-* and Forwarded.
#include "net/forwarded.h"
#include "net/proxy_header.h"

#include <gtest/gtest.h>

namespace hasp::net {
namespace {

Networks networks(std::initializer_list<std::string_view> texts) {
    Networks out;
    for (const std::string_view text : texts) {
        EXPECT_TRUE(out.add(text).ok()) << text;
    }
    return out;
}

TEST(Sites, AreANetworkOfIpv6AndAnAddressOfAllElse) {
    EXPECT_EQ(site_of("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
    EXPECT_EQ(site_of("2001:db8::1"), "2001:db8::/64");
    for (const char* other : {"192.0.2.7", "unix", "", "no:address"}) {
        EXPECT_EQ(site_of(other), other);
    }
}

TEST(NetworksOfProxies, ContainWhatTheirPrefixCovers) {
    const Networks some = networks({"10.0.0.0/8", "192.0.2.7", "2001:db8::/33", "::1"});
    for (const char* inside : {"10.0.0.0", "10.255.255.255", "192.0.2.7", "2001:db8:7fff::1", "::1",
                               "::ffff:10.1.2.3"}) {
        EXPECT_TRUE(some.contains(inside)) << inside;
    }
    for (const char* outside : {"11.0.0.0", "9.255.255.255", "192.0.2.8", "2001:db8:8000::1", "::2",
                                "::10.1.2.3", "", "unix", "10.0.0.0/8"}) {
        EXPECT_FALSE(some.contains(outside)) << outside;
    }
    EXPECT_TRUE(some.contains(*Address::parse("10.9.8.7:443")));
    EXPECT_TRUE(some.contains(*Address::parse("[::ffff:10.9.8.7]:443")));
    EXPECT_FALSE(some.contains(*Address::parse("unix:/run/x.sock")));
    EXPECT_TRUE(networks({"0.0.0.0/0"}).contains("203.0.113.9"));
    EXPECT_FALSE(networks({"0.0.0.0/0"}).contains("2001:db8::1"));
    EXPECT_TRUE(networks({"::/0"}).contains("203.0.113.9"));
}

TEST(NetworksOfProxies, AreRefusedWhereAnOperatorMayHaveMeantAnotherOne) {
    for (const char* bad : {"", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0/8", "::1/129",
                            "2001:db8::1/32", "proxy.example", "10.0.0.0/8 "}) {
        Networks none;
        const Status added = none.add(bad);
        EXPECT_TRUE(!added.ok() && added.error().code == Code::usage) << bad;
        EXPECT_TRUE(none.empty());
    }
}

std::string header(unsigned command, unsigned family, const std::string& rest) {
    std::string out("\r\n\r\n\0\r\nQUIT\n", 12);
    out += static_cast<char>(command);
    out += static_cast<char>(family);
    out += static_cast<char>(rest.size() >> 8U);
    out += static_cast<char>(rest.size() & 0xffU);
    return out + rest;
}
const std::string v4_addresses("\xcb\x00\x71\x09\xc0\x00\x02\x01\x12\x67\x01\xbb", 12);

TEST(ProxyHeaderOfVersion2, NamesTheClientHoweverItsBytesArrive) {
    const std::string whole = header(0x21, 0x11, v4_addresses) + "GET / HTTP/1.1\r\n";
    for (std::size_t size = 0; size < 28; ++size) {
        EXPECT_EQ(parse_proxy_header(std::string_view(whole).substr(0, size)).state,
                  ProxyHeader::State::need_more)
            << size;
    }
    const ProxyHeader read = parse_proxy_header(whole);
    ASSERT_EQ(read.state, ProxyHeader::State::done);
    EXPECT_EQ(read.size, 28U);
    EXPECT_EQ(read.client->to_string(), "203.0.113.9:4711");
}

TEST(ProxyHeaderOfVersion2, KnowsIPv6AndWhatHasNoAddress) {
    std::string v6(36, '\0');
    v6[0] = '\x20';
    v6[1] = '\x01';
    v6[15] = '\x09';
    v6[32] = '\x12';
    v6[33] = '\x67';
    EXPECT_EQ(parse_proxy_header(header(0x21, 0x21, v6)).client->to_string(), "[2001::9]:4711");
    for (const std::string& nobody :
         {header(0x20, 0x00, ""), header(0x20, 0x11, "junk"), header(0x21, 0x00, "anything"),
          header(0x21, 0x31, std::string(216, '\0')), header(0x21, 0x12, v4_addresses)}) {
        const ProxyHeader read = parse_proxy_header(nobody);
        EXPECT_EQ(read.state, ProxyHeader::State::done) << read.reason;
        EXPECT_FALSE(read.client.has_value());
    }
}

TEST(ProxyHeaderOfVersion2, SkipsExtrasAndHoldsTheirChecksum) {
    const std::string alpn("\x01\x00\x02h2", 5);
    const ProxyHeader read = parse_proxy_header(header(0x21, 0x11, v4_addresses + alpn));
    EXPECT_EQ(read.state, ProxyHeader::State::done) << read.reason;
    EXPECT_EQ(read.size, 33U);
    // CRC32c of this header with the four bytes as zero, from an independent implementation.
    const std::string right =
        header(0x21, 0x11, v4_addresses + std::string("\x03\x00\x04", 3) + "\x48\x5e\xb0\x46");
    const std::string wrong =
        header(0x21, 0x11, v4_addresses + std::string("\x03\x00\x04", 3) + "abcd");
    EXPECT_EQ(parse_proxy_header(right).state, ProxyHeader::State::done);
    EXPECT_EQ(parse_proxy_header(wrong).state, ProxyHeader::State::bad);
}

TEST(ProxyHeaderOfVersion2, IsRefusedWhenItIsSomethingElse) {
    for (const std::string& other :
         {std::string("GET / HTTP/1.1\r\n\r\n"), std::string("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n"),
          std::string("\x16\x03\x01\x02\x00", 5), header(0x11, 0x11, v4_addresses),
          header(0x22, 0x11, v4_addresses), header(0x21, 0x11, "short"),
          header(0x21, 0x21, v4_addresses), header(0x21, 0x11, v4_addresses + "ab"),
          header(0x21, 0x11, v4_addresses + std::string("\x01\x00\x09x", 4)),
          header(0x21, 0x11, std::string(proxy_header_bytes_max, ' '))}) {
        const ProxyHeader read = parse_proxy_header(other);
        EXPECT_EQ(read.state, ProxyHeader::State::bad);
        EXPECT_STRNE(read.reason, "");
    }
}

class Said : public ::testing::Test {
  protected:
    Headers headers_;
    void say(std::string_view name, std::string_view value) {
        ASSERT_TRUE(headers_.add(name, value, name_id(name)));
    }
    Forwarded x() const { return read_x_forwarded(headers_, proxies_); }
    Forwarded rfc() const { return read_forwarded(headers_, proxies_); }
    const Networks proxies_ = networks({"10.0.0.0/8", "2001:db8:ff::/48"});
};

TEST_F(Said, TheClientIsTheLastAddressThatIsNoProxys) {
    say("X-Forwarded-For", "1.1.1.1, 203.0.113.9");
    say("X-Forwarded-For", "10.0.0.2");
    EXPECT_EQ(x().client, "203.0.113.9") << "what stands before it, the client may have written";
}

TEST_F(Said, OfProxiesAloneTheFirstIsTheClient) {
    say("X-Forwarded-For", "10.0.0.9, 10.0.0.2");
    EXPECT_EQ(x().client, "10.0.0.9");
}

TEST_F(Said, WhatIsNoAddressEndsTheWalk) {
    say("X-Forwarded-For", "203.0.113.9, unknown, 10.0.0.2");
    EXPECT_EQ(x().client, "10.0.0.2");
}

TEST_F(Said, AddressesComeWithPortsAndBrackets) {
    for (const auto& [given, address] :
         {std::pair{"203.0.113.9:4711", "203.0.113.9"}, std::pair{"[2001:db8::9]", "2001:db8::9"},
          std::pair{"[2001:db8::9]:4711", "2001:db8::9"}, std::pair{"2001:db8::9", "2001:db8::9"},
          std::pair{"203.0.113", ""}, std::pair{"[2001:db8::9", ""}, std::pair{"_hidden", ""}}) {
        headers_.clear();
        say("X-Forwarded-For", given);
        EXPECT_EQ(x().client, address) << given;
    }
}

TEST_F(Said, TheNearestProxysWordOfSchemeAndHostCounts) {
    say("X-Forwarded-Proto", "http, HTTPS");
    say("X-Forwarded-Host", "evil.example, clinic.example");
    EXPECT_EQ(x().scheme, "https");
    EXPECT_EQ(x().host, "clinic.example");
    EXPECT_EQ(rfc().scheme, "");
    headers_.clear();
    say("X-Forwarded-Proto", "gopher");
    EXPECT_EQ(x().scheme, "");
}

TEST_F(Said, ForwardedTellsAllOfTheElementThatIsTheClients) {
    say("Forwarded", "for=1.1.1.1;host=evil.example, For=\"[2001:db8::9]:4711\";proto=https;"
                     "host=clinic.example, for=\"[2001:db8:ff::1]\";proto=http;by=_b");
    const Forwarded said = rfc();
    EXPECT_EQ(said.client, "2001:db8::9");
    EXPECT_EQ(said.scheme, "https");
    EXPECT_EQ(said.host, "clinic.example");
    EXPECT_EQ(x().client, "");
}

TEST_F(Said, AQuoteOfTheClientsDoesNotSwallowWhatAProxyAdds) {
    for (const char* client :
         {"for=9.9.9.9;x=\"", "for=9.9.9.9;x=\"\\", "for=9.9.9.9 x", "for=\"9.9.9.9"}) {
        for (const char* proxy : {"for=203.0.113.9", "for=\"203.0.113.9\";proto=https"}) {
            headers_.clear();
            const std::string both = std::string(client) + ", " + proxy;
            say("Forwarded", both);
            EXPECT_NE(rfc().client, "9.9.9.9") << both;
        }
    }
}

} // namespace
} // namespace hasp::net

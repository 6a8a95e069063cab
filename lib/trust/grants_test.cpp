#include "trust/grants.h"

#include "base/text.h"
#include "grant_rules.h"

#include <algorithm>
#include <gtest/gtest.h>

namespace hasp::trust {
namespace {

const TierName upper = TierName::parse("hasp://clinics/upper").value();

Grants sample() {
    Grants g;
    g.run = {{"wiki", "2026-1", upper, AtExpiry::read_only, 200},
             {"agenda", "v7", upper, AtExpiry::go_on, 100}};
    g.use = {{"nurse", "wiki", upper, 50}};
    g.login = {{"nurse", "Nürse \"N\"", "n@example.org", {"staff"}, {"agenda", "wiki"}, upper, 50}};
    g.verifier = {
        {"nurse", upper, 1, "saltsalt", 65536, 3, 1, std::string(32, 'v'), {std::string(32, 'k')}}};
    g.keep = {{"nurse", upper, 60}};
    g.write = {{"agenda", upper, {1, 9}, 70}};
    return g;
}

std::string text_of(const Grants& grants, std::string_view name) {
    const auto sections = encode_sections(grants);
    for (const Section& s : sections.value()) {
        if (s.name == name) {
            return s.text;
        }
    }
    return "no such section";
}

bool decodes(const std::string& name, const std::string& text) {
    Grants out;
    return decode_section({name, text}, out).ok();
}

TEST(Sections, HaveTheTextThatTheProtocolShows) {
    EXPECT_EQ(text_of(sample(), "run"), "{\"app\":\"agenda\",\"at_expiry\":\"continue\",\"expires_"
                                        "us\":100,\"origin\":\"hasp://clinics/"
                                        "upper\",\"release\":\"v7\"}\n"
                                        "{\"app\":\"wiki\",\"at_expiry\":\"read-only\",\"expires_"
                                        "us\":200,\"origin\":\"hasp://clinics/"
                                        "upper\",\"release\":\"2026-1\"}\n");
    EXPECT_EQ(text_of(sample(), "write"),
              "{\"dataset\":\"agenda\",\"expires_us\":70,\"fence_epoch\":1,\"fence_number\":9,"
              "\"origin\":\"hasp://clinics/upper\"}\n");
}

TEST(Sections, ComeBackAsTheyWere) {
    const Grants before = sample();
    Grants after;
    const auto sections = encode_sections(before);
    ASSERT_TRUE(sections);
    ASSERT_EQ(sections->size(), section_names.size());
    for (std::size_t i = 0; i < section_names.size(); ++i) {
        EXPECT_EQ((*sections)[i].name, section_names[i]);
        ASSERT_TRUE(decode_section((*sections)[i], after)) << (*sections)[i].name;
    }
    std::reverse(after.run.begin(), after.run.end()); // the text is sorted, the sample is not
    EXPECT_EQ(after, before);
}

TEST(Sections, TheOrderInWhichGrantsAreGivenDoesNotShow) {
    Grants other = sample();
    std::reverse(other.run.begin(), other.run.end());
    EXPECT_EQ(text_of(other, "run"), text_of(sample(), "run"));
}

TEST(Sections, AnyOtherSpellingIsRefused) {
    const std::string good = text_of(sample(), "keep");
    ASSERT_EQ(good, "{\"expires_us\":60,\"origin\":\"hasp://clinics/upper\",\"user\":\"nurse\"}\n");
    ASSERT_TRUE(decodes("keep", good));
    for (
        const char* bad : {
            "{\"expires_us\":60,\"origin\":\"hasp://clinics/upper\",\"user\":\"nurse\"}", // no end
            "{\"expires_us\":60,\"origin\":\"hasp://clinics/upper\",\"user\":\"nurse\"}\n\n", // empty
                                                                                              // line
            "{\"expires_us\": 60,\"origin\":\"hasp://clinics/upper\",\"user\":\"nurse\"}\n", // space
            "{\"expires_us\":60.0,\"origin\":\"hasp://clinics/upper\",\"user\":\"nurse\"}\n", // not
                                                                                              // whole
            "{\"expires_us\":-60,\"origin\":\"hasp://clinics/upper\",\"user\":\"nurse\"}\n", // negative
            "{\"expires_us\":1e300,\"origin\":\"hasp://clinics/upper\",\"user\":\"nurse\"}\n", // too
                                                                                               // large
            "{\"expires_us\":18446744073709551615,\"origin\":\"hasp://clinics/"
            "upper\",\"user\":\"nurse\"}\n",
            "{\"expires_us\":0,\"origin\":\"hasp://clinics/upper\",\"user\":\"nurse\"}\n", // no end
            "{\"expires_us\":60,\"origin\":\"hasp://clinics/upper\",\"user\":\"n\\u0075rse\"}\n", // escape
            "{\"expires_us\":60,\"origin\":\"hasp://clinics/upper\",\"user\":\"nurse\",\"x\":1}\n", // unknown key
            "{\"expires_us\":60,\"expires_us\":60,\"origin\":\"hasp://clinics/"
            "upper\",\"user\":\"nurse\"}\n",
            "{\"expires_us\":60,\"user\":\"nurse\"}\n", // missing key
            "{\"expires_us\":60,\"origin\":\"hasp://clinics/upper\",\"user\":\"Nurse\"}\n", // no
                                                                                            // name
            "{\"expires_us\":60,\"origin\":\"upper\",\"user\":\"nurse\"}\n", // no tier
            "[60]\n",
            "null\n",
            "#\n",
        }) {
        EXPECT_FALSE(decodes("keep", bad)) << bad;
    }
    EXPECT_FALSE(decodes("keep", good + good));
    EXPECT_FALSE(decodes("keeper", good));
    EXPECT_FALSE(decodes("keep", std::string(grant_line_bytes_max + 1, '[') + "\n"));
}

TEST(Sections, ARefusedSectionAddsNothing) {
    Grants out;
    const std::string good = text_of(sample(), "keep");
    EXPECT_FALSE(decode_section({"keep", good + "x\n"}, out));
    EXPECT_EQ(out, Grants());
}

TEST(Sections, TheSameGrantTwiceIsRefused) {
    Grants g;
    g.keep = {{"nurse", upper, 60}, {"nurse", upper, 61}};
    EXPECT_FALSE(encode_sections(g));
    EXPECT_FALSE(decodes(
        "keep", "{\"expires_us\":60,\"origin\":\"hasp://clinics/upper\",\"user\":\"nurse\"}\n"
                "{\"expires_us\":61,\"origin\":\"hasp://clinics/upper\",\"user\":\"nurse\"}\n"));
}

TEST(Sections, GrantsOutsideTheLimitsAreNotWritten) {
    Grants g = sample();
    g.login[0].display_name = "a\nb";
    EXPECT_FALSE(encode_sections(g));
    g = sample();
    g.login[0].display_name = "\xff";
    EXPECT_FALSE(encode_sections(g));
    g = sample();
    g.login[0].apps = {"wiki", "agenda"};
    EXPECT_FALSE(encode_sections(g));
    g = sample();
    g.verifier[0].memory_kib = UINT32_MAX;
    EXPECT_FALSE(encode_sections(g));
    g = sample();
    g.run[0].release = "../x";
    EXPECT_FALSE(encode_sections(g));
}

TEST(Sections, HidingLinesKeepsTheDigest) {
    const Section run{"run", text_of(sample(), "run")};
    const auto lines = detail::disclosed_lines({run}).value();
    ASSERT_EQ(lines.size(), 2U);
    auto shown = lines;
    shown.erase("run wiki/2026-1");
    const Section redacted = detail::redact(run, shown);
    EXPECT_EQ(redacted.text.find("wiki"), std::string::npos);
    EXPECT_EQ(section_digest(redacted).value(), section_digest(run).value());
    EXPECT_EQ(detail::disclosed_lines({redacted}).value().size(), 1U);
    EXPECT_EQ(to_hex(section_digest(run).value()),
              "4b7c3bfa44ae1b1a939407b8906b34c3aea4e40b37f5f1cb6d886ea427f2d4fc");
}

TEST(Sections, TheDigestCoversNameCountAndEveryLine) {
    const Section run{"run", text_of(sample(), "run")};
    EXPECT_NE(section_digest({"use", run.text}).value(), section_digest(run).value());
    EXPECT_NE(section_digest({"run", run.text.substr(0, run.text.find('\n') + 1)}).value(),
              section_digest(run).value());
    EXPECT_FALSE(section_digest({"run", "#short\n"}));
    EXPECT_FALSE(section_digest({"run", "no end"}));
}

} // namespace
} // namespace hasp::trust

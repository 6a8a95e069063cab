#include "signon/web_rules.h"

#include <gtest/gtest.h>

namespace hasp::signon {
namespace {

using Header = std::optional<std::string_view>;

bool allowed(std::string_view method, Header origin, Header site, bool websocket = false,
             std::string_view scheme = "https", std::string_view host = "wiki.example") {
    return same_origin_allowed({method, websocket, origin, site, scheme, host});
}

TEST(OriginCheck, SafeMethodsComeFromAnywhere) {
    for (const char* method : {"GET", "HEAD", "OPTIONS"}) {
        EXPECT_TRUE(allowed(method, "https://evil.example", "cross-site"));
    }
}

TEST(OriginCheck, UnsafeMethodsComeFromTheSameOriginOnly) {
    for (const char* method : {"POST", "PUT", "DELETE", "PATCH", "PROPFIND", "get", ""}) {
        EXPECT_TRUE(allowed(method, "https://wiki.example", "same-origin")) << method;
        EXPECT_FALSE(allowed(method, "https://evil.example", {})) << method;
        EXPECT_FALSE(allowed(method, "https://notes.example", "same-site")) << method;
        EXPECT_FALSE(allowed(method, {}, "cross-site")) << method;
        EXPECT_FALSE(allowed(method, "null", {})) << method;
        EXPECT_FALSE(allowed(method, "", {})) << method;
    }
}

TEST(OriginCheck, AWebSocketIsCheckedThoughItIsAGet) {
    EXPECT_TRUE(allowed("GET", "https://wiki.example", "same-origin", true));
    EXPECT_FALSE(allowed("GET", "https://notes.example", {}, true));
    EXPECT_FALSE(allowed("GET", "https://wiki.example", "same-site", true));
}

TEST(OriginCheck, BothHeadersMustAgree) {
    EXPECT_FALSE(allowed("POST", "https://evil.example", "same-origin"));
    EXPECT_FALSE(allowed("POST", "https://wiki.example", "cross-site"));
    EXPECT_TRUE(allowed("POST", "https://wiki.example", "none"));
    EXPECT_FALSE(allowed("POST", "https://wiki.example", "nonsense"));
}

TEST(OriginCheck, ProgramsSendNeitherHeader) {
    EXPECT_TRUE(allowed("POST", {}, {}));
    EXPECT_TRUE(allowed("GET", {}, {}, true));
}

TEST(OriginCheck, TheSchemesOwnPortAndCapitalsMakeNoDifference) {
    EXPECT_TRUE(allowed("POST", "https://wiki.example", {}, false, "https", "Wiki.example:443"));
    EXPECT_TRUE(
        allowed("POST", "http://wiki.localhost:8080", {}, false, "http", "wiki.localhost:8080"));
    EXPECT_FALSE(
        allowed("POST", "http://wiki.localhost:8081", {}, false, "http", "wiki.localhost:8080"));
    EXPECT_FALSE(allowed("POST", "http://wiki.example", {}, false, "https", "wiki.example"));
    EXPECT_FALSE(allowed("POST", "https://wiki.example:80", {}, false, "https", "wiki.example"));
    EXPECT_FALSE(allowed("POST", "https://wiki.example.evil.example", {}));
}

const std::string hosts[] = {"wiki.example", "notes.localhost:8080"};

std::string next(std::string_view text, std::string_view scheme = "https") {
    return safe_next(text, scheme, hosts);
}

TEST(SafeNext, APathOfThisHostIsKept) {
    for (const char* path :
         {"/", "/apps/wiki/", "/a?b=c&d=%2F%2Fevil.example#e", "/a//b", "/~user/:x@y"}) {
        EXPECT_EQ(next(path), path);
    }
}

TEST(SafeNext, AnAddressAtAnOwnHostIsKept) {
    EXPECT_EQ(next("https://wiki.example/page?x#y"), "https://wiki.example/page?x#y");
    EXPECT_EQ(next("HTTPS://WIKI.example"), "https://wiki.example/");
    EXPECT_EQ(next("https://wiki.example?x"), "https://wiki.example/?x");
    EXPECT_EQ(next("http://notes.localhost:8080/", "http"), "http://notes.localhost:8080/");
}

TEST(SafeNext, EverythingElseLeadsHome) {
    for (const char* text : {"",
                             "wiki",
                             "//evil.example",
                             "///evil.example",
                             "/\\evil.example",
                             "\\\\evil.example",
                             "/\tx",
                             "/a\r\nSet-Cookie: x=y",
                             " /",
                             "/ x",
                             "https:evil.example",
                             "https:/evil.example",
                             "https://",
                             "https:///",
                             "https://evil.example/",
                             "https://wiki.example@evil.example/",
                             "https://evil.example\\@wiki.example/",
                             "https://user@wiki.example/",
                             "https://wiki.example.evil.example/",
                             "https://wiki.example:444/",
                             "http://wiki.example/",
                             "https://notes.localhost/",
                             "https://evil.example#wiki.example",
                             "https://evil.example?https://wiki.example/",
                             "javascript:alert(1)",
                             "data:text/html,x",
                             "/\"onload",
                             "/<script>",
                             "/\xc3\xa4",
                             "https://wiki.example%2f@evil.example/"}) {
        EXPECT_EQ(next(text), "/") << text;
    }
    EXPECT_EQ(next(std::string_view("/a\0b", 4)), "/");
    EXPECT_EQ(next("/" + std::string(next_bytes_max, 'a')), "/");
}

TEST(SafeNext, TheLogInPageDoesNotLeadToItself) {
    EXPECT_EQ(next("/hasp/login"), "/");
    EXPECT_EQ(next("/hasp/login?next=/"), "/");
    EXPECT_EQ(next("/hasp/loginx"), "/hasp/loginx");
}

} // namespace
} // namespace hasp::signon

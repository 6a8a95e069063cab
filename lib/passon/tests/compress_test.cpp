// Answers that are compressed on their way, and files that stand compressed in a release.
#include "proxy_fixture.h"

#include "base/files.h"
#include "net/content_coding.h"

#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

namespace hasp::passon::testing {
namespace {

// As far as it goes.
std::string unzipped(const std::string& bytes) {
    std::string out(4'000'000, '\0');
    z_stream in{};
    ::inflateInit2(&in, MAX_WBITS + 16);
    in.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    in.avail_in = static_cast<uInt>(bytes.size());
    in.next_out = reinterpret_cast<Bytef*>(out.data());
    in.avail_out = static_cast<uInt>(out.size());
    ::inflate(&in, Z_SYNC_FLUSH);
    out.resize(in.total_out);
    ::inflateEnd(&in);
    return out;
}

const std::string zipped = "Accept-Encoding: gzip\r\n";
const std::string page(300'000, 'p');

std::string answer_with(const std::string& fields, const std::string& body) {
    return "HTTP/1.1 200 OK\r\n" + fields + "Content-Length: " + std::to_string(body.size()) +
           "\r\n\r\n" + body;
}

// Answers by the path's last part; a condition under the page's own tag holds.
void serve_kinds(Backend::Peer& peer) {
    std::string head;
    std::string body;
    const std::string html = "Content-Type: text/html\r\nETag: \"v1\"\r\nAccept-Ranges: bytes\r\n";
    while (peer.request(head, body)) {
        const std::string path = head.substr(0, head.find("\r\n"));
        const auto asked = [&path](const char* what) {
            return path.find(what) != std::string::npos;
        };
        if (head.find("If-None-Match: \"v1\"") != std::string::npos) {
            peer.send("HTTP/1.1 304 Not Modified\r\nETag: \"v1\"\r\n\r\n");
        } else if (asked("/small")) {
            peer.send(answer_with(html, "small"));
        } else if (asked("/image")) {
            peer.send(answer_with("Content-Type: image/png\r\n", page));
        } else if (asked("/coded")) {
            peer.send(answer_with(html + "Content-Encoding: br\r\n", page));
        } else if (asked("/kept")) {
            peer.send(answer_with(html + "Cache-Control: no-transform\r\n", page));
        } else if (asked("/events")) {
            peer.send(answer_with("Content-Type: text/event-stream\r\n", page));
        } else {
            peer.send(answer_with(html, head.starts_with("HEAD") ? "" : page));
        }
    }
}

class Compress : public Proxy {
  protected:
    Compress() : Proxy(serve_kinds) {}
};

TEST_F(Compress, ATextIsCompressedForWhoTakesItAndTheSameForWhoDoesNot) {
    Client client(tier_.port());
    const Answer small = client.get("/apps/open/page", zipped);
    EXPECT_EQ(small.header("content-encoding"), "gzip");
    EXPECT_EQ(small.header("vary"), "Accept-Encoding");
    EXPECT_EQ(small.header("etag"), "W/\"v1;hasp-coded\"");
    EXPECT_EQ(small.header("accept-ranges"), "");
    EXPECT_EQ(small.header("content-length"), "");
    EXPECT_EQ(unzipped(small.body), page);
    const Answer plain = client.get("/apps/open/page");
    EXPECT_EQ(plain.header("content-encoding"), "");
    EXPECT_EQ(plain.header("vary"), "Accept-Encoding");
    EXPECT_EQ(plain.header("etag"), "\"v1\"");
    EXPECT_EQ(plain.body, page);
    EXPECT_EQ(
        client.get("/apps/open/page", "Accept-Encoding: gzip, br\r\n").header("content-encoding"),
        "br");
}

TEST_F(Compress, WhatWouldGainNothingOrMustStayAsItIsStays) {
    Client client(tier_.port());
    for (const char* path : {"small", "image", "kept", "events"}) {
        const Answer answer = client.get(std::string("/apps/open/") + path, zipped);
        EXPECT_EQ(answer.header("content-encoding"), "") << path;
        EXPECT_EQ(answer.header("vary"), "") << path;
    }
    EXPECT_EQ(client.get("/apps/open/coded", zipped).body, page);
}

TEST_F(Compress, AConditionUnderTheMarkedTagReachesTheAppAsItsOwn) {
    Client client(tier_.port());
    const Answer same =
        client.get("/apps/open/page", zipped + "If-None-Match: W/\"v1;hasp-coded\"\r\n");
    EXPECT_EQ(same.status, 304);
    EXPECT_EQ(same.header("etag"), "W/\"v1;hasp-coded\"");
    EXPECT_EQ(client.get("/apps/open/page", "If-None-Match: \"v1\"\r\n").header("etag"), "\"v1\"");
}

TEST_F(Compress, WhoWasLedHereByAnotherSiteUnderHisNameGetsItAsItIs) {
    Client client(tier_.port());
    const std::string led = zipped + "Sec-Fetch-Site: same-site\r\n";
    EXPECT_EQ(client.get("/apps/open/page", led + cookie).header("content-encoding"), "");
    EXPECT_EQ(client.get("/apps/open/page", led).header("content-encoding"), "gzip");
}

TEST_F(Compress, AnAppOptsOut) {
    tier_.spec.apps.back().compress = false;
    tier_.publish();
    Client client(tier_.port());
    const Answer answer = client.get("/apps/open/page", zipped);
    EXPECT_EQ(answer.header("content-encoding"), "");
    EXPECT_EQ(answer.body, page);
}

class CompressedFiles : public ::testing::Test {
  protected:
    CompressedFiles() : tier_("tokyo") {
        char name[] = "/tmp/hasp-passon-XXXXXX";
        folder_ = ::mkdtemp(name);
        put("a.js", page);
        put("b.js", page);
        put("b.js.br", "not really brotli");
        put("b.js.gz", "nor gzip, but longer");
        registry::AppSpec app;
        app.name = "site";
        app.route = registry::Route::here;
        app.kind = registry::Kind::static_files;
        app.access = registry::Access::open;
        app.static_root = folder_;
        tier_.add(app);
        tier_.publish();
    }
    ~CompressedFiles() override { (void)remove_tree(folder_).ok(); }
    void put(const std::string& name, const std::string& content) const {
        ASSERT_TRUE(write_file_durably(folder_ + "/" + name, content, 0644).ok());
    }
    std::string folder_;
    Tier tier_;
};

TEST_F(CompressedFiles, BesideTheFileAreSentWithItsTypeAndATagOfTheirOwn) {
    Client client(tier_.port());
    const Answer best = client.get("/apps/site/b.js", "Accept-Encoding: gzip, br\r\n");
    EXPECT_EQ(best.body, "not really brotli");
    EXPECT_EQ(best.header("content-encoding"), "br");
    EXPECT_EQ(best.header("content-type"), "text/javascript; charset=utf-8");
    EXPECT_EQ(best.header("vary"), "Accept-Encoding");
    const Answer other = client.get("/apps/site/b.js", zipped);
    EXPECT_EQ(other.body, "nor gzip, but longer");
    EXPECT_NE(other.header("etag"), best.header("etag"));
    const Answer part = client.get("/apps/site/b.js", zipped + "Range: bytes=4-7\r\n");
    EXPECT_EQ(part.status, 206);
    EXPECT_EQ(part.body, "gzip");
    EXPECT_EQ(part.header("content-encoding"), "gzip");
    const std::string same = "If-None-Match: " + other.header("etag") + "\r\n";
    EXPECT_EQ(client.get("/apps/site/b.js", zipped + same).status, 304);
    EXPECT_EQ(client.get("/apps/site/b.js", "Accept-Encoding: br\r\n" + same).status, 200);
    const Answer plain = client.get("/apps/site/b.js", "Accept-Encoding: br;q=0\r\n");
    EXPECT_EQ(plain.body, page);
    EXPECT_EQ(plain.header("vary"), "Accept-Encoding");
}

TEST_F(CompressedFiles, AreMadeOnTheWayWhereThereAreNone) {
    Client client(tier_.port());
    const Answer made = client.get("/apps/site/a.js", zipped);
    EXPECT_EQ(made.header("content-encoding"), "gzip");
    EXPECT_EQ(unzipped(made.body), page);
    const std::string same = "If-None-Match: " + made.header("etag") + "\r\n";
    const Answer again = client.get("/apps/site/a.js", zipped + same);
    EXPECT_EQ(again.status, 304);
    EXPECT_EQ(again.header("etag"), made.header("etag"));
    client.send("HEAD /apps/site/a.js HTTP/1.1\r\nHost: localhost\r\n" + zipped + "\r\n");
    const Answer head = client.read(true);
    EXPECT_EQ(head.header("content-encoding"), "gzip");
    EXPECT_EQ(head.header("etag"), made.header("etag"));
    const Answer part = client.get("/apps/site/a.js", zipped + "Range: bytes=0-3\r\n");
    EXPECT_EQ(part.status, 206);
    EXPECT_EQ(part.body, "pppp");
}

} // namespace
} // namespace hasp::passon::testing

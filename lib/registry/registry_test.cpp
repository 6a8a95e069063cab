#include "registry/decide.h"

#include "base/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sys/mman.h>

namespace hasp::registry {
namespace {

AppSpec app(std::string name, Route route, Access access = Access::users) {
    AppSpec out;
    out.name = std::move(name);
    out.route = route;
    out.access = access;
    out.child = route == Route::child ? "osaka" : "";
    return out;
}

std::shared_ptr<const Snapshot> mapped(const SnapshotSpec& spec) {
    const Result<Fd> fd = build_snapshot(spec);
    EXPECT_TRUE(fd.ok()) << fd.error().message;
    auto snapshot = Snapshot::map(fd->get());
    EXPECT_TRUE(snapshot.ok()) << snapshot.error().message;
    return *snapshot;
}

SnapshotSpec clinic() {
    SnapshotSpec spec;
    spec.tier = "tokyo";
    spec.generation = 7;
    spec.has_parent = true;
    spec.app_host = "{app}.localhost";
    spec.portal_hosts = {"localhost", "tokyo.example"};
    spec.apps = {app("wiki", Route::here), app("chart", Route::child),
                 app("calendar", Route::parent), app("notices", Route::here, Access::open)};
    return spec;
}

TEST(NameHash, IsSipHash24OfThePaper) {
    std::string input;
    for (char c = 0; c < 15; ++c) {
        input.push_back(c);
    }
    EXPECT_EQ(name_hash(input), 0xa129ca6149be45e5U);
}

TEST(Snapshot, KeepsEveryFieldOfARow) {
    SnapshotSpec spec = clinic();
    AppSpec full = app("fossil", Route::here, Access::open);
    full.title = "Versions";
    full.kind = Kind::upstream;
    full.instance = Instance::user;
    full.mount = Mount::host;
    full.strip_prefix = false;
    full.hosts = {"fossil.example", "code.example"};
    full.identity = {"X-User", "", "X-Mail", "X-Groups"};
    full.prefix_header = "X-Script-Name";
    full.static_root = "/srv/a";
    full.static_index = "home.html";
    full.static_spa = true;
    full.compress = false;
    full.direct = Direct::downloads;
    full.upstream.addresses = {{"127.0.0.1:8080", false, "", "", 1},
                               {"[::1]:8080", true, "inner.example", "/base", 3}};
    full.upstream.health = {"/health", 2'000, 1'000, 200, 299, 4, 5, 6, 7'000};
    full.headers = {{{"X-Key", "a b"}, {"X-Mail", "{email}"}},
                    {{"X-Frame-Options", "DENY"}},
                    {"Server", "X-Powered-By"}};
    full.dial_path = "/state/run/apps";
    full.lease_expires_us = 42;
    full.data_home = "center";
    full.release = "0123abcd";
    spec.apps.push_back(full);
    const auto snapshot = mapped(spec);
    const App got = snapshot->find("fossil");
    ASSERT_TRUE(got);
    EXPECT_EQ(got.title(), "Versions");
    EXPECT_EQ(got.kind(), Kind::upstream);
    EXPECT_EQ(got.access(), Access::open);
    EXPECT_EQ(got.instance(), Instance::user);
    EXPECT_EQ(got.mount(), Mount::host);
    EXPECT_FALSE(got.strip_prefix());
    EXPECT_EQ(got.identity_header(0), "X-User");
    EXPECT_EQ(got.identity_header(1), "");
    EXPECT_EQ(got.identity_header(2), "X-Mail");
    EXPECT_EQ(got.identity_header(3), "X-Groups");
    EXPECT_EQ(got.prefix_header(), "X-Script-Name");
    EXPECT_EQ(got.static_root(), "/srv/a");
    EXPECT_EQ(got.static_index(), "home.html");
    EXPECT_TRUE(got.static_spa());
    EXPECT_FALSE(got.compress());
    EXPECT_EQ(got.direct(), Direct::downloads);
    ASSERT_EQ(got.upstream_count(), 2U);
    EXPECT_EQ(got.upstream_address(0).address, "127.0.0.1:8080");
    EXPECT_FALSE(got.upstream_address(0).tls);
    EXPECT_EQ(got.upstream_address(0).weight, 1U);
    EXPECT_EQ(got.upstream_address(1).address, "[::1]:8080");
    EXPECT_TRUE(got.upstream_address(1).tls);
    EXPECT_EQ(got.upstream_address(1).host, "inner.example");
    EXPECT_EQ(got.upstream_address(1).base_path, "/base");
    EXPECT_EQ(got.upstream_address(1).weight, 3U);
    const HealthView health = got.upstream_health();
    EXPECT_EQ(health.path, "/health");
    EXPECT_EQ(health.interval_ms, 2'000U);
    EXPECT_EQ(health.timeout_ms, 1'000U);
    EXPECT_EQ(health.status_min, 200);
    EXPECT_EQ(health.status_max, 299);
    EXPECT_EQ(health.fails, 4);
    EXPECT_EQ(health.passes, 5);
    EXPECT_EQ(health.errors, 6);
    EXPECT_EQ(health.error_window_ms, 7'000U);
    ASSERT_EQ(got.set_request_count(), 2U);
    EXPECT_EQ(got.set_request(0).name, "X-Key");
    EXPECT_EQ(got.set_request(1).value, "{email}");
    ASSERT_EQ(got.set_answer_count(), 1U);
    EXPECT_EQ(got.set_answer(0).value, "DENY");
    ASSERT_EQ(got.drop_answer_count(), 2U);
    EXPECT_EQ(got.drop_answer(1), "X-Powered-By");
    EXPECT_EQ(snapshot->find("wiki").upstream_count(), 0U);
    EXPECT_EQ(snapshot->find("wiki").set_request_count(), 0U);
    EXPECT_EQ(got.dial_path(), "/state/run/apps");
    EXPECT_EQ(got.lease_expires_us(), 42);
    EXPECT_EQ(got.data_home(), "center");
    EXPECT_EQ(got.release(), "0123abcd");
    EXPECT_EQ(snapshot->find_host("code.example").name(), "fossil");
    EXPECT_EQ(snapshot->tier(), "tokyo");
    EXPECT_EQ(snapshot->generation(), 7U);
    EXPECT_TRUE(snapshot->has_parent());
}

TEST(Snapshot, NamesAnAppByTheHostPattern) {
    const auto snapshot = mapped(clinic());
    EXPECT_EQ(snapshot->find_host("wiki.localhost").name(), "wiki");
    EXPECT_EQ(snapshot->app_of_host("unknown.localhost"), "unknown");
    EXPECT_FALSE(snapshot->find_host("unknown.localhost"));
    EXPECT_EQ(snapshot->app_of_host("a.b.localhost"), "");
    EXPECT_EQ(snapshot->app_of_host(".localhost"), "");
    EXPECT_EQ(snapshot->app_of_host("localhost"), "");
    EXPECT_TRUE(snapshot->is_portal_host("localhost"));
    EXPECT_FALSE(snapshot->is_portal_host("evil.example"));
}

TEST(Snapshot, KnowsEveryHeaderNameThatAManifestMaps) {
    SnapshotSpec spec = clinic();
    spec.apps[0].identity.user = "X-WebAuth-User";
    spec.apps[0].prefix_header = "X-Script-Name";
    spec.more_stripped_headers = {"X-Other"};
    spec.apps[1].headers.request = {{"X-Mail", "{email}"}, {"X-Key", "secret"}};
    const auto snapshot = mapped(spec);
    EXPECT_TRUE(snapshot->is_stripped("x-mail"));
    EXPECT_FALSE(snapshot->is_stripped("x-key")) << "it says nothing of who asks";
    EXPECT_TRUE(snapshot->is_stripped("x-webauth-user"));
    EXPECT_TRUE(snapshot->is_stripped("x-script-name"));
    EXPECT_TRUE(snapshot->is_stripped("x-other"));
    EXPECT_TRUE(snapshot->is_stripped("remote-user"));
    EXPECT_FALSE(snapshot->is_stripped("accept"));
    EXPECT_FALSE(snapshot->is_stripped("x-webauth-uses"));
}

TEST(Snapshot, FindsEachOfAHundredThousandAppsAndNoOther) {
    SnapshotSpec spec;
    spec.tier = "center";
    for (int i = 0; i < 100'000; ++i) {
        spec.apps.push_back(app("app-" + std::to_string(i), Route::here));
    }
    const auto snapshot = mapped(spec);
    for (int i = 0; i < 100'000; ++i) {
        const std::string name = "app-" + std::to_string(i);
        ASSERT_EQ(snapshot->find(name).name(), name);
        ASSERT_FALSE(snapshot->find("no-" + std::to_string(i)));
    }
}

TEST(Snapshot, IsRefusedUnlessItIsSealed) {
    const std::string bytes = *build_snapshot_bytes(clinic());
    const Fd fd{::memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
    ASSERT_TRUE(write_all(fd.get(), bytes).ok());
    EXPECT_EQ(Snapshot::map(fd.get()).error().code, Code::refused);
}

TEST(Snapshot, IsRefusedWhenCutAnywhere) {
    const std::string bytes = *build_snapshot_bytes(clinic());
    ASSERT_TRUE(Snapshot::from_bytes(bytes).ok());
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        ASSERT_FALSE(Snapshot::from_bytes(std::string_view(bytes).substr(0, size)).ok()) << size;
    }
}

TEST(Snapshot, IsNotBuiltFromContradictions) {
    SnapshotSpec twice = clinic();
    twice.apps.push_back(app("wiki", Route::here));
    EXPECT_EQ(build_snapshot(twice).error().code, Code::usage);
    SnapshotSpec host_twice = clinic();
    host_twice.apps[0].hosts = host_twice.apps[1].hosts = {"a.example"};
    EXPECT_EQ(build_snapshot(host_twice).error().code, Code::usage);
    for (const char* pattern : {"localhost", "a.{app}.b", "{app}", "{app}.{app}"}) {
        SnapshotSpec bad = clinic();
        bad.app_host = pattern;
        EXPECT_EQ(build_snapshot(bad).error().code, Code::usage) << pattern;
    }
    SnapshotSpec many = clinic();
    many.apps[0].upstream.addresses.resize(upstream_addresses_max + 1);
    EXPECT_EQ(build_snapshot(many).error().code, Code::usage);
    SnapshotSpec weightless = clinic();
    weightless.apps[0].upstream.addresses = {{"127.0.0.1:80", false, "", "", 0}};
    EXPECT_EQ(build_snapshot(weightless).error().code, Code::usage);
    SnapshotSpec mapped_too_much = clinic();
    mapped_too_much.apps[0].headers.remove.resize(mapped_headers_max + 1);
    EXPECT_EQ(build_snapshot(mapped_too_much).error().code, Code::usage);
    SnapshotSpec bad_name = clinic();
    bad_name.apps[0].name = "../x";
    EXPECT_EQ(build_snapshot(bad_name).error().code, Code::usage);
}

class Decide : public testing::Test {
  protected:
    Verdict verdict(std::string_view name, Source source = Source::below) {
        return decide(*snapshot_, name, viewer_, now_us_, source).verdict;
    }
    void sign_on(std::initializer_list<std::string_view> apps) {
        entitled_.clear();
        for (const std::string_view name : apps) {
            entitled_.push_back(name_hash(name));
        }
        std::sort(entitled_.begin(), entitled_.end());
        viewer_ = {true, entitled_};
    }
    SnapshotSpec spec_ = clinic();
    std::shared_ptr<const Snapshot> snapshot_ = mapped(spec_);
    std::vector<std::uint64_t> entitled_;
    Viewer viewer_;
    std::int64_t now_us_ = 100;
};

TEST_F(Decide, WithoutASessionAUsersAppAsksForALogInAndAnOpenOneDoesNot) {
    EXPECT_EQ(verdict("wiki"), Verdict::log_in);
    EXPECT_EQ(verdict("chart"), Verdict::log_in);
    EXPECT_EQ(verdict("notices"), Verdict::here);
}

TEST_F(Decide, AnEntitledUserIsRoutedAndAnotherSeesNothing) {
    sign_on({"wiki", "chart", "calendar"});
    EXPECT_EQ(verdict("wiki"), Verdict::here);
    EXPECT_EQ(verdict("chart"), Verdict::child);
    EXPECT_EQ(verdict("calendar"), Verdict::parent);
    sign_on({"calendar"});
    EXPECT_EQ(verdict("wiki"), verdict("unknown"));
    EXPECT_FALSE(decide(*snapshot_, "wiki", viewer_, now_us_, Source::below).app)
        << "nothing of it may leak";
}

TEST_F(Decide, WhatIsNotTheViewersTakesTheSameWayAsWhatIsNotThereAtEveryTier) {
    spec_.apps.push_back(app("tickets", Route::here));
    spec_.apps.back().mount = Mount::host;
    for (const bool has_parent : {true, false}) {
        spec_.has_parent = has_parent;
        snapshot_ = mapped(spec_);
        sign_on({"notices"});
        for (const Source source : {Source::parent, Source::below}) {
            const Verdict absent = verdict("unknown", source);
            EXPECT_EQ(absent,
                      has_parent && source == Source::below ? Verdict::parent : Verdict::nowhere);
            for (const char* here_below_and_above : {"wiki", "chart", "tickets"}) {
                EXPECT_EQ(verdict(here_below_and_above, source), absent) << here_below_and_above;
            }
        }
        EXPECT_EQ(verdict("calendar"), verdict("unknown"));
        // Under a path there is nothing of an app that has only a host of its own, for its users
        // too.
        sign_on({"tickets"});
        const auto by_path = [&](const char* name) {
            return decide(*snapshot_, name, viewer_, now_us_, Source::below, true).verdict;
        };
        EXPECT_EQ(by_path("tickets"), by_path("unknown"));
        EXPECT_EQ(verdict("tickets"), Verdict::here);
    }
}

TEST_F(Decide, AnUnknownNameIsTheParentsBusinessWhereThereIsOne) {
    EXPECT_EQ(verdict("unknown"), Verdict::parent);
    spec_.has_parent = false;
    snapshot_ = mapped(spec_);
    EXPECT_EQ(verdict("unknown"), Verdict::nowhere);
    EXPECT_EQ(verdict("calendar"), Verdict::nowhere);
}

TEST_F(Decide, WhatCameDownTheLinkNeverGoesUpAgain) {
    sign_on({"calendar", "unknown", "chart"});
    EXPECT_EQ(verdict("calendar", Source::parent), Verdict::nowhere);
    EXPECT_EQ(verdict("unknown", Source::parent), Verdict::nowhere);
    EXPECT_EQ(verdict("chart", Source::parent), Verdict::child);
}

TEST_F(Decide, WhatAPeerHoldsIsAskedForByWhoIsEntitledAndNeverForTheParent) {
    spec_.apps.push_back(app("radicale", Route::peer));
    spec_.apps.back().child = "@west";
    snapshot_ = mapped(spec_);
    EXPECT_EQ(verdict("radicale"), Verdict::log_in);
    sign_on({"wiki"});
    EXPECT_EQ(verdict("radicale"), verdict("unknown"));
    sign_on({"radicale"});
    EXPECT_EQ(verdict("radicale"), Verdict::peer);
    EXPECT_EQ(decide(*snapshot_, "radicale", viewer_, now_us_, Source::below).app.child(), "@west");
    EXPECT_EQ(verdict("radicale", Source::parent), Verdict::nowhere);
}

TEST_F(Decide, WhatCameFromAPeerEndsHereAndGoesToNobodyElse) {
    spec_.apps.push_back(app("radicale", Route::peer));
    spec_.apps.back().child = "@west";
    snapshot_ = mapped(spec_);
    sign_on({"wiki", "chart", "calendar", "radicale", "unknown"});
    EXPECT_EQ(verdict("wiki", Source::peer), Verdict::here);
    for (const char* elsewhere : {"chart", "calendar", "radicale", "unknown"}) {
        EXPECT_EQ(verdict(elsewhere, Source::peer), Verdict::nowhere) << elsewhere;
    }
}

TEST_F(Decide, APeersRequestIsServedOnlyForSomebodyWhomItSpokeForAlsoWhereAnAppIsOpen) {
    EXPECT_EQ(verdict("wiki", Source::peer), Verdict::nowhere);
    EXPECT_EQ(verdict("notices", Source::peer), Verdict::nowhere);
    sign_on({"notices"});
    EXPECT_EQ(verdict("wiki", Source::peer), Verdict::nowhere);
    EXPECT_EQ(verdict("notices", Source::peer), Verdict::here);
}

TEST_F(Decide, AnAppWithAProcessAUserIsNoneForThoseWhoHaveNoFolderHere) {
    spec_.apps[0].instance = Instance::user;
    snapshot_ = mapped(spec_);
    sign_on({"wiki"});
    EXPECT_EQ(verdict("wiki"), Verdict::here);
    EXPECT_EQ(verdict("wiki", Source::peer), Verdict::nowhere);
}

TEST_F(Decide, AnEndedLeaseStopsServingHereAndNotPassingOn) {
    spec_.apps[0].lease_expires_us = 200;
    spec_.apps[2].lease_expires_us = 200;
    snapshot_ = mapped(spec_);
    sign_on({"wiki", "calendar"});
    now_us_ = 199;
    EXPECT_EQ(verdict("wiki"), Verdict::here);
    now_us_ = 200;
    EXPECT_EQ(verdict("wiki"), Verdict::expired);
    EXPECT_EQ(verdict("calendar"), Verdict::parent);
}

} // namespace
} // namespace hasp::registry

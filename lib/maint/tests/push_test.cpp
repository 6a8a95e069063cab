// push.*, app.releases, app.rollback, app.allow: as a pipeline and an operator ask.
#include "tree.h"

#include "base/files.h"
#include "base/text.h"
#include "maint/release_git.h"
#include "maint/release_proof.h"

namespace hasp::maint::tests {

namespace {

constexpr std::size_t piece_bytes = 256 * 1024;

struct Pushing : testing::Test {
    Tree tree;
    Node& center = tree.top();
    Node& tokyo = tree.below(center, "tokyo");
    trust::SigningKey otto = trust::SigningKey::generate(tree.random);

    struct Made {
        Release release;
        std::string upload; // the bytes
        Json question;
    };
    Made make(const std::string& text, std::size_t noise_bytes = 0) {
        const std::string dir = tree.folder("pushed");
        EXPECT_TRUE(make_folders(dir).ok());
        EXPECT_TRUE(write_file_durably(dir + "/hasp-app.toml",
                                       "[app]\nname = \"wiki\"\ntitle = \"Wiki\"\nkind = "
                                       "\"static\"\n[static]\nroot = \".\"\n",
                                       0644)
                        .ok());
        EXPECT_TRUE(write_file_durably(dir + "/index.html", text, 0644).ok());
        if (noise_bytes > 0) {
            EXPECT_TRUE(
                write_file_durably(dir + "/noise.bin", tree.random.bytes(noise_bytes), 0644).ok());
        }
        const std::string repo = tree.folder("pushing.git");
        Made out{*make_release_from_folder(dir, repo, "wiki", 0, 0), {}, {}};
        const auto info = write_upload(repo, out.release, {}, "", tree.folder("upload"));
        EXPECT_TRUE(info.ok());
        out.upload = read_file(tree.folder("upload"), 64 << 20).value_or("");
        out.question = {{"app", "wiki"},          {"release", release_id(out.release)},
                        {"to", {"tokyo"}},        {"bytes", info->size},
                        {"sha256", info->sha256}, {"text_bytes", info->text_bytes}};
        return out;
    }
    void sign(Made& made, const Json& begun, const trust::SigningKey& key) {
        made.release.epoch = static_cast<std::uint64_t>(int_of(begun, "epoch"));
        made.release.number = static_cast<std::uint64_t>(int_of(begun, "number"));
        const Origin origin{*from_base64url(text_of(begun, "realm_id")),
                            *trust::TierName::parse(text_of(begun, "tier")), key.public_key()};
        made.question["epoch"] = made.release.epoch;
        made.question["number"] = made.release.number;
        made.question["key"] = to_base64url(key.public_key().raw());
        made.question["signature"] =
            to_base64url(*sign_release(made.release, {{}, {}, {}, 1}, origin, key));
    }
    Json begin(Made& made, const trust::SigningKey& key) {
        made.question["key"] = to_base64url(key.public_key().raw());
        const auto begun = center.admin("push.begin", made.question);
        EXPECT_TRUE(begun.ok()) << (begun.ok() ? "" : begun.error().message);
        return begun.ok() ? *begun : Json::object();
    }
    Result<Json> piece(const Made& made, std::size_t offset) {
        Json args = made.question;
        args["offset"] = offset;
        return center.admin("push.chunk", args, made.upload.substr(offset, piece_bytes));
    }
    void send(const Made& made) {
        const auto have = center.admin("push.chunk", made.question);
        for (std::size_t at = static_cast<std::size_t>(int_of(*have, "have"));
             at < made.upload.size(); at += piece_bytes) {
            EXPECT_TRUE(piece(made, at).ok());
        }
    }
    Result<Json> push(Made made, const trust::SigningKey& key) {
        const Json begun = begin(made, key);
        if (!true_of(begun, "held")) {
            send(made);
        }
        sign(made, begun, key);
        const auto done = center.admin("push.commit", made.question);
        tree.pass_s(5);
        return done;
    }
    std::string held_at(Node& node) {
        const Json apps = node.status()["apps"];
        return apps.empty() ? "" : text_of(apps[0], "release");
    }
};

} // namespace

TEST_F(Pushing, ASignedReleaseReachesTheTierThatIsToHoldIt) {
    const Made one = make("one");
    const auto done = push(one, otto);
    ASSERT_TRUE(done.ok()) << done.error().message;
    EXPECT_EQ(int_of(*done, "number"), 1);
    EXPECT_EQ(held_at(tokyo), release_id(one.release));
    const auto begun = center.admin("push.begin", one.question);
    ASSERT_TRUE(begun.ok());
    EXPECT_TRUE(true_of(*begun, "current"));
}

TEST_F(Pushing, ACommitWhoseAnswerWasLostMayBeAskedAgain) {
    Made one = make("one");
    const Json begun = begin(one, otto);
    send(one);
    sign(one, begun, otto);
    for (int time = 0; time < 2; ++time) {
        const auto done = center.admin("push.commit", one.question);
        ASSERT_TRUE(done.ok()) << done.error().message;
        EXPECT_EQ(int_of(*done, "number"), 1);
    }
}

TEST_F(Pushing, AnUploadGoesOnWhereItWasAlsoAfterARestart) {
    Made one = make("one", 700'000);
    const Json begun = begin(one, otto);
    ASSERT_TRUE(piece(one, 0).ok());
    tree.restart(center);
    const auto have = center.admin("push.chunk", one.question);
    ASSERT_TRUE(have.ok());
    EXPECT_EQ(int_of(*have, "have"), static_cast<std::int64_t>(piece_bytes));
    EXPECT_EQ(piece(one, 0).error().code, Code::conflict) << "it is there already";
    sign(one, begun, otto);
    EXPECT_EQ(center.admin("push.commit", one.question).error().code, Code::conflict)
        << "it is not whole";
    ASSERT_TRUE(piece(one, piece_bytes).ok());
    ASSERT_TRUE(piece(one, 2 * piece_bytes).ok());
    EXPECT_TRUE(center.admin("push.commit", one.question).ok());
}

TEST_F(Pushing, OfTwoAtOnceOneIsToldThatTheOtherWasFaster) {
    Made one = make("one");
    Made two = make("two");
    const Json first = begin(one, otto);
    const Json second = begin(two, otto);
    EXPECT_EQ(first["number"], second["number"]);
    send(one);
    send(two);
    sign(one, first, otto);
    sign(two, second, otto);
    ASSERT_TRUE(center.admin("push.commit", two.question).ok());
    const auto late = center.admin("push.commit", one.question);
    ASSERT_FALSE(late.ok());
    EXPECT_EQ(late.error().code, Code::conflict);
    tree.pass_s(5);
    EXPECT_EQ(held_at(tokyo), release_id(two.release));
    // Pushed again it follows: what was uploaded is still there.
    EXPECT_EQ(int_of(*center.admin("push.chunk", one.question), "have"),
              static_cast<std::int64_t>(one.upload.size()));
    EXPECT_TRUE(push(one, otto).ok());
    EXPECT_EQ(held_at(tokyo), release_id(one.release));
}

TEST_F(Pushing, WhatIsNotAsAnnouncedIsRefusedAndLeavesNothing) {
    ASSERT_TRUE(push(make("one"), otto).ok());
    const std::string before = held_at(tokyo);
    const trust::SigningKey mallory = trust::SigningKey::generate(tree.random);
    // Another key; a signature of another release; an upload of another content; no release at all.
    Made two = make("two");
    EXPECT_EQ(center
                  .admin("push.begin",
                         [&] {
                             Json q = two.question;
                             q["key"] = to_base64url(mallory.public_key().raw());
                             return q;
                         }())
                  .error()
                  .code,
              Code::refused);
    const Json begun = begin(two, otto);
    send(two);
    sign(two, begun, mallory);
    EXPECT_EQ(center.admin("push.commit", two.question).error().code, Code::refused);
    two.question["key"] = to_base64url(otto.public_key().raw());
    EXPECT_EQ(center.admin("push.commit", two.question).error().code, Code::refused)
        << "signed by another than it says";
    Made three = make("three");
    const Json begun_again = begin(three, otto);
    three.upload[three.upload.size() / 2] ^= 1;
    send(three);
    sign(three, begun_again, otto);
    EXPECT_EQ(center.admin("push.commit", three.question).error().code, Code::refused);
    for (const Json& bad :
         {Json{{"app", "../x"}}, Json{{"app", "wiki"}, {"release", "x"}},
          Json{{"app", "wiki"}, {"release", std::string(32, '0')}, {"sha256", "/etc/passwd"}},
          Json{{"app", "wiki"},
               {"release", std::string(32, '0')},
               {"sha256", std::string(64, '0')},
               {"bytes", std::int64_t{1} << 62}}}) {
        EXPECT_FALSE(center.admin("push.chunk", bad, "x").ok()) << bad;
        EXPECT_FALSE(center.admin("push.commit", bad).ok()) << bad;
    }
    tree.pass_s(5);
    EXPECT_EQ(held_at(tokyo), before);
    EXPECT_EQ(center.admin("app.releases", {{"app", "wiki"}})->at("releases").size(), 1U);
}

TEST_F(Pushing, ARollbackIsOldContentUnderANewSequence) {
    const Made one = make("one");
    ASSERT_TRUE(push(one, otto).ok());
    const Made two = make("two");
    ASSERT_TRUE(push(two, otto).ok());
    EXPECT_EQ(held_at(tokyo), release_id(two.release));
    const auto back = center.admin("app.rollback", {{"app", "wiki"}});
    ASSERT_TRUE(back.ok()) << back.error().message;
    EXPECT_EQ(int_of(*back, "number"), 3);
    tree.pass_s(5);
    EXPECT_EQ(held_at(tokyo), release_id(one.release));
    tree.restart(tokyo);
    tree.pass_s(5);
    EXPECT_EQ(held_at(tokyo), release_id(one.release));
    EXPECT_EQ(center.admin("app.rollback", {{"app", "wiki"}, {"release", "zz"}}).error().code,
              Code::not_found);
    EXPECT_EQ(tokyo.admin("app.rollback", {{"app", "wiki"}}).error().code, Code::refused)
        << "it is there by order from above";
    EXPECT_EQ(center.admin("app.rollback", {{"app", "nothing"}}).error().code, Code::not_found);
}

TEST_F(Pushing, AnAppThatWasRemovedTakesItsReleasesWithIt) {
    ASSERT_TRUE(push(make("one"), otto).ok());
    ASSERT_TRUE(center.admin("app.remove", {{"name", "wiki"}}).ok());
    tree.pass_s(5);
    for (Node* node : {&center, &tokyo}) {
        EXPECT_EQ(node->admin("app.releases", {{"app", "wiki"}}).error().code, Code::not_found)
            << node->name;
    }
    // The key stays pinned, and numbers go on.
    const auto again = push(make("one"), otto);
    ASSERT_TRUE(again.ok()) << again.error().message;
    EXPECT_EQ(int_of(*again, "number"), 2);
    const trust::SigningKey mallory = trust::SigningKey::generate(tree.random);
    Made two = make("two");
    two.question["key"] = to_base64url(mallory.public_key().raw());
    EXPECT_EQ(center.admin("push.begin", two.question).error().code, Code::refused);
}

TEST_F(Pushing, ATokenReachesThePushFamilyAndNothingElse) {
    ASSERT_TRUE(center
                    .admin("user.add",
                           {{"name", "otto"}, {"password", "correct horse"}, {"operator", true}})
                    .ok());
    ASSERT_TRUE(center.admin("user.entitle", {{"user", "otto"}, {"apps", {"wiki"}}}).ok());
    const auto token = [&](const Json& scope) {
        Json args{{"user", "otto"}};
        args.update(scope);
        const auto made = center.admin("token.create", args);
        return made.ok() ? text_of(*made, "token") : made.error().message;
    };
    const std::string pusher = token({{"push", {"wiki"}}});
    const auto ask = [&](const std::string& text, const Json& request) {
        const auto page = center.page({{"method", "POST"},
                                       {"target", "/hasp/push"},
                                       {"headers", {{"authorization", "Bearer " + text}}}},
                                      dump(request) + "\n");
        return page ? page->status : 0;
    };
    const Made one = make("one");
    const Json begin{{"cmd", "push.begin"}, {"args", one.question}};
    EXPECT_EQ(ask(pusher, begin), 200);
    EXPECT_EQ(ask(token({{"operator", true}}), begin), 200);
    EXPECT_EQ(ask(token(Json::object()), begin), 403);
    EXPECT_EQ(ask(token({{"apps", {"wiki"}}}), begin), 403);
    EXPECT_EQ(ask("nonsense", begin), 401);
    EXPECT_EQ(ask(token({{"push", {"calendar"}}}), begin), 403);
    for (const char* command :
         {"status", "app.remove", "app.rollback", "app.allow", "token.create"}) {
        EXPECT_EQ(ask(pusher, {{"cmd", command}, {"args", {{"app", "wiki"}, {"name", "wiki"}}}}),
                  403)
            << command;
    }
    EXPECT_TRUE(center.who_token(pusher)["apps"].empty()) << "it opens no app";
    ASSERT_TRUE(center.admin("user.disable", {{"name", "otto"}}).ok());
    EXPECT_EQ(ask(pusher, begin), 401);
}

} // namespace hasp::maint::tests

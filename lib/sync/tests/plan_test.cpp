// The rules of plan.h, one by one, and what must hold for any three trees.
#include "sync/plan.h"

#include "base/random.h"
#include "sync/attributes.h"

#include <gtest/gtest.h>

namespace hasp::sync {
namespace {

Entry file(const std::string& content, std::int64_t mtime_us = 1) {
    return {FileKind::file, 0644, mtime_us, content.size(), content, "", 0};
}
Entry folder() {
    return {FileKind::folder, 0755, 0, 0, "", "", 0};
}

std::string copy_of(const std::string& path, unsigned attempt) {
    return conflict_name(path, "anna@tokyo", 1'700'000'000'000'000, attempt);
}

Plan planned(const Tree& base, const Tree& mine, const Tree& theirs) {
    return plan(base, mine, theirs, copy_of);
}

Tree applied(Tree tree, const Plan& plan, Side side) {
    for (const Operation& op : plan.operations) {
        if (op.at != side) {
            continue;
        }
        if (op.act == Act::remove) {
            tree.erase(op.path);
        } else {
            tree[op.path] = op.entry;
        }
    }
    return tree;
}

bool equal(const Tree& a, const Tree& b) {
    return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](auto& x, auto& y) {
               return x.first == y.first && same(x.second, y.second);
           });
}

bool holds_content(const Tree& tree, const Entry& entry) {
    return std::any_of(tree.begin(), tree.end(),
                       [&](auto& at) { return same_content(at.second, entry); });
}

TEST(Plan, OfEqualTreesIsEmpty) {
    const Tree t{{"a", file("1")}, {"d", folder()}};
    EXPECT_TRUE(planned(t, t, t).operations.empty());
    EXPECT_TRUE(planned({}, t, t).operations.empty()) << "the same content converges";
}

TEST(Plan, BringsAChangeOfOneSideToTheOther) {
    const Tree base{{"a", file("1")}, {"b", file("2")}};
    const Tree mine{{"a", file("1x")}, {"b", file("2")}};
    const Tree theirs{{"a", file("1")}};
    const Plan p = planned(base, mine, theirs);
    EXPECT_TRUE(equal(p.result, {{"a", file("1x")}}));
    EXPECT_TRUE(p.kept.empty());
}

TEST(Plan, KeepsBothWhenBothWereEdited) {
    const Plan p = planned({{"d/a.txt", file("1")}, {"d", folder()}},
                           {{"d/a.txt", file("2")}, {"d", folder()}},
                           {{"d/a.txt", file("3")}, {"d", folder()}});
    ASSERT_EQ(p.kept.size(), 1U);
    EXPECT_EQ(p.kept[0].copy, "d/a (conflict anna@tokyo 2023-11-14 22.13.20).txt");
    EXPECT_TRUE(same(p.result.at("d/a.txt"), file("3")));
    EXPECT_TRUE(same(p.result.at(p.kept[0].copy), file("2")));
}

TEST(Plan, LetsAnEditBeatADeletion) {
    const Tree base{{"a", file("1")}, {"b", file("1")}};
    const Plan p = planned(base, {{"a", file("2")}}, {{"b", file("2")}});
    EXPECT_TRUE(equal(p.result, {{"a", file("2")}, {"b", file("2")}}));
}

TEST(Plan, MergesTheAttributesOfAFileThatOneSideEditedAndTheOtherMarked) {
    const auto with = [](Entry entry, const AttributeMap& attributes) {
        entry.attributes = write_attributes(attributes);
        return entry;
    };
    const Tree base{{"a", with(file("1"), {{"user.a", "1"}, {"user.b", "1"}})}};
    const Tree mine{{"a", with(file("22"), {{"user.a", "2"}, {"user.b", "1"}})}};
    const Tree theirs{{"a", with(file("1"), {{"user.a", "1"}, {"user.c", "3"}})}};
    const AttributeMap both{{"user.a", "2"}, {"user.c", "3"}};
    for (const bool other_way : {false, true}) {
        const Plan p = other_way ? planned(base, theirs, mine) : planned(base, mine, theirs);
        EXPECT_TRUE(p.kept.empty());
        EXPECT_EQ(p.result.at("a").hash, "22");
        EXPECT_EQ(read_attributes(p.result.at("a").attributes).value(), both);
    }
}

TEST(Plan, LetsADeletionBeatATouch) {
    EXPECT_TRUE(planned({{"a", file("1", 1)}}, {{"a", file("1", 9)}}, {}).result.empty());
}

TEST(Plan, BringsAFolderBackForWhatIsNewInIt) {
    const Tree base{{"d", folder()}, {"d/old", file("1")}};
    const Tree mine{{"d", folder()}, {"d/new", file("2")}, {"d/old", file("1")}};
    EXPECT_TRUE(equal(planned(base, mine, {}).result, {{"d", folder()}, {"d/new", file("2")}}));
}

TEST(Plan, GivesAFolderTheNameAndKeepsTheFileBesideIt) {
    for (const bool mine_is_folder : {true, false}) {
        const Tree with_folder{{"x", folder()}, {"x/y", file("1")}};
        const Tree with_file{{"x", file("2")}};
        const Plan p = mine_is_folder ? planned({}, with_folder, with_file)
                                      : planned({}, with_file, with_folder);
        ASSERT_EQ(p.kept.size(), 1U);
        EXPECT_EQ(p.result.at("x").kind, FileKind::folder);
        EXPECT_TRUE(same(p.result.at(p.kept[0].copy), file("2")));
        EXPECT_TRUE(same(p.result.at("x/y"), file("1")));
    }
}

TEST(Plan, OrdersRemovalsFromTheLeavesAndPutsFromTheRoot) {
    const Plan p = planned({}, {{"d", folder()}, {"d/e", folder()}, {"d/e/f", file("1")}}, {});
    EXPECT_EQ(p.operations.front().path, "d");
    const Tree was{{"d", folder()}, {"d/e", folder()}, {"d/e/f", file("1")}};
    EXPECT_EQ(planned(was, {}, was).operations.front().path, "d/e/f");
}

TEST(ConflictNames, StayWithinTheLimitOfNamesAndKeepTheExtension) {
    const std::string name = conflict_name(std::string(250, 'x') + ".txt", "anna@tokyo", 0, 11);
    EXPECT_EQ(name.size(), name_bytes_max);
    EXPECT_TRUE(name.ends_with(" 12).txt")) << name;
    EXPECT_TRUE(valid_path(conflict_name(std::string(251, 'x') + ".txt", "a@b", 0, 0)));
    EXPECT_TRUE(valid_path(conflict_name("a." + std::string(253, 'e'), "a@b", 0, 0)));
    EXPECT_EQ(conflict_name(".profile", "a@b", 0, 0),
              ".profile (conflict a@b 1970-01-01 00.00.00)");
}

TEST(MassDeletion, IsMoreThanFiftyFilesAndAQuarterOrAllAtOnce) {
    Tree base;
    for (int i = 0; i < 200; ++i) {
        base["f" + std::to_string(i)] = file("x");
    }
    const auto without = [&](int n) {
        Tree tree = base;
        for (int i = 0; i < n; ++i) {
            tree.erase("f" + std::to_string(i));
        }
        return tree;
    };
    EXPECT_FALSE(is_mass_deletion(base, without(50)));
    EXPECT_TRUE(is_mass_deletion(base, without(51)));
    Tree replaced = without(200);
    replaced["new"] = file("y");
    EXPECT_TRUE(is_mass_deletion(base, replaced)) << "all of them, and one is new";
    EXPECT_TRUE(is_mass_deletion({{"a", file("1")}, {"b", file("2")}}, {}));
    EXPECT_FALSE(is_mass_deletion({{"a", file("1")}}, {})) << "one file, deleted by its user";
    EXPECT_FALSE(is_mass_deletion({}, {}));
}

TEST(MassDeletion, IsNoFolderThatWasMoved) {
    Tree base;
    Tree moved;
    for (int i = 0; i < 200; ++i) {
        base["a/f" + std::to_string(i)] = file(std::to_string(i));
        moved["b/f" + std::to_string(i)] = file(std::to_string(i));
    }
    EXPECT_FALSE(is_mass_deletion(base, moved));
    EXPECT_EQ(deleted_files(base, moved), 0U);
    for (int i = 0; i < 60; ++i) {
        moved.erase("b/f" + std::to_string(i));
    }
    EXPECT_EQ(deleted_files(base, moved), 60U);
    EXPECT_TRUE(is_mass_deletion(base, moved));
}

TEST(MassDeletion, IsExcusedByAContentThatCameForOneFileAlone) {
    Tree base;
    for (int i = 0; i < 60; ++i) {
        base["a" + std::to_string(i)] = file("the same");
    }
    EXPECT_EQ(deleted_files(base, {{"b", file("the same")}}), 59U);
}

// Random trees over few names, so that everything meets everything.
class RandomTrees : public ::testing::Test {
  protected:
    Tree grown(Tree tree) {
        for (std::uint64_t i = random_.below(8); i > 0; --i) {
            std::string path;
            for (std::uint64_t depth = random_.below(3) + 1; depth > 0; --depth) {
                path += (path.empty() ? "" : "/") + std::string(1, "abc"[random_.below(3)]);
            }
            if (random_.below(3) == 0) {
                cut(tree, path);
                continue;
            }
            for (std::size_t end = path.find('/'); end != std::string::npos;
                 end = path.find('/', end + 1)) {
                const std::string up = path.substr(0, end);
                if (!tree.contains(up) || tree[up].kind != FileKind::folder) {
                    cut(tree, up);
                    tree[up] = folder();
                }
            }
            cut(tree, path);
            tree[path] = random_.below(4) == 0 ? folder()
                                               : file(std::string(1, "uvwxyz"[random_.below(6)]),
                                                      static_cast<std::int64_t>(random_.below(2)));
            if (random_.below(3) == 0) {
                tree[path].attributes =
                    write_attributes({{"user." + std::string(1, "ab"[random_.below(2)]),
                                       std::to_string(random_.below(3))}});
            }
        }
        return tree;
    }
    static void cut(Tree& tree, const std::string& path) {
        std::erase_if(tree, [&](const auto& at) {
            return at.first == path || at.first.starts_with(path + "/");
        });
    }
    SeededRandom random_{7};
};

TEST_F(RandomTrees, ConvergeInOneStepLoseNoEditAndStayTrees) {
    for (int round = 0; round < 20'000; ++round) {
        const Tree base = grown({});
        const Tree mine = grown(base);
        const Tree theirs = grown(base);
        const Plan p = planned(base, mine, theirs);
        ASSERT_TRUE(equal(applied(mine, p, Side::mine), p.result)) << round;
        ASSERT_TRUE(equal(applied(theirs, p, Side::theirs), p.result)) << round;
        ASSERT_TRUE(planned(p.result, p.result, p.result).operations.empty());
        for (const auto& [path, entry] : p.result) {
            const std::string up = parent_path(path);
            ASSERT_TRUE(up.empty() ||
                        (p.result.contains(up) && p.result.at(up).kind == FileKind::folder))
                << round << " " << path;
        }
        for (const Tree* side : {&mine, &theirs}) {
            for (const auto& [path, entry] : *side) {
                const auto before = base.find(path);
                const bool edited = before == base.end() || !same_content(before->second, entry);
                if (edited && entry.kind == FileKind::file) {
                    ASSERT_TRUE(holds_content(p.result, entry)) << round << " " << path;
                }
            }
        }
        for (const auto& [path, entry] : base) {
            const bool both_have = mine.contains(path) && theirs.contains(path) &&
                                   same_content(mine.at(path), entry) &&
                                   same_content(theirs.at(path), entry);
            if (both_have && entry.kind == FileKind::file) {
                ASSERT_TRUE(holds_content(p.result, entry)) << "nobody deleted " << path;
            }
        }
    }
}

} // namespace
} // namespace hasp::sync

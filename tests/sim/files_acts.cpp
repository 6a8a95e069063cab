// What apps do in their users' folders.
#include "files.h"
#include "trust/hash.h"
#include "world.h"

#include <algorithm>

namespace hasp::sim {

namespace {

constexpr std::uint64_t long_bytes = 300 * 1024;
constexpr std::uint64_t short_bytes = 200;
constexpr std::uint64_t middle_bytes = 6'000;

// Few, so that two tiers often mean the same one.
constexpr const char* names[] = {
    "a.txt",       "b.txt",           "letter (draft).txt",    "notes/today.md", "notes/deep/er/x",
    "notes/index", "pictures/p1.jpg", "pictures/2026/p2.jpeg", "list",           "notes"};

} // namespace

// One app's hand on one disk. Each call says what it took from where and what it gave; the first
// failure of the disk ends the deed.
class UserFiles::Hand {
  public:
    Hand(UserFiles& files, World& world, Account& account, Machine& at)
        : files_(files), world_(world), at_(at), disk_(at.disk()), root_(root(account)) {
        deed.account = &account;
        deed.disk_failures = disk_.stats().failures;
        there = list(at, account);
    }

    Deed deed;
    Listing there;
    bool failed = false;

    // A file that stands there; empty: there is none.
    std::string any_file() {
        std::vector<std::string> files;
        for (const auto& [path, hash] : there) {
            if (!hash.empty()) {
                files.push_back(path);
            }
        }
        return files.empty() ? "" : world_.engine.one_of(files);
    }
    std::string any_folder() {
        std::vector<std::string> folders;
        for (const auto& [path, hash] : there) {
            if (hash.empty()) {
                folders.push_back(path);
            }
        }
        return folders.empty() ? "" : world_.engine.one_of(folders);
    }

    // Nothing but folders on the way, and no folder at its end.
    bool room_for(const std::string& path) const {
        const auto end = there.find(path);
        if (end != there.end() && end->second.empty()) {
            return false;
        }
        for (std::size_t slash = path.find('/'); slash != std::string::npos;
             slash = path.find('/', slash + 1)) {
            const auto above = there.find(path.substr(0, slash));
            if (above != there.end() && !above->second.empty()) {
                return false;
            }
        }
        return true;
    }

    void folders_for(const std::string& path) {
        for (std::size_t slash = path.find('/'); slash != std::string::npos;
             slash = path.find('/', slash + 1)) {
            const std::string folder = path.substr(0, slash);
            if (there.emplace(folder, "").second) {
                check(disk_.make_folder(root_ + "/" + folder));
            }
        }
    }

    std::string fresh() {
        const std::uint64_t kind = world_.engine.below(20);
        const std::uint64_t size = kind == 0   ? long_bytes - world_.engine.below(40'000)
                                   : kind <= 6 ? world_.engine.below(middle_bytes)
                                               : world_.engine.below(short_bytes);
        std::string out =
            deed.account->name + "@" + at_.name + " " + std::to_string(++files_.contents_) + "\n";
        std::string rest(size, '\0');
        world_.engine.random().fill(reinterpret_cast<std::uint8_t*>(rest.data()), rest.size());
        return out + rest;
    }

    // In place, as a careless app does it: cut, then written.
    void write(const std::string& path, const std::string& bytes, std::uint64_t at) {
        folders_for(path);
        File file;
        check(disk_.open(root_ + "/" + path, true, false, file, 0640));
        if (failed) {
            return;
        }
        files_.tearable_[&at_].insert(file->number);
        if (file->seen.size() > at) {
            check(disk_.truncate(file, at));
        }
        for (std::uint64_t done = 0; done < bytes.size() && !failed;) {
            const std::uint64_t piece = std::min<std::uint64_t>(bytes.size() - done, 64 * 1024);
            check(disk_.write(file, at + done, std::string_view(bytes).substr(done, piece)));
            done += piece;
        }
        gave(path, file->seen);
    }

    void overwrite(const std::string& path) { write(path, fresh(), 0); }

    // Beside it, then in its place, as a careful one does it.
    void replace(const std::string& path) {
        const std::string beside = path + ".new";
        if (there.contains(beside)) {
            return;
        }
        folders_for(path);
        File file;
        const std::string bytes = fresh();
        check(disk_.open(root_ + "/" + beside, true, true, file, 0640));
        if (failed) {
            return;
        }
        files_.tearable_[&at_].insert(file->number);
        files_.folder(*deed.account).paths.insert(beside); // the power may leave it
        check(disk_.write(file, 0, bytes));
        if (!failed) {
            check(disk_.rename(root_ + "/" + beside, root_ + "/" + path));
        }
        if (!failed) {
            gave(path, bytes);
        }
    }

    void append(const std::string& path) {
        const File file = disk_.find(root_ + "/" + path);
        write(path, fresh(), file->seen.size());
    }

    void change_the_middle(const std::string& path) {
        const File file = disk_.find(root_ + "/" + path);
        files_.tearable_[&at_].insert(file->number);
        check(disk_.write(file, world_.engine.below(file->seen.size() + 1), fresh()));
        gave(path, file->seen);
    }

    void remove(const std::string& path) {
        check(disk_.unlink(root_ + "/" + path));
        if (!failed) {
            took(path);
        }
    }

    // With all that is in it.
    void remove_folder(const std::string& path) {
        std::vector<std::string> all;
        for (const auto& [name, hash] : there) {
            if (name == path || name.starts_with(path + "/")) {
                all.push_back(name);
            }
        }
        for (auto name = all.rbegin(); name != all.rend() && !failed; ++name) {
            remove(*name);
        }
    }

    void rename(const std::string& from, const std::string& to) {
        folders_for(to);
        if (!failed) {
            check(disk_.rename(root_ + "/" + from, root_ + "/" + to));
        }
        if (failed) {
            return;
        }
        Listing moved;
        for (const auto& [name, hash] : there) {
            if (name == from || name.starts_with(from + "/")) {
                moved[name] = hash;
            }
        }
        if (const auto before = there.find(to); before != there.end()) {
            took(to);
        }
        for (const auto& [name, hash] : moved) {
            if (!hash.empty()) {
                deed.took.emplace_back(name, hash);
                moved_.insert(hash);
            }
            there.erase(name);
            const std::string now = to + name.substr(from.size());
            there[now] = hash;
            if (!hash.empty()) {
                deed.gave.emplace_back(now, hash);
            }
        }
    }

    // What the deed took and did not put elsewhere is meant to be gone.
    void finish() {
        for (const auto& [path, hash] : deed.took) {
            if (failed || !moved_.contains(hash)) {
                files_.replaced(*deed.account, hash);
            }
        }
        if (failed) {
            files_.undecided(at_, deed);
        } else if (!deed.took.empty() || !deed.gave.empty()) {
            files_.done(at_, std::move(deed));
        }
    }

  private:
    void check(int error) { failed = failed || error != 0; }

    void took(const std::string& path) {
        const auto before = there.find(path);
        if (before != there.end() && !before->second.empty()) {
            deed.took.emplace_back(path, before->second);
        }
        there.erase(path);
    }

    void gave(const std::string& path, const std::string& content) {
        took(path);
        const std::string hash = trust::sha256(content);
        there[path] = hash;
        deed.gave.emplace_back(path, hash);
        Content& known = files_.folder(*deed.account).contents[hash];
        known.origin = deed.account->name + "'s " + path + " of deed " +
                       std::to_string(files_.deeds_) + " at " + at_.name;
    }

    UserFiles& files_;
    World& world_;
    Machine& at_;
    Disk& disk_;
    std::string root_;
    std::set<std::string> moved_;
};

void UserFiles::act(Account& account, Machine& at) {
    if (!at.up() || at.disk().dead() || waits(account, at)) {
        return;
    }
    Engine& engine = world_.engine;
    const File folder_there = at.disk().find(root(account));
    if (!is_folder(folder_there)) {
        world_.use(at, account, files_app, 1); // his first request: the folder is made
        return;
    }
    if (engine.chance(4)) {
        clear(account, at);
        return;
    }
    ++deeds_;
    Hand hand(*this, world_, account, at);
    check_known(account, at, hand.there);
    const std::string file = hand.any_file();
    const std::string path = names[engine.below(std::size(names))];
    const std::uint64_t what = engine.below(20);
    std::string did;
    if (what < 8 || file.empty()) {
        did = hand.room_for(path) ? "writes " + path : "";
        if (!did.empty()) {
            engine.chance(50) ? hand.overwrite(path) : hand.replace(path);
        }
    } else if (what < 10) {
        did = "adds to " + file;
        hand.append(file);
    } else if (what < 12) {
        did = "changes the middle of " + file;
        hand.change_the_middle(file);
    } else if (what < 15) {
        did = "removes " + file;
        hand.remove(file);
    } else if (what < 18) {
        did = hand.room_for(path) && path != file ? "renames " + file + " to " + path : "";
        if (!did.empty()) {
            hand.rename(file, path);
        }
    } else if (const std::string folder = hand.any_folder(); !folder.empty() && what == 18) {
        const std::string to = "moved " + std::to_string(engine.below(3));
        did = hand.there.contains(to) ? "" : "renames the folder " + folder + " to " + to;
        if (!did.empty()) {
            hand.rename(folder, to);
        }
    } else if (!folder.empty()) {
        did = "removes the folder " + folder;
        hand.remove_folder(folder);
    }
    if (did.empty()) {
        return;
    }
    engine.note(account.name, "at " + at.name + " (deed " + std::to_string(deeds_) + ") " + did +
                                  (hand.failed ? ": the disk fails" : ""));
    hand.finish();
    if (engine.chance(50)) {
        sync(at);
    }
    world_.use(at, account, files_app, 1);
}

// As an app that calls sync(2): everything on this disk is durable.
void UserFiles::sync(Machine& at) {
    if (at.disk().sync_all() != 0) {
        return;
    }
    world_.engine.note(at.name, "an app syncs");
    for (const Deed& deed : unsynced_[&at]) {
        if (deed.disk_failures == at.disk().stats().failures) {
            certain(deed);
        }
        // Else a sync may have failed before, and this one would not say so.
    }
    unsynced_[&at].clear();
}

// Everything that he has, at once.
void UserFiles::clear(Account& account, Machine& at) {
    Hand hand(*this, world_, account, at);
    if (!quiet(account, at, hand.there)) {
        return;
    }
    ++deeds_;
    world_.engine.note(account.name, "at " + at.name + " loses everything");
    const Listing before = hand.there;
    for (auto path = before.rbegin(); path != before.rend() && !hand.failed; ++path) {
        hand.remove(path->first);
    }
    if (!hand.failed && world_.engine.chance(50)) {
        hand.failed = at.disk().unlink(root(account)) != 0; // the folder itself
    }
    if (hand.failed || at.disk().sync_all() != 0) {
        hand.failed = true;
        hand.finish();
        return;
    }
    auto held = std::make_shared<Held>(Held{&account, &at, hand.deed.took});
    held_.push_back(held);
    world_.use(at, account, files_app, 1);
    world_.engine.after(world_.engine.between(10 * second, 30 * second),
                        [this, held] { release(held); });
}

} // namespace hasp::sim

#include "files_world.h"

#include <algorithm>

namespace hasp::sim {

namespace {

constexpr const char* folder = "data/users/anna/wiki";
constexpr std::int64_t round_every = 6 * second;
constexpr std::int64_t act_every = 3 * second;
constexpr std::int64_t fault_every = 15 * second;
constexpr std::int64_t delay_most = 400 * ms;
constexpr std::size_t chunk_bytes = 700; // small, so that there are many messages
constexpr std::uint64_t changes_within = 80;
constexpr int rounds_of_peace_max = 60;

const std::vector<std::string>& paths() {
    static const std::vector<std::string> all{"a.tid", "b.tid", "notes/c.tid", "notes/d.tid",
                                              "e.tid"};
    return all;
}

sync::WorkingFolder working() {
    return {{"anna", "wiki"}, folder, {}, false};
}

} // namespace

struct FilesWorld::Round {
    Box* client = nullptr;
    std::uint64_t client_life = 0;
    std::uint64_t home_life = 0;
    sync::Client::Outgoing out;
    std::uint64_t offset = 0;
    sync::Home::Answer answer;
};

FilesWorld::FilesWorld(const FilesScenario& scenario)
    : engine(scenario.seed, scenario.print), scenario_(scenario),
      random_(std::make_unique<SeededRandom>(scenario.seed ^ 0x5eedU)) {
    seed_sqlite(scenario.seed);
    for (const char* name : {"center", "tokyo", "osaka"}) {
        auto made = std::make_unique<Box>();
        made->name = name;
        made->state = std::string("/simulated/files/") + name;
        made->disk = std::make_unique<Disk>(engine.random().u64());
        made->disk->plant_folder("/");
        for (const char* path : {"/data", "/data/users", "/data/users/anna",
                                 "/data/users/anna/wiki", "/data/users/anna/wiki/notes"}) {
            made->disk->plant_folder(path);
        }
        made->mount = std::make_unique<Mount>(made->state, *made->disk);
        made->clock = std::make_unique<MachineClock>(engine);
        made->disk->set_clock([this] { return engine.now_us() * 1000; });
        boxes_.push_back(std::move(made));
    }
}

FilesWorld::~FilesWorld() {
    for (const auto& held : boxes_) {
        held->disk->die();
        held->home.reset();
        held->client.reset();
        held->db.reset();
    }
}

FilesWorld::Box& FilesWorld::box(const std::string& name) {
    return **std::find_if(boxes_.begin(), boxes_.end(),
                          [&](const auto& held) { return held->name == name; });
}

void FilesWorld::violate(const std::string& invariant, const std::string& what) {
    engine.note("VIOLATION", invariant + ": " + what);
    if (!violation_) {
        violation_ = Violation{invariant, what};
    }
    engine.stop();
}

std::string FilesWorld::report() const {
    std::string text =
        "seed " + std::to_string(scenario_.seed) + " violates '" +
        (violation_ ? violation_->invariant + "': " + violation_->what : "nothing'") +
        "\nreplay: HASP_SIM_SEED=" + std::to_string(scenario_.seed) +
        " HASP_SIM_TRACE=1 build/dev/tests/sim/sim_files_test "
        "--gtest_filter='*OneSeed*'\n";
    for (const std::string& line : engine.last_lines()) {
        text += "  " + line + "\n";
    }
    return text;
}

void FilesWorld::start(Box& at) {
    if (at.up) {
        return;
    }
    ++at.life;
    at.busy = false;
    at.files = make_sync_disk(*at.disk);
    auto db = store::Db::open(at.state + "/files.db");
    Status opened = db.ok() ? Status{} : Status{db.error()};
    if (db.ok()) {
        at.db = *std::move(db);
        if (at.name == "center") {
            auto home = sync::Home::open(*at.db, *at.files, "clinics", *at.clock);
            home.ok() ? static_cast<void>(at.home = *std::move(home))
                      : static_cast<void>(opened = home.error());
        } else {
            auto client = sync::Client::open(*at.db, *at.files, "clinics", *at.clock, *random_, {});
            client.ok() ? static_cast<void>(at.client = *std::move(client))
                        : static_cast<void>(opened = client.error());
        }
    }
    at.up = true;
    if (at.disk->dead()) {
        crash(at, true);
        return;
    }
    if (!opened.ok()) {
        if (at.disk->stats().failures == 0) {
            violate("a tier starts after every crash", at.name + ": " + opened.error().message);
        }
        crash(at, false);
        return;
    }
    engine.note(at.name, "starts");
}

void FilesWorld::crash(Box& at, bool power) {
    engine.note(at.name, power ? "loses its power" : "is killed");
    ++at.life;
    at.up = false;
    at.busy = false;
    at.disk->die();
    at.home.reset();
    at.client.reset();
    at.db.reset();
    power ? at.disk->crash() : at.disk->kill();
    if (power) {
        at.clock->reboot();
    }
    engine.after(peace_ ? 100 * ms : engine.between(100 * ms, 20 * second),
                 [this, &at] { start(at); });
}

void FilesWorld::turn(Box& at, const std::function<void()>& work) {
    if (!at.up) {
        return;
    }
    work();
    if (at.disk->dead()) {
        crash(at, true);
    }
}

std::string FilesWorld::text_at(Box& at, const std::string& path) {
    const File file = at.disk->find(std::string("/") + folder + "/" + path);
    return file == nullptr || file->kind != Inode::Kind::file ? "" : file->seen;
}

// As a careful app does: a temporary file, sync, rename, sync of the folder. Only then it counts.
void FilesWorld::edit(Box& at) {
    const std::string path = engine.one_of(paths());
    const std::string place = std::string("/") + folder + "/" + path;
    const std::string before = text_at(at, path);
    ++next_;
    const std::string text = "content " + std::to_string(next_) + " by " + at.name + " " +
                             std::string(engine.below(3'000), static_cast<char>('a' + next_ % 26));
    File file;
    const std::string temporary = place + ".new";
    at.disk->unlink(temporary);
    const bool kept = at.disk->open(temporary, true, true, file, 0644) == 0 &&
                      at.disk->write(file, 0, text) == 0 && at.disk->sync(file) == 0 &&
                      at.disk->rename(temporary, place) == 0 &&
                      at.disk->sync_folder(folder_of(place)) == 0;
    engine.note(at.name, "writes " + path + ": content " + std::to_string(next_) +
                             (kept ? "" : " (not kept)"));
    // Whoever was there was seen and replaced, even if power went in the middle.
    if (const auto old = contents_.find(before); old != contents_.end()) {
        old->second.replaced = true;
    }
    if (kept) {
        contents_[text] = {path, false};
    }
}

void FilesWorld::remove(Box& at) {
    const std::string path = engine.one_of(paths());
    const std::string before = text_at(at, path);
    if (before.empty()) {
        return;
    }
    engine.note(at.name, "deletes " + path);
    at.disk->unlink(std::string("/") + folder + "/" + path);
    at.disk->sync_folder(folder_of(std::string("/") + folder + "/" + path));
    if (const auto old = contents_.find(before); old != contents_.end()) {
        old->second.replaced = true;
    }
}

void FilesWorld::act() {
    Box& at = box(engine.chance(50) ? "tokyo" : "osaka");
    turn(at, [&] { engine.chance(80) ? edit(at) : remove(at); });
}

void FilesWorld::fault() {
    Box& at = *engine.one_of(boxes_);
    switch (engine.below(6)) {
    case 0:
        if (at.up) {
            crash(at, engine.chance(70));
        }
        break;
    case 1:
    case 2:
        engine.note(at.name, "will lose its power soon");
        at.disk->die_after(engine.below(changes_within));
        break;
    case 3:
        engine.note(at.name, "the link is gone");
        at.linked = false;
        ++at.life; // what is under way is lost
        at.busy = false;
        engine.after(engine.between(second, minute), [&at] { at.linked = true; });
        break;
    case 4:
        engine.note(at.name, "an operation of its disk will fail");
        at.disk->fail_after(engine.below(changes_within));
        break;
    default:
        engine.note(at.name, "its disk is full");
        at.disk->set_capacity(at.disk->used() + engine.below(10'000) + 1);
        engine.after(engine.between(second, 30 * second), [&at] { at.disk->set_capacity(0); });
        break;
    }
}

bool FilesWorld::both(const Round& round) const {
    const Box& home = *boxes_[0];
    return home.up && home.linked && home.life == round.home_life && round.client->up &&
           round.client->linked && round.client->life == round.client_life;
}

void FilesWorld::later(const std::shared_ptr<Round>& round,
                       void (FilesWorld::*next)(const std::shared_ptr<Round>&)) {
    engine.after(engine.between(0, delay_most), [this, round, next] {
        if (both(*round)) {
            (this->*next)(round);
        } else if (round->client->life == round->client_life) {
            end_round(*round->client, "the link broke");
        }
    });
}

void FilesWorld::end_round(Box& at, const std::string& why) {
    engine.note(at.name, "round: " + why);
    at.busy = false;
}

void FilesWorld::begin_round(Box& at) {
    Box& home = box("center");
    if (!at.up || !home.up || !at.linked || !home.linked || at.busy) {
        return;
    }
    auto round = std::make_shared<Round>();
    round->client = &at;
    round->client_life = at.life;
    round->home_life = home.life;
    at.busy = true;
    turn(at, [&] {
        auto out = at.client->prepare(working());
        if (!out.ok()) {
            end_round(at, out.error().message);
            return;
        }
        round->out = *std::move(out);
        later(round, round->out.batch.empty() ? &FilesWorld::ask : &FilesWorld::send_some);
    });
}

void FilesWorld::send_some(const std::shared_ptr<Round>& round) {
    Box& at = *round->client;
    Result<std::string> bytes = std::string();
    if (round->offset < round->out.bytes) {
        turn(at, [&] { bytes = at.client->read(working().id, round->offset, chunk_bytes); });
        if (!bytes.ok() || !both(*round)) {
            if (at.life == round->client_life) {
                end_round(at, bytes.ok() ? "the link broke" : bytes.error().message);
            }
            return;
        }
    }
    Box& home = box("center");
    turn(home, [&] {
        auto have = home.home->receive(working().id, round->out.batch, round->offset,
                                       round->out.bytes, *bytes);
        if (!have.ok()) {
            end_round(at, have.error().message);
            return;
        }
        round->offset = *have;
        later(round, *have >= round->out.bytes ? &FilesWorld::ask : &FilesWorld::send_some);
    });
    if (home.life != round->home_life) {
        at.busy = false;
    }
}

void FilesWorld::ask(const std::shared_ptr<Round>& round) {
    Box& home = box("center");
    Box& at = *round->client;
    turn(home, [&] {
        auto answer = home.home->exchange({working().id, round->out.batch, round->out.since,
                                           "anna@" + at.name, round->out.whole});
        if (!answer.ok()) {
            end_round(at, answer.error().message);
            return;
        }
        round->answer = *std::move(answer);
        round->offset = 0;
        later(round, &FilesWorld::fetch_some);
    });
    if (home.life != round->home_life) {
        at.busy = false;
    }
}

void FilesWorld::fetch_some(const std::shared_ptr<Round>& round) {
    Box& home = box("center");
    Box& at = *round->client;
    if (round->offset >= round->answer.bytes) {
        finish(round);
        return;
    }
    Result<std::string> bytes = std::string();
    turn(home, [&] { bytes = home.home->read(round->answer.file, round->offset, chunk_bytes); });
    if (!both(*round) || !bytes.ok() || bytes->empty()) {
        if (at.life == round->client_life) {
            end_round(at, bytes.ok() ? "the link broke" : bytes.error().message);
        }
        return;
    }
    turn(at, [&] {
        if (const Status taken = at.client->take(working().id, round->offset, *bytes);
            !taken.ok()) {
            end_round(at, taken.error().message);
            return;
        }
        round->offset += bytes->size();
        later(round, &FilesWorld::fetch_some);
    });
}

void FilesWorld::finish(const std::shared_ptr<Round>& round) {
    Box& at = *round->client;
    box("center").home->forget(round->answer.file);
    turn(at, [&] {
        auto arrived = at.client->arrived(working());
        if (!arrived.ok()) {
            end_round(at, arrived.error().message);
            return;
        }
        auto applied = at.client->apply(working(), false);
        end_round(at, applied.ok() ? "done: " + std::to_string(arrived->taken) + " taken, " +
                                         std::to_string(arrived->conflicts) + " conflicts, " +
                                         std::to_string(applied->files) + " put"
                                   : applied.error().message);
    });
}

std::set<std::string> FilesWorld::texts(Box& at, std::map<std::string, std::string>& tree) {
    std::set<std::string> out;
    const std::string root = std::string("/") + folder;
    const std::function<void(const std::string&)> visit = [&](const std::string& beneath) {
        for (const std::string& name : at.disk->list(root + beneath)) {
            const std::string path = beneath + "/" + name;
            const File file = at.disk->find(root + path);
            if (is_folder(file)) {
                visit(path);
            } else {
                tree[path] = file->seen;
                out.insert(file->seen);
            }
        }
    };
    visit("");
    return out;
}

void FilesWorld::check() {
    std::map<std::string, std::string> tokyo;
    std::map<std::string, std::string> osaka;
    const std::set<std::string> there = texts(box("tokyo"), tokyo);
    texts(box("osaka"), osaka);
    for (const auto& [text, content] : contents_) {
        if (!content.replaced && !there.contains(text)) {
            violate("no acknowledged edit is lost",
                    content.path + ": " + text.substr(0, 24) + " is nowhere");
            return;
        }
    }
    if (tokyo != osaka) {
        std::string what;
        for (const auto& [path, text] : tokyo) {
            if (!osaka.contains(path) || osaka[path] != text) {
                what += path + " ('" + text.substr(0, 20) + "' against '" +
                        (osaka.contains(path) ? osaka[path].substr(0, 20) : "nothing") + "') ";
            }
        }
        for (const auto& [path, text] : osaka) {
            what += tokyo.contains(path) ? "" : path + " (only at osaka) ";
        }
        violate("files converge", what);
    }
}

std::optional<Violation> FilesWorld::run() {
    for (const auto& held : boxes_) {
        start(*held);
    }
    // Drawn one after another, so that the same seed gives the same run.
    const std::function<void()> acts = [this, &acts] {
        engine.after(engine.between(1, 2 * act_every), [this, &acts] {
            if (!peace_) {
                act();
                acts();
            }
        });
    };
    const std::function<void()> faults = [this, &faults] {
        engine.after(engine.between(1, 2 * fault_every), [this, &faults] {
            if (!peace_) {
                fault();
                faults();
            }
        });
    };
    const std::function<void()> rounds = [this, &rounds] {
        engine.after(engine.between(1, 2 * round_every), [this, &rounds] {
            begin_round(box(engine.chance(50) ? "tokyo" : "osaka"));
            rounds();
        });
    };
    acts();
    faults();
    rounds();
    engine.run_until(begin_us + scenario_.length_us);
    peace_ = true;
    engine.note("world", "peace");
    for (const auto& held : boxes_) {
        held->disk->calm();
        held->linked = true;
        start(*held);
    }
    for (int i = 0; i < rounds_of_peace_max && !engine.stopped(); ++i) {
        engine.run_until(engine.now_us() + 2 * round_every);
    }
    if (!engine.stopped()) {
        check();
    }
    return violation_;
}

} // namespace hasp::sim

#include "machine.h"

#include "base/text.h"
#include "sync_disk.h"

#include <unistd.h>
#include <utility>

namespace hasp::sim {

namespace {

constexpr std::int64_t start_again = 3 * second;
constexpr std::int64_t harvest_every = 200 * ms;
constexpr const char* portal = "portal.example";
constexpr const char* address = "192.0.2.1";

} // namespace

std::string Page::cookie() const {
    for (const auto& [name, value] : headers) {
        const std::size_t eq = value.find('=');
        if (name == "set-cookie" && eq != std::string::npos) {
            return value.substr(eq + 1, value.find(';') - eq - 1);
        }
    }
    return "";
}

Machine::Machine(Engine& engine, Surroundings& around, std::string machine_name, std::string folder,
                 std::unique_ptr<Disk> disk, maint::Config config)
    : name(std::move(machine_name)), state(std::move(folder)), clock(engine), engine_(engine),
      around_(around), disk_(std::move(disk)),
      mount_(state, *disk_), files_{make_sync_disk(*disk_), make_working_copies(*disk_, state)},
      config_(std::move(config)), log_(engine.prints() ? STDERR_FILENO : -1, clock, name, false,
                                       engine.prints() ? Level::debug : Level::error),
      random_(engine.random().u64()) {
    disk_->set_clock([this] { return clock.wall_us() * 1000; });
    new_ring();
}

void Machine::new_ring() {
    engine_.random().fill(ring_id_.data(), ring_id_.size());
    ring_.clear();
    ring_taken_ = 0;
}

void Machine::use(const billing::UsageRecord& record) {
    ring_.push_back(record);
    if (ring_.size() == 1) {
        engine_.after(harvest_every, [this] { harvest(); });
    }
}

// As the process around the keeper does it: what the keeper took is freed, the rest comes again.
void Machine::harvest() {
    if (!up() || ring_.empty()) {
        return;
    }
    std::size_t kept = 0;
    const std::uint64_t life = life_;
    turn([&](maint::Keeper& keeper) {
        kept = keeper.on_usage({ring_id_, 0, ring_taken_, 0}, ring_);
    });
    if (life != life_ || !up()) {
        return; // it died before it could free them
    }
    around_.kept_usage(*this, std::span(ring_).first(kept));
    if (kept > 0 && end_before_freeing_) {
        engine_.note(name, "has kept usage, and does not say so");
        crash(*std::exchange(end_before_freeing_, std::nullopt));
        return;
    }
    ring_.erase(ring_.begin(), ring_.begin() + static_cast<std::ptrdiff_t>(kept));
    ring_taken_ += kept;
}

Machine::~Machine() {
    disk_->die(); // nothing is written at the end of a run
    keeper_.reset();
}

void Machine::start() {
    if (up()) {
        return;
    }
    ++life_;
    watch_.reset(); // of an attempt that failed: it leaves the disk when it ends
    watch_ = std::make_shared<SimWatch>(engine_, *disk_, [this, life = life_] {
        if (life == life_) {
            turn([](maint::Keeper& keeper) { keeper.noticed(); });
        }
    });
    watch_->hides_lost_track = watch_hides_lost_track;
    auto opened = maint::Keeper::open({state, config_, "simulated", true, true, files_, watch_},
                                      *this, clock, random_, log_);
    if (!opened.ok() || disk_->dead()) {
        const bool power_went = disk_->dead();
        if (opened.ok()) {
            opened->reset();
        }
        engine_.note(name, "does not start" + (power_went ? std::string(": it loses its power")
                                                          : ": " + opened.error().message));
        if (power_went) {
            disk_back(end_within_);
        } else {
            around_.failed_to_start(*this, opened.error());
        }
        engine_.after(start_again, [this, life = life_] {
            if (life == life_) {
                start();
            }
        });
        return;
    }
    keeper_ = *std::move(opened);
    engine_.note(name, "starts");
    turn([](maint::Keeper& keeper) {
        keeper.spawner_connected();
        keeper.on_spawner({R"({"t":"isolation","text":"a simulation's"})", {}, {}});
        keeper.front_connected();
    });
    if (up()) {
        tick_later();
        around_.came_up(*this);
    }
}

void Machine::tick_later() {
    engine_.after(tick_us, [this, life = life_] {
        if (life == life_ && up()) {
            harvest();
            turn([](maint::Keeper& keeper) { keeper.tick(); });
            if (life == life_ && up()) {
                tick_later();
            }
        }
    });
}

void Machine::turn(const std::function<void(maint::Keeper&)>& work) {
    if (!up()) {
        return;
    }
    work(*keeper_);
    keeper_->flush();
    after_turn();
}

// The keeper must not be destroyed while it is on the stack: a power cut in the middle of a turn
// takes effect on the disk and on what is sent at once, and on the process here.
void Machine::after_turn() {
    if (up() && disk_->dead()) {
        crash(end_within_);
    }
}

void Machine::end(bool orderly) {
    ++life_;
    if (!orderly) {
        disk_->die();
    } else if (!disk_->dead()) {
        keeper_->finish();
    }
    keeper_.reset();
    watch_.reset();
    snapshot_.reset();
    credentials_ = Json();
    around_.went_down(*this);
    auto asked = std::exchange(asked_, {});
    auto ordered = std::exchange(ordered_, {});
    for (auto& [id, answered] : asked) {
        answered(nullptr, {});
    }
    for (auto& [id, answered] : ordered) {
        answered(nullptr, {});
    }
}

void Machine::stop() {
    if (up()) {
        engine_.note(name, "stops");
        end(true);
        if (disk_->dead()) { // the power went while it closed its stores
            disk_back(end_within_);
        }
    }
}

void Machine::crash(End how) {
    engine_.note(name, how == End::killed ? "is killed" : "loses its power");
    end(false);
    disk_back(how);
}

void Machine::disk_back(End how) {
    if (how == End::power_lost) {
        disk_->crash();
        clock.reboot();
        new_ring();
        around_.power_went(*this);
    } else {
        disk_->kill();
    }
}

void Machine::crash_within(End how, std::uint64_t changes) {
    end_within_ = how;
    disk_->die_after(changes);
}

void Machine::ask(Json head, const std::string& body, Answered done) {
    if (!up()) {
        done(nullptr, {});
        return;
    }
    const std::int64_t id = next_id_++;
    head["id"] = id;
    asked_[id] = std::move(done);
    front(head, body);
}

void Machine::front(const Json& head, const std::string& body) {
    turn([&](maint::Keeper& keeper) { keeper.on_front({dump(head), body, {}}); });
}

void Machine::admin(const std::string& command, const Json& args,
                    std::function<void(std::optional<Result<Json>>)> done) {
    if (!up()) {
        done(std::nullopt);
        return;
    }
    const auto client = static_cast<std::uint64_t>(next_id_++);
    ordered_[client] = [done = std::move(done)](const Json* answer, const std::string&) {
        if (answer == nullptr) {
            done(std::nullopt);
        } else if (answer->contains("error")) {
            done(Result<Json>(error_of(member(*answer, "error"))));
        } else {
            done(Result<Json>(member(*answer, "result")));
        }
    };
    turn([&](maint::Keeper& keeper) {
        keeper.on_admin(client, {dump({{"cmd", command}, {"args", args}}), {}, {}});
    });
}

Json Machine::look(const std::string& command, const Json& args) {
    Json seen;
    admin(command, args, [&seen](std::optional<Result<Json>> answer) {
        if (answer && answer->ok()) {
            seen = **answer;
        }
    });
    return seen;
}

void Machine::page(const Json& head, const std::string& body, std::function<void(Page)> done) {
    Json full{{"t", "page"},       {"method", "GET"},
              {"scheme", "http"},  {"authority", std::string(portal) + ":8480"},
              {"host", portal},    {"target", "/"},
              {"client", address}, {"sid", ""},
              {"door", "users"},   {"headers", Json::object()}};
    full.update(head);
    ask(full, body, [done = std::move(done)](const Json* answer, const std::string& text) {
        Page page;
        if (answer != nullptr) {
            page.status = static_cast<int>(int_of(*answer, "status"));
            page.body = text;
            for (const Json& header : member(*answer, "headers")) {
                page.headers.emplace_back(header[0].get<std::string>(),
                                          header[1].get<std::string>());
            }
        }
        done(std::move(page));
    });
}

void Machine::log_in(const std::string& user, const std::string& password,
                     std::function<void(Page)> done) {
    page({{"method", "POST"},
          {"target", "/hasp/login"},
          {"headers", {{"origin", std::string("http://") + portal + ":8480"}}}},
         "user=" + percent_encode(user) + "&password=" + percent_encode(password) + "&next=%2F",
         std::move(done));
}

void Machine::log_out(const std::string& sid, std::function<void(Page)> done) {
    page({{"method", "POST"},
          {"target", "/hasp/logout"},
          {"sid", sid},
          {"headers", {{"origin", std::string("http://") + portal + ":8480"}}}},
         "", std::move(done));
}

void Machine::who(const Json& question, std::function<void(std::optional<Json>)> done) {
    Json head = question;
    head["t"] = "who";
    ask(head, {}, [done = std::move(done)](const Json* answer, const std::string&) {
        done(answer == nullptr ? std::optional<Json>() : member(*answer, "identity"));
    });
}

void Machine::who_cookie(const std::string& cookie, std::function<void(std::optional<Json>)> done) {
    who({{"kind", "cookie"}, {"secret", cookie}, {"host", portal}, {"client", address}},
        std::move(done));
}

void Machine::send_front(std::string_view head, std::string_view body, std::span<const int> fds) {
    if (disk_->dead()) {
        return; // the power is gone: nothing leaves the machine
    }
    const Json json = parse_object(head);
    const std::string type = text_of(json, "t");
    if (type == "link.data") {
        around_.link_bytes(*this, int_of(json, "link"), std::string(body));
    } else if (type == "link.cut") {
        around_.cut_neighbour(*this, text_of(json, "neighbour"));
    } else if (json.contains("id")) {
        const auto at = asked_.find(int_of(json, "id"));
        if (at != asked_.end()) {
            // Not now: who asked may act on the machine, and the keeper is on the stack.
            engine_.after(0, [done = std::move(at->second), json, text = std::string(body)] {
                done(&json, text);
            });
            asked_.erase(at);
        }
    } else if (type == "snapshot" && !fds.empty()) {
        auto mapped = registry::Snapshot::map(fds[0]);
        snapshot_ = mapped.ok() ? *std::move(mapped) : nullptr;
    } else if (type == "credentials") {
        credentials_ = json;
    }
}

void Machine::send_spawner(std::string_view, std::string_view) {}

void Machine::answer_admin(std::uint64_t client, std::string_view head, std::string_view) {
    const auto at = ordered_.find(client);
    if (disk_->dead() || at == ordered_.end()) {
        return;
    }
    const Answered done = std::move(at->second);
    ordered_.erase(at);
    const Json json = parse_object(head);
    done(&json, {});
}

void Machine::background(std::function<void()> work, std::function<void()> done) {
    engine_.after(engine_.between(0, 300 * ms),
                  [this, life = life_, work = std::move(work), done = std::move(done)] {
                      if (life != life_ || !up()) {
                          return;
                      }
                      work();
                      engine_.after(engine_.between(0, 20 * ms), [this, life, done] {
                          if (life == life_ && up()) {
                              turn([&](maint::Keeper&) { done(); });
                          }
                      });
                  });
}

} // namespace hasp::sim

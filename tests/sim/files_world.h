// A run of lib/sync alone: the home at the center and clients at tokyo and osaka, on simulated
// disks and clocks, one user's folder. Users edit and delete at both; rounds are cut at every
// message; power goes at any operation of a disk. The oracle knows each content that was durably
// written, and what its writer had before him.
#pragma once

#include "engine.h"
#include "machine.h"
#include "oracle.h"
#include "store/db.h"
#include "sync/client.h"
#include "sync/home.h"
#include "sync_disk.h"

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace hasp::sim {

struct FilesScenario {
    std::uint64_t seed = 1;
    bool print = false;
    std::int64_t length_us = 10 * minute;
};

class FilesWorld {
  public:
    explicit FilesWorld(const FilesScenario& scenario);
    ~FilesWorld();

    std::optional<Violation> run();
    std::string report() const;
    std::uint64_t edits() const { return contents_.size(); }

    // One machine: the home, or a client.
    struct Box {
        std::string name;
        std::string state; // where its disk is mounted
        std::unique_ptr<Disk> disk;
        std::unique_ptr<Mount> mount;
        std::unique_ptr<MachineClock> clock;
        std::unique_ptr<sync::Disk> files;
        std::unique_ptr<store::Db> db;
        std::unique_ptr<sync::Home> home;
        std::unique_ptr<sync::Client> client;
        std::uint64_t life = 0;
        bool up = false;
        bool linked = true;
        bool busy = false; // a round is under way
    };
    Box& box(const std::string& name);

    Engine engine;

  private:
    struct Round;
    // A content that was durably in its place at some time; its text is its name.
    struct Content {
        std::string path;
        bool replaced = false; // by somebody who had it before him, or who deleted it
    };

    void start(Box& box);
    void crash(Box& box, bool power);
    // One turn of a machine; a power cut inside takes effect after it.
    void turn(Box& box, const std::function<void()>& work);
    void act();
    void edit(Box& box);
    void remove(Box& box);
    void fault();
    void begin_round(Box& box);
    void send_some(const std::shared_ptr<Round>& round);
    void ask(const std::shared_ptr<Round>& round);
    void fetch_some(const std::shared_ptr<Round>& round);
    void finish(const std::shared_ptr<Round>& round);
    void end_round(Box& box, const std::string& why);
    bool both(const Round& round) const;
    void later(const std::shared_ptr<Round>& round,
               void (FilesWorld::*next)(const std::shared_ptr<Round>&));
    std::string text_at(Box& box, const std::string& path);
    void check();
    std::set<std::string> texts(Box& box, std::map<std::string, std::string>& tree);
    void violate(const std::string& invariant, const std::string& what);

    FilesScenario scenario_;
    std::vector<std::unique_ptr<Box>> boxes_;
    std::map<std::string, Content> contents_;
    std::uint64_t next_ = 0;
    bool peace_ = false;
    std::unique_ptr<SeededRandom> random_;
    std::optional<Violation> violation_;
};

} // namespace hasp::sim

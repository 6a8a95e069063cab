// lib/sync's watch over a simulated disk: what changes is named late, in parts, or not at all, and
// then it says that it lost track.
#pragma once

#include "disk.h"
#include "engine.h"
#include "sync/watch.h"

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace hasp::sim {

// Beneath "/" of `disk`, which must outlive it. `wake` is called, from the engine's queue, when
// ready() has something to say.
class SimWatch final : public sync::Watch {
  public:
    SimWatch(Engine& engine, Disk& disk, std::function<void()> wake);
    ~SimWatch() override;

    // For a planted bug: where it loses track, it says nothing.
    bool hides_lost_track = false;

    Result<bool> add(const std::string& folder) override;
    void remove(const std::string& folder) override { folders_.erase(folder); }
    bool watches(const std::string& folder) const override {
        const auto at = folders_.find(folder);
        return at != folders_.end() && !at->second.broken;
    }
    int fd() const override { return -1; }
    std::vector<std::string> ready() override;
    sync::Noticed take(const std::string& folder, sync::Take which) override;
    std::string name() const override { return "simulated"; }

  private:
    struct Folder {
        std::uint64_t inode = 0;
        bool broken = false;
        bool ready = false;
        bool woken = false;
        sync::Noticed noticed;
    };
    void changed(const std::string& path, const std::string& to);
    void lose_track(Folder& folder);
    void wake_later(const std::string& name);
    // The watched folder that this is in, and the path in it.
    Folder* of(const std::string& path, std::string& name, std::string& below);

    Engine& engine_;
    Disk& disk_;
    std::function<void()> wake_;
    std::map<std::string, Folder> folders_;
    std::shared_ptr<bool> lives_ = std::make_shared<bool>(true);
};

} // namespace hasp::sim

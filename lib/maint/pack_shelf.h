// Packs of releases, made for children and kept while they are fetched: one for the same (have,
// want), however many ask. One thread; packs are made in the background.
#pragma once

#include "base/clock.h"
#include "maint/keeper_ports.h"
#include "maint/release_git.h"
#include "maint/release_store.h"

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace hasp::maint {

inline constexpr std::size_t pack_chunk_bytes = std::size_t{256} << 10;
// One that is no larger comes with the answer that names it.
inline constexpr std::size_t pack_inline_bytes_max = std::size_t{64} << 10;
inline constexpr std::size_t pack_have_max = 64; // commits that a child may name as held
inline constexpr std::int64_t pack_kept_us = 3600LL * 1'000'000; // after its last use

class PackShelf {
  public:
    // The folder is hasp's own and emptied here: packs are made anew after a restart, byte for
    // byte, so that a child goes on where it was.
    PackShelf(KeeperPorts& ports, const Clock& clock, const ReleaseStore& releases,
              std::string folder);

    struct Pack {
        std::string key; // names it in read()
        PackInfo info;
    };
    using Done = std::function<void(Result<Pack>)>;
    void build(const Release& release, std::vector<std::string> have, Done done);

    // Up to `bytes` from `offset`, and pack_chunk_bytes at most; empty at the end. Code::try_later
    // when it is not on the shelf, or is of another release.
    Result<std::string> read(const std::string& key, const std::string& app,
                             const std::string& release_id, std::int64_t offset,
                             std::int64_t bytes = static_cast<std::int64_t>(pack_chunk_bytes));
    // Throws away what nobody has used for long.
    void tick();

  private:
    struct Entry {
        std::string app;
        std::string release_id;
        bool made = false;
        PackInfo info;
        std::vector<Done> waiting;
        std::int64_t used_us = 0; // boot clock
    };
    std::string path(const std::string& key) const { return folder_ + "/" + key + ".pack"; }

    KeeperPorts& ports_;
    const Clock& clock_;
    const ReleaseStore& releases_;
    std::string folder_;
    std::map<std::string, Entry> entries_;
};

} // namespace hasp::maint

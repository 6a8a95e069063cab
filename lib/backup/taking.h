// How a backup is taken: the parts of take().
#pragma once

#include "backup/take.h"
#include "sync/disk.h"

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>

namespace hasp::backup {

class Taking {
  public:
    Taking(const Wish& wish, Repository& repository, sync::Disk& state)
        : wish_(wish), repository_(repository), state_(state) {}

    // What the newest backup has of each path.
    Status remember();
    // True: nothing that is needed was removed meanwhile.
    Result<bool> round(const Head& head);
    Taken& taken() { return taken_; }

  private:
    Status databases();
    Status contents();
    Status folder(const std::string& path); // what is in it, and so on down
    Status entry(const std::string& path, const sync::FileStat& stat);
    Status file(const std::string& path, const sync::FileStat& stat);
    Status database_of_app(Item item);
    Result<bool> copy_with_journal(const std::string& path, const std::string& to);
    // The chunks of what `from` has up to item.size, of which `have` are known already. With
    // `torn`, one that cannot be read is zeros, and torn is set.
    Status chunks(sync::ReadFile& from, Item& item, std::size_t have, bool* torn = nullptr);
    static bool ends_as_known(sync::ReadFile& from, const Item& item, std::uint64_t size);
    Status add(Item item);
    void leave(const std::string& path, const std::string& why);
    Item item_of(const std::string& path, const sync::FileStat& stat, ItemKind kind) const;
    std::vector<std::string> removable(); // what is in place and may go meanwhile
    void said();

    const Wish& wish_;
    Repository& repository_;
    sync::Disk& state_;
    std::unordered_map<std::string, Item> before_;
    Taken taken_;
    bool removed_ = false; // something that is needed
    // Contents that this round's database names, and that are not there; and the round before's:
    // what is in both was not removed meanwhile, it is lost.
    std::set<std::string> missing_;
    std::set<std::string> missing_before_;
    unsigned copies_ = 0;
};

} // namespace hasp::backup

// The realm that every run begins with, set up once in a program: a center, the locals tokyo and
// osaka below it, three accounts, two apps that come and go, and one (notes) that keeps users'
// files and stays. A run gets copies of its disks and files.
#pragma once

#include "disk.h"
#include "maint/config.h"

#include <memory>
#include <string>
#include <vector>

namespace hasp::sim {

struct RealmMachine {
    std::string name;
    std::string parent; // empty: the top
    std::string files;  // its real files
    std::unique_ptr<Disk> disk;
};

struct RealmAccount {
    std::string name;
    std::string home;
    std::string password;
    std::vector<std::string> apps;
};

class Realm {
  public:
    // Made at the first call.
    static const Realm& get();
    ~Realm();

    const std::vector<RealmMachine>& machines() const { return machines_; }
    static const std::vector<RealmAccount>& accounts();
    static const std::vector<std::string>& apps(); // those that come and go
    // A config in which a run of simulated minutes costs no seconds.
    static maint::Config config();
    // The machine's real files, copied into a folder of this run's own. One run at a time.
    std::string fresh_files(const std::string& machine) const;

  private:
    Realm();
    std::string root_;
    std::vector<RealmMachine> machines_;
};

} // namespace hasp::sim

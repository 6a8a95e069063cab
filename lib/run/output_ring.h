// The last output of an instance: bounded, in memory, now and then on disk. Private; one thread.
#pragma once

#include "run/spawner.h"

#include <string>
#include <string_view>

namespace hasp::run {

class OutputRing {
  public:
    void add(std::string_view bytes);
    // The last `count` lines; control characters but tabs and line ends are replaced, since they go
    // to terminals and pages.
    std::string last_lines(int count) const;
    // Replaces the file by what is held, when something came since. Losing it in a crash is no
    // harm: no fsync.
    void save(const std::string& path);
    bool dirty() const { return dirty_; }
    const std::string& bytes() const { return bytes_; }

  private:
    std::string bytes_;
    bool dirty_ = false;
};

} // namespace hasp::run

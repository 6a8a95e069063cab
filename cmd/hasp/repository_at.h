// A folder with backups, as commands open it; and the line that says how far long work is.
#pragma once

#include "backup/repository.h"
#include "base/clock.h"
#include "command.h"

#include <memory>
#include <string>

namespace hasp::cmd {

struct RepositoryAt {
    Fd lock;
    std::unique_ptr<sync::Disk> disk;
    std::unique_ptr<backup::Repository> repository;
};
// Code::conflict: another process has the lock.
Result<RepositoryAt> repository_at(const std::string& folder, backup::Repository::Open how,
                                   backup::Share share);

// On a terminal alone, at most five times a second.
class Drawn {
  public:
    Drawn(Env& env, const Args& args)
        : env_(env), wanted_(env.err_is_tty && !args.quiet() && !args.json()) {}
    template <typename Text>
    void show(const Text& text) {
        if (const std::int64_t now = env_.clock.boot_us(); wanted_ && now - at_us_ >= every_us) {
            at_us_ = now;
            env_.err("\r\033[K" + text());
        }
    }
    void end() {
        if (wanted_ && at_us_ != 0) {
            env_.err("\r\033[K");
        }
    }

  private:
    static constexpr std::int64_t every_us = 200'000;
    Env& env_;
    bool wanted_;
    std::int64_t at_us_ = 0;
};

} // namespace hasp::cmd

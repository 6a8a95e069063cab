// A tier's virus check: a scanner, what it is not asked twice, and what happens while it is gone.
// Users' files are looked at where their home is, before they count (files_scan.cpp), releases
// before they are put in place.
//
// Any thread. check() blocks until the scanner's time limit: worker threads only.
#pragma once

#include "base/log.h"
#include "maint/config.h"
#include "maint/release_store.h"
#include "sync/codec.h"
#include "virus_scanner.h"

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

namespace hasp::maint {

// What was found out and is not asked again, for so long; beyond the number all is forgotten.
inline constexpr std::size_t scan_known_max = 100'000;
inline constexpr std::int64_t scan_known_us = hour_us;
// Of contents that the scanner could not look at.
inline constexpr std::int64_t scan_unknown_us = 60 * second_us;
// How long a scanner that is gone is not asked, so that nothing waits for it over and over.
inline constexpr std::int64_t scan_gone_us = 5 * second_us;
// How often it is asked for the version of its signatures.
inline constexpr std::int64_t scan_version_every_us = 60 * second_us;

class VirusCheck {
  public:
    struct Rules {
        bool closed = false;         // what was not looked at does not count; else it does
        std::uint64_t bytes_max = 0; // larger contents count, and nobody looks at them
    };
    // `clock` and `log` must outlive it.
    VirusCheck(std::unique_ptr<VirusScanner> scanner, Rules rules, const Clock& clock,
               const Log& log);
    // Nothing: the config names no scanner.
    static std::shared_ptr<VirusCheck> of(const Config& config, const Clock& clock, const Log& log);

    const Rules& rules() const { return rules_; }
    // What is known of a content without asking. `owner`: whose it is; nobody learns from it what
    // others have.
    std::optional<ScanVerdict> known(const std::string& owner, const std::string& hash);
    ScanVerdict check(const std::string& owner, const std::string& hash, const sync::Pull& content);
    // Contents that count though nobody looked at them.
    void let_by(std::uint64_t contents);

    // Of a release whose files lie in `tree`: refused, with the file and what was found; try_later:
    // it has to wait for the scanner, or this was stopped.
    Status check_release(const std::string& tree, const Release& release);

    struct State {
        std::string scanner;
        std::string version;
        std::string problem;       // why it is gone; empty: it is there, or was not asked yet
        std::int64_t since_us = 0; // wall clock: it is gone
        std::uint64_t scanned = 0; // contents, since the start
        std::uint64_t infected = 0;
        std::uint64_t let_by = 0;
    };
    State state() const;
    // What is under way ends soon. Nothing is checked after it, and nothing counts or is put in
    // place for that, whatever the rules.
    void stop();
    bool stopped() const { return stopped_; }

  private:
    struct Known {
        ScanVerdict verdict;
        std::int64_t until_us = 0; // boot clock
    };
    void refresh_version();
    void gone(const std::string& why);
    void back();

    const std::unique_ptr<VirusScanner> scanner_;
    const Rules rules_;
    const Clock& clock_;
    const Log& log_;
    std::atomic<bool> stopped_ = false;
    mutable std::mutex mutex_;                                   // of all below
    std::map<std::pair<std::string, std::string>, Known> known_; // owner, hash
    State state_;
    std::int64_t gone_until_us_ = 0;    // boot clock
    std::int64_t version_until_us_ = 0; // boot clock
};

} // namespace hasp::maint

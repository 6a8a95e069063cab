// Something that says whether a content is infected: a daemon of ClamAV (virus_clamd.cpp), or a
// program of the operator's (virus_command.cpp).
//
// Any thread, several calls at once. Each blocks until its time limit at most, and until stop():
// worker threads only. Memory is bounded, whatever the content's size and whatever comes back.
#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "sync/codec.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::maint {

inline constexpr std::size_t scan_answer_bytes_max = 4'096;
inline constexpr std::size_t scan_words_bytes_max = 200; // of what a scanner says, in messages
inline constexpr std::size_t scan_chunk_bytes = std::size_t{64} * 1024;
// Of a question that brings no content.
inline constexpr std::int64_t scan_version_us_max = 5'000'000;

struct ScanVerdict {
    enum class Kind : unsigned char { clean, infected, unknown };
    Kind kind = Kind::unknown;
    // infected: as the scanner calls it, a sync::valid_virus_name(); unknown: why.
    std::string text;
    bool gone = false; // unknown: whatever the content, the scanner would not have looked at it

    static ScanVerdict clean() { return {Kind::clean, "", false}; }
    static ScanVerdict infected(std::string_view name);
    static ScanVerdict unknown(std::string why) { return {Kind::unknown, std::move(why), false}; }
    static ScanVerdict unreachable(std::string why) {
        return {Kind::unknown, std::move(why), true};
    }
};

class VirusScanner {
  public:
    virtual ~VirusScanner() = default;
    // `content` gives 0 at its end. An error of it is unknown.
    virtual ScanVerdict scan(const sync::Pull& content) = 0;
    // Of its signatures: what was found out with another one is not known with this. "": it says
    // none. An error: it is gone.
    virtual Result<std::string> version() = 0;
    virtual std::string name() const = 0; // for messages
    // What is under way ends soon, as unknown, and nothing else begins.
    virtual void stop() = 0;
};

// `address` is "unix:/PATH" or HOST:PORT. HOST is looked up as the system does, which has no limit
// of ours.
std::unique_ptr<VirusScanner> make_clamd(std::string address, std::int64_t limit_us,
                                         const Clock& clock);
bool valid_clamd_address(std::string_view text);

// `arguments` are run without a shell, the first is the program's path. The content is on its
// standard input. Ends with 0: clean, 1: infected, its first line is the name; else unknown. At the
// limit, and when it has ended, its process group is killed.
std::unique_ptr<VirusScanner> make_scan_command(std::vector<std::string> arguments,
                                                std::int64_t limit_us, const Clock& clock);

// clamd's answer to INSTREAM, without its closing NUL. What is none of clamd's is unreachable.
ScanVerdict parse_clamd_answer(std::string_view answer);
// For messages: printable ASCII, scan_words_bytes_max at most.
std::string scan_words(std::string_view text);
// The name in "WHAT: NAME FOUND", which scanners print; else the line. Cleaned and cut to what may
// be one.
std::string virus_name_in(std::string_view line);

} // namespace hasp::maint

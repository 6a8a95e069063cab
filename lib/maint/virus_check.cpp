#include "virus_check.h"

#include "base/fd.h"
#include "base/text.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace hasp::maint {

namespace {

constexpr const char* stopping_words = "the virus check ends, as hasp does";

sync::Pull pull_from_fd(int fd) {
    return [fd](std::span<char> into) -> Result<std::size_t> {
        for (;;) {
            const ssize_t got = ::read(fd, into.data(), into.size());
            if (got >= 0) {
                return static_cast<std::size_t>(got);
            }
            if (errno != EINTR) {
                return errno_error(errno, "it cannot be read");
            }
        }
    };
}

} // namespace

VirusCheck::VirusCheck(std::unique_ptr<VirusScanner> scanner, Rules rules, const Clock& clock,
                       const Log& log)
    : scanner_(std::move(scanner)), rules_(rules), clock_(clock), log_(log) {
    state_.scanner = scanner_->name();
}

std::shared_ptr<VirusCheck> VirusCheck::of(const Config& config, const Clock& clock,
                                           const Log& log) {
    const Config::Scan& scan = config.scan;
    const std::int64_t limit_us = scan.timeout_s * second_us;
    std::unique_ptr<VirusScanner> scanner;
    if (!scan.clamd.empty()) {
        scanner = make_clamd(scan.clamd, limit_us, clock);
    } else if (!scan.command.empty()) {
        scanner = make_scan_command(scan.command, limit_us, clock);
    } else {
        return nullptr;
    }
    const Rules rules{scan.when_gone == Config::WhenGone::closed,
                      static_cast<std::uint64_t>(scan.size_max_mib) << 20U};
    return std::make_shared<VirusCheck>(std::move(scanner), rules, clock, log);
}

std::optional<ScanVerdict> VirusCheck::known(const std::string& owner, const std::string& hash) {
    const std::lock_guard lock(mutex_);
    const auto found = known_.find({owner, hash});
    if (found == known_.end() || found->second.until_us <= clock_.boot_us()) {
        return std::nullopt;
    }
    return found->second.verdict;
}

// Another version of the signatures may find what the last one did not, and the other way round.
void VirusCheck::refresh_version() {
    {
        const std::lock_guard lock(mutex_);
        const std::int64_t now = clock_.boot_us();
        if (now < version_until_us_) {
            return;
        }
        version_until_us_ = now + scan_version_every_us;
    }
    const Result<std::string> version = scanner_->version();
    const std::lock_guard lock(mutex_);
    if (!version.ok()) {
        version_until_us_ = 0; // the scan says what is the matter
    } else if (*version != state_.version) {
        known_.clear();
        state_.version = *version;
    }
}

ScanVerdict VirusCheck::check(const std::string& owner, const std::string& hash,
                              const sync::Pull& content) {
    if (stopped_) {
        return ScanVerdict::unreachable(stopping_words);
    }
    {
        const std::lock_guard lock(mutex_);
        if (clock_.boot_us() < gone_until_us_) {
            return ScanVerdict::unreachable(state_.problem);
        }
    }
    refresh_version();
    if (auto before = known(owner, hash)) {
        return *before;
    }
    ScanVerdict verdict = scanner_->scan(content);
    if (stopped_ && verdict.kind == ScanVerdict::Kind::unknown) {
        return ScanVerdict::unreachable(stopping_words); // it says nothing of the scanner
    }
    if (verdict.gone) {
        gone(verdict.text);
        return verdict;
    }
    back();
    const std::lock_guard lock(mutex_);
    const bool unknown = verdict.kind == ScanVerdict::Kind::unknown;
    state_.scanned += unknown ? 0 : 1;
    state_.infected += verdict.kind == ScanVerdict::Kind::infected ? 1 : 0;
    if (known_.size() >= scan_known_max) {
        known_.clear();
    }
    known_[{owner, hash}] = {verdict,
                             clock_.boot_us() + (unknown ? scan_unknown_us : scan_known_us)};
    return verdict;
}

void VirusCheck::gone(const std::string& why) {
    bool news = false;
    {
        const std::lock_guard lock(mutex_);
        news = state_.problem.empty();
        state_.problem = why.empty() ? "it does not answer" : why;
        state_.since_us = news ? clock_.wall_us() : state_.since_us;
        gone_until_us_ = clock_.boot_us() + scan_gone_us;
        version_until_us_ = 0;
    }
    if (news) {
        log_.error("scan.gone", scanner_->name() + ": " + why +
                                    (rules_.closed ? "; what is new waits for it"
                                                   : "; what is new counts without it"));
    }
}

void VirusCheck::back() {
    bool news = false;
    {
        const std::lock_guard lock(mutex_);
        news = !state_.problem.empty();
        state_.problem.clear();
        state_.since_us = 0;
        gone_until_us_ = 0;
    }
    if (news) {
        log_.info("scan.back", scanner_->name() + " looks at contents again");
    }
}

void VirusCheck::stop() {
    stopped_ = true;
    scanner_->stop();
}

void VirusCheck::let_by(std::uint64_t contents) {
    const std::lock_guard lock(mutex_);
    state_.let_by += contents;
}

VirusCheck::State VirusCheck::state() const {
    const std::lock_guard lock(mutex_);
    return state_;
}

Status VirusCheck::check_release(const std::string& tree, const Release& release) {
    for (const ReleaseFile& file : release.files) {
        if (file.mode == FileMode::symlink || file.size == 0) {
            continue;
        }
        if (file.size > rules_.bytes_max) {
            let_by(1);
            continue;
        }
        const Fd fd(::open((tree + "/" + file.path).c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
        if (!fd) {
            return errno_error(errno, "cannot open " + percent_encode(file.path));
        }
        const ScanVerdict said = check("", file.sha256, pull_from_fd(fd.get()));
        const std::string name =
            percent_encode(file.path) + " in the release of '" + release.app + "'";
        if (said.kind == ScanVerdict::Kind::infected) {
            return fail(Code::refused, name + " is infected: " + said.text,
                        "nothing of it was put in place; if the scanner is wrong, its operator can "
                        "tell it so");
        }
        if (said.kind == ScanVerdict::Kind::unknown && stopped_) {
            return fail(Code::try_later, name + " was not looked at: " + stopping_words,
                        "nothing of it was put in place; try again once hasp runs");
        }
        if (said.kind == ScanVerdict::Kind::unknown && rules_.closed) {
            return fail(Code::try_later,
                        name + " cannot be looked at by the virus scanner: " + said.text,
                        "let " + scanner_->name() +
                            " run again, and try again; [scan] when_gone = \"open\" in hasp.toml "
                            "goes on without it");
        }
        if (said.kind == ScanVerdict::Kind::unknown) {
            let_by(1);
        }
    }
    return {};
}

} // namespace hasp::maint

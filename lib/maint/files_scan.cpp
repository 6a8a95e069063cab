// Files: what a batch brings that is new is looked at by the tier's virus check, away from all
// other work of the home, before the batch counts.
//
//   received → its new contents in the plain, in a file → looked at, a piece at a time
//            → the batch counts, but for what is infected or has to wait
//
// The asker waits meanwhile, as for any long work of a home; other batches, answers and rounds go
// on. A piece is about a second of work, so that many batches get on beside one another; contents
// that are large have a line of their own.
#include "base/text.h"
#include "files_parts.h"
#include "sync/chunks.h"

#include <algorithm>

namespace hasp::maint {

namespace {

constexpr std::uint64_t small_bytes_max = std::uint64_t{4} << 20;
constexpr std::int64_t piece_us = second_us;

sync::Pull part_of(sync::ReadFile& file, const sync::ToScan::Part& part) {
    return [&file, at = part.at, left = part.bytes](std::span<char> into) mutable {
        auto got = file.read(at, into.first(std::min<std::uint64_t>(into.size(), left)));
        if (got.ok()) {
            at += *got;
            left -= *got;
        }
        return got;
    };
}

} // namespace

Json refused_json(const sync::FolderStatus& status) {
    Json out = Json::array();
    for (const sync::RefusedFile& one : status.refused) {
        out.push_back({{"path", one.path},
                       {"size", one.size},
                       {"found", one.found},
                       {"since", rfc3339(one.since_us)}});
    }
    return out;
}

void Files::find_new(Serving& serving) {
    if (world_.virus == nullptr || serving.total == 0) {
        return;
    }
    VirusCheck& virus = *world_.virus;
    const VirusCheck::Rules& rules = virus.rules();
    sync::Scanned scanned{{}, {}, !rules.closed, rules.bytes_max};
    serving.to_scan =
        engine_->home->to_scan(serving.question(), rules.bytes_max, [&](const std::string& hash) {
            const auto before = virus.known(serving.folder.user, hash);
            if (before && before->kind != ScanVerdict::Kind::unknown) {
                scanned.found[hash] = before->text;
            } else if (before) {
                scanned.unknown.insert(hash);
                serving.why = before->text;
            }
            return before.has_value();
        });
    serving.scanned = std::move(scanned);
    if (serving.to_scan.ok()) {
        serving.large = std::any_of(
            serving.to_scan->parts.begin(), serving.to_scan->parts.end(),
            [](const sync::ToScan::Part& part) { return part.bytes > small_bytes_max; });
    }
}

void Files::scan(const ServingPtr& serving) {
    if (scans_ >= scans_max) {
        serving->exchanged =
            fail(Code::try_later, "too many changes wait for the virus scanner of their home");
        home_work_.run(
            [this, serving] {
                [[maybe_unused]] const Status gone = world_.disk->remove(serving->to_scan->file);
            },
            [this, serving] { served(serving); });
        return;
    }
    ++scans_;
    scan_some(serving, false);
}

void Files::scan_some(const ServingPtr& serving, bool large) {
    (large ? scan_large_ : scan_small_)
        .run([this, serving, large] { scan_piece(*serving, large); },
             [this, serving, large] {
                 if (serving->next < serving->to_scan->parts.size()) {
                     scan_some(serving, large); // behind those that came meanwhile
                 } else if (!large && serving->large) {
                     serving->next = 0;
                     scan_some(serving, true);
                 } else {
                     scanned(serving);
                 }
             });
}

void Files::scan_piece(Serving& serving, bool large) const {
    const std::vector<sync::ToScan::Part>& parts = serving.to_scan->parts;
    auto file = world_.disk->open(serving.to_scan->file);
    const std::int64_t until_us = world_.clock.boot_us() + piece_us;
    while (serving.next < parts.size()) {
        const sync::ToScan::Part& part = parts[serving.next++];
        if ((part.bytes > small_bytes_max) != large) {
            continue;
        }
        const ScanVerdict said =
            file.ok() ? world_.virus->check(serving.folder.user, part.hash, part_of(**file, part))
                      : ScanVerdict::unknown(file.error().message);
        if (said.kind == ScanVerdict::Kind::unknown) {
            serving.scanned->unknown.insert(part.hash);
            serving.why = said.text;
        } else {
            serving.scanned->found[part.hash] =
                said.kind == ScanVerdict::Kind::infected ? said.text : "";
        }
        if (world_.clock.boot_us() >= until_us) {
            return;
        }
    }
}

void Files::scanned(const ServingPtr& serving) {
    --scans_;
    if (world_.virus->stopped()) {
        serving->scanned->unknown.clear(); // they are looked at after the start
    }
    home_work_.run(
        [this, serving] {
            exchange(*serving);
            [[maybe_unused]] const Status gone = world_.disk->remove(serving->to_scan->file);
        },
        [this, serving] { served(serving); });
}

void Files::tell_unscanned(const Serving& serving) const {
    if (!serving.exchanged || !serving.scanned || serving.scanned->unknown.empty()) {
        return;
    }
    const std::uint64_t files = serving.scanned->unknown.size();
    const bool open = serving.scanned->lets_by;
    if (open && !serving.exchanged->ok()) {
        return; // none of them counts yet
    }
    if (open) {
        world_.virus->let_by(files);
    }
    world_.log.warn("files.unscanned",
                    std::string("files could not be looked at by the virus scanner, and ") +
                        (open ? "count all the same: " : "wait for it: ") + serving.why,
                    {{"user", serving.folder.user},
                     {"app", serving.folder.app},
                     {"files", std::to_string(files)}});
}

Files::InQuarantine Files::look_at_quarantine() {
    InQuarantine out;
    auto count = engine_->home->quarantine_count();
    out.count = count.ok() ? *count : sync::Home::QuarantineCount{};
    if (out.count.infected + out.count.waiting > 0) {
        auto list = engine_->home->quarantine(quarantine_listed_max);
        out.files = list.ok() ? *std::move(list) : std::vector<sync::Quarantined>{};
    }
    return out;
}

void Files::tell_held(const std::vector<sync::Quarantined>& held) const {
    for (const sync::Quarantined& one : held) {
        if (!one.found.empty()) {
            world_.log.error("files.infected",
                             "a file of " + one.user + " is infected (" + one.found +
                                 ") and in quarantine: hasp sync quarantine",
                             {{"user", one.user},
                              {"app", one.app},
                              {"path", one.path},
                              {"found", one.found},
                              {"by", one.who}});
        }
    }
}

Json Files::quarantine() const {
    const InQuarantine& now = in_quarantine_;
    if (now.count.infected + now.count.waiting == 0) {
        return {};
    }
    Json files = Json::array();
    for (const sync::Quarantined& one : now.files) {
        files.push_back({{"id", one.id},
                         {"user", one.user},
                         {"app", one.app},
                         {"path", one.path},
                         {"size", one.entry.size},
                         {sync::named_by_chunks(one.entry.hash) ? "chunks_name" : "sha256",
                          to_hex(one.entry.hash)},
                         {"found", one.found},
                         {"by", one.who},
                         {"at", rfc3339(one.at_us)}});
    }
    return {{"infected", now.count.infected},
            {"waiting", now.count.waiting},
            {"files", std::move(files)}};
}

void Files::quarantine(const QuarantineWish& wish, const AnswerJson& answer) {
    if (engine_ == nullptr) {
        answer(not_opened());
        return;
    }
    struct Done {
        Status status;
        std::vector<sync::Home::Beside> changed;
        InQuarantine now;
    };
    auto done = std::make_shared<Done>();
    home_work_.run(
        [this, done, wish] {
            if (wish.release != 0) {
                auto released = engine_->home->release_quarantined(wish.release);
                if (released.ok()) {
                    done->changed = *std::move(released);
                } else {
                    done->status = released.error();
                }
            }
            if (wish.remove != 0 && done->status.ok()) {
                done->status = engine_->home->delete_quarantined(wish.remove);
            }
            done->now = look_at_quarantine();
        },
        [this, done, answer] {
            in_quarantine_ = std::move(done->now);
            for (const sync::Home::Beside& one : done->changed) {
                changed_here(one.folder, one.revision);
            }
            Json now = quarantine();
            answer(!done->status.ok() ? Result<Json>(done->status.error())
                   : now.is_null()    ? Result<Json>(Json{
                                         {"infected", 0}, {"waiting", 0}, {"files", Json::array()}})
                                      : Result<Json>(std::move(now)));
        });
}

std::vector<Files::HeldFile> Files::held_files(const std::string& user) const {
    std::map<std::pair<std::string, std::string>, std::string> found;
    for (const sync::Quarantined& one : in_quarantine_.files) {
        if (one.user == user) {
            found[{one.app, one.path}] = one.found;
        }
    }
    for (const auto& [id, held] : folders_) {
        if (id.user == user) {
            for (const sync::RefusedFile& one : held->status.refused) {
                found[{id.app, one.path}] = one.found;
            }
        }
    }
    std::vector<HeldFile> out;
    for (const auto& [where, what] : found) {
        out.push_back({where.first, where.second, what});
    }
    return out;
}

} // namespace hasp::maint

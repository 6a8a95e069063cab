// Home: contents that a scanner has to look at, and those that do not count.
#include "base/clock.h"
#include "home_parts.h"
#include "home_store.h"
#include "quarantine_store.h"
#include "sync/home.h"

#include <algorithm>

namespace hasp::sync {

namespace {
constexpr std::size_t quarantine_step = 100;
constexpr std::size_t copied_at_once_bytes = std::size_t{64} * 1024;

Error no_such(std::int64_t id) {
    return fail(Code::not_found, "nothing in quarantine has the number " + std::to_string(id),
                "`hasp sync quarantine` lists what there is");
}
} // namespace

// What the user's files have already was looked at when it came, or came before there was a
// scanner.
Result<bool> Home::is_new(const std::string& user, const std::string& hash,
                          const std::optional<Quarantined>& known) {
    if (known) {
        return !known->released && known->found.empty();
    }
    return contents_.staged(user, hash);
}

// As it is and not as the batch says: that is how a large one would pass for none.
Result<std::uint64_t> Home::content_bytes(const std::string& user, const std::string& hash) {
    auto content = contents_.read(user, hash);
    auto stat = content ? (*content)->stat() : Result<FileStat>(content.error());
    return stat ? Result<std::uint64_t>(stat->size) : stat.error();
}

Status Home::copy_to_scan(const std::string& user, const std::string& hash, WriteFile& out,
                          ToScan& parts) {
    auto content = contents_.read(user, hash);
    if (!content) {
        return content.error();
    }
    const std::uint64_t at =
        parts.parts.empty() ? 0 : parts.parts.back().at + parts.parts.back().bytes;
    std::string buffer(copied_at_once_bytes, '\0');
    std::uint64_t bytes = 0;
    for (;;) {
        auto got = (*content)->read(bytes, buffer);
        if (!got) {
            return got.error();
        }
        if (*got == 0) {
            break;
        }
        if (Status put = out.write(std::string_view(buffer).substr(0, *got)); !put) {
            return put;
        }
        bytes += *got;
    }
    parts.parts.push_back({hash, at, bytes});
    return {};
}

Result<ToScan> Home::to_scan(const Question& question, std::uint64_t bytes_max,
                             const std::function<bool(const std::string& hash)>& known) {
    ToScan out;
    if (question.batch.empty()) {
        return out;
    }
    auto taken = store_->batch(question.folder, question.batch);
    if (!taken || *taken) {
        return taken ? Result<ToScan>(out) : taken.error();
    }
    Question plain = question;
    plain.scanned.reset();
    auto pushed = stage(plain);
    if (!pushed) {
        contents_.drop_staged();
        return pushed.error().code == Code::refused ? Result<ToScan>(std::move(out))
                                                    : pushed.error();
    }
    const std::string& user = question.folder.user;
    std::set<std::string> seen;
    std::unique_ptr<WriteFile> file;
    Status done;
    for (const Pushed& one : *pushed) {
        const std::string& hash = one.record.entry.hash;
        if (!one.content_there || one.record.type != Record::Type::put ||
            one.record.entry.kind != FileKind::file || !seen.insert(hash).second || known(hash)) {
            continue;
        }
        auto row = quarantine_->of(user, hash);
        auto fresh = row ? is_new(user, hash, *row) : Result<bool>(row.error());
        auto bytes = fresh && *fresh ? content_bytes(user, hash) : Result<std::uint64_t>(0);
        if (!fresh || !bytes) {
            done = fresh ? bytes.error() : fresh.error();
            break;
        }
        if (*bytes == 0 || *bytes > bytes_max) {
            continue;
        }
        if (file == nullptr) {
            out.file = std::string(home_temporary) + "/scan" + std::to_string(next_++);
            auto made = disk_.create(out.file, 0600, {});
            if (!made) {
                done = made.error();
                break;
            }
            file = *std::move(made);
        }
        if (done = copy_to_scan(user, hash, *file, out); !done) {
            break;
        }
    }
    contents_.drop_staged();
    if (!done && !out.file.empty()) {
        file.reset();
        [[maybe_unused]] const Status gone = disk_.remove(out.file);
    }
    return done ? Result<ToScan>(std::move(out)) : done.error();
}

void Home::hold(Pushed& pushed, Verdict verdict, const std::string& found) {
    pushed.held = verdict;
    pushed.found = verdict != Verdict::infected || valid_virus_name(found) ? found : "unnamed";
    pushed.content_there = false;
}

// Of a put whose content is here.
Status Home::hold_back(const Question& question, Pushed& pushed) {
    const std::string& user = question.folder.user;
    const std::string& hash = pushed.record.entry.hash;
    auto none = quarantine_->empty(user);
    auto row = none && !*none ? quarantine_->of(user, hash)
                              : Result<std::optional<Quarantined>>(std::nullopt);
    if (!none || !row) {
        return none ? row.error() : none.error();
    }
    if (*row && !(*row)->released && !(*row)->found.empty()) {
        hold(pushed, Verdict::infected, (*row)->found);
        return {};
    }
    auto fresh = question.scanned ? is_new(user, hash, *row) : Result<bool>(false);
    if (!fresh || !*fresh) {
        return fresh ? Status{} : Status(fresh.error());
    }
    const auto said = question.scanned->found.find(hash);
    if (said != question.scanned->found.end()) {
        if (!said->second.empty()) {
            hold(pushed, Verdict::infected, said->second);
        }
        return {};
    }
    auto bytes = content_bytes(user, hash);
    if (!bytes || *bytes == 0 || *bytes > question.scanned->bytes_max) {
        return bytes ? Status{} : Status(bytes.error());
    }
    if (!question.scanned->unknown.contains(hash)) {
        return fail(Code::try_later,
                    "a batch of " + user + "'s files has other contents than were looked at",
                    "it is looked at again, and nothing is lost");
    }
    if (!question.scanned->lets_by) {
        hold(pushed, Verdict::waits, "");
    }
    return {};
}

// In the transaction of the batch: what is held has its row before contents are recorded, so that
// they stay.
Status Home::note_held(const Question& question, std::vector<Pushed>& pushed) {
    const FolderId& folder = question.folder;
    auto none = quarantine_->empty(folder.user);
    const auto is_held = [](const Pushed& one) { return one.held.has_value(); };
    if (!none || (*none && std::none_of(pushed.begin(), pushed.end(), is_held))) {
        return none ? Status{} : Status(none.error());
    }
    for (Pushed& one : pushed) {
        if (one.record.type != Record::Type::put || one.record.entry.kind != FileKind::file ||
            (!one.held && !one.content_there)) {
            continue;
        }
        if (!one.held) {
            if (Status gone = quarantine_->drop_waiting(folder.user, one.record.entry.hash);
                !gone) {
                return gone;
            }
            continue;
        }
        auto row = store_->row(folder, one.record.path);
        if (!row) {
            return row.error();
        }
        one.stands = *row && (*row)->entry ? (*row)->revision : 0;
        if (!one.attributes_known && one.stands != 0 && (*row)->entry->kind == FileKind::file) {
            one.record.entry.attributes = (*row)->entry->attributes;
        }
        Quarantined held{0,         folder.user, folder.app,   one.record.path, one.record.entry,
                         one.found, false,       question.who, clock_.wall_us()};
        if (Status put = quarantine_->put(held); !put) {
            return put;
        }
        if (held_.size() < quarantine_told_max) {
            held_.push_back(std::move(held));
        }
    }
    return {};
}

Result<std::vector<Quarantined>> Home::quarantine(std::size_t max) {
    return quarantine_->list(max);
}

Result<Home::QuarantineCount> Home::quarantine_count() {
    auto count = quarantine_->count();
    return count ? Result<QuarantineCount>(QuarantineCount{count->infected, count->waiting})
                 : count.error();
}

// As a batch of its own, so that what came to stand there meanwhile is dealt with as ever.
Status Home::put_released(const Quarantined& one) {
    std::vector<Pushed> pushed(1);
    pushed[0].record.path = one.path;
    pushed[0].record.entry = one.entry;
    Taken taken;
    return decide({{one.user, one.app}, "quarantine/" + std::to_string(one.id), {}, one.who},
                  pushed, taken);
}

// All that the user has of the content, in one transaction: what is released and was not put
// would be gone from the list, and nobody would send it again.
Result<std::vector<Home::Beside>> Home::release_quarantined(std::int64_t id) {
    auto transaction = store::Transaction::begin(store_->db());
    if (!transaction) {
        return transaction.error();
    }
    auto row = quarantine_->row(id);
    if (!row || !*row) {
        return row ? no_such(id) : row.error();
    }
    const std::string& user = (*row)->user;
    const std::string& hash = (*row)->entry.hash;
    auto twins = quarantine_->with(user, hash);
    auto there = twins ? contents_.has(user, hash) : Result<bool>(twins.error());
    if (!there) {
        return there.error();
    }
    if (!*there) {
        return fail(Code::refused, "the content in quarantine is damaged",
                    "`hasp sync quarantine --delete " + std::to_string(id) + "` removes it");
    }
    Status done = quarantine_->release(user, hash);
    std::map<FolderId, Revision> changed;
    for (const Quarantined& one : *twins) {
        if (!done) {
            break;
        }
        const FolderId folder{one.user, one.app};
        done = put_released(one);
        auto now = done ? store_->revision(folder) : Result<Revision>(done.error());
        if (now) {
            changed[folder] = *now;
        } else {
            done = now.error();
        }
    }
    if (!done) {
        contents_.drop_staged();
        return done.error();
    }
    if (Status committed = transaction->commit(); !committed) {
        contents_.commit_failed();
        return committed.error();
    }
    std::vector<Beside> out;
    for (const auto& [folder, revision] : changed) {
        out.push_back({folder, revision});
    }
    return out;
}

Status Home::delete_quarantined(std::int64_t id) {
    auto transaction = store::Transaction::begin(store_->db());
    if (!transaction) {
        return transaction.error();
    }
    auto row = quarantine_->row(id);
    if (!row || !*row) {
        return row ? no_such(id) : row.error();
    }
    Status gone = quarantine_->drop(id);
    gone = gone ? contents_.drop_unneeded((*row)->user, (*row)->entry.hash) : gone;
    return gone ? transaction->commit() : gone;
}

Result<bool> Home::drop_quarantined_some() {
    auto some =
        quarantine_->superfluous(clock_.wall_us() - quarantine_days * day_us, quarantine_step);
    if (!some || some->empty()) {
        return some ? Result<bool>(false) : some.error();
    }
    for (const Quarantined& one : *some) {
        if (Status gone = delete_quarantined(one.id); !gone) {
            return gone.error();
        }
    }
    return some->size() == quarantine_step;
}

} // namespace hasp::sync

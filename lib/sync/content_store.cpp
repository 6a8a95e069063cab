#include "sync/content_store.h"

#include "base/text.h"
#include "sealed.h"
#include "store/db.h"
#include "store/transaction.h"
#include "sync/chunks.h"
#include "trust/aead.h"
#include "trust/hash.h"

#include <algorithm>

namespace hasp::sync {

namespace {

constexpr std::size_t wrapped_bytes =
    trust::aead_nonce_bytes + trust::aead_key_bytes + trust::aead_tag_bytes;

std::string wrapping(const std::string& tenant, const std::string& user) {
    return "hasp user key/" + tenant + "/" + user;
}

// The tier's key, durable before anything is wrapped with it.
Result<std::string> make_tier_key(Disk& disk, Random& random, const std::string& temporary) {
    std::string key = random.bytes(trust::aead_key_bytes);
    std::string text = to_hex(key) + "\n";
    [[maybe_unused]] const Status old = disk.remove(temporary);
    auto made = disk.create(temporary, 0600, {});
    Status written = made ? (*made)->write(text) : Status(made.error());
    trust::wipe(text);
    written = written ? (*made)->sync() : written;
    written = written ? disk.rename(temporary, contents_key_file) : written;
    written = written ? disk.sync_folder("") : written;
    return written ? Result<std::string>(std::move(key)) : written.error();
}

bool unwrap(trust::Aead& aead, const std::string& tenant, const std::string& user,
            std::string_view wrapped, std::string& key) {
    return wrapped.size() == wrapped_bytes &&
           aead.open(wrapped.substr(0, trust::aead_nonce_bytes), wrapping(tenant, user),
                     wrapped.substr(trust::aead_nonce_bytes), key);
}

bool is_number(const std::string& name) {
    return !name.empty() && name.size() < 20 &&
           std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
}

} // namespace

ContentStore::ContentStore(store::Db& db, Disk& disk, Random& random, std::string tenant,
                           std::string temporary)
    : db_(db), disk_(disk), random_(random), tenant_(std::move(tenant)),
      temporary_(std::move(temporary)) {}
ContentStore::~ContentStore() {
    trust::wipe(key_);
}

std::string ContentStore::folder_of(std::uint64_t number) const {
    return std::string(contents_folder) + "/" + std::to_string(number / files_a_folder);
}
std::string ContentStore::path_of(std::uint64_t number) const {
    return content_path(number);
}

Status ContentStore::open() {
    if (Status fit = belong_together(); !fit) {
        return fit;
    }
    for (const char* folder : {contents_folder, temporary_.c_str()}) {
        if (Status made = make_folders(disk_, folder); !made) {
            return made;
        }
    }
    if (Status loaded = load_key(); !loaded) {
        return loaded;
    }
    const auto old = disk_.stat(legacy_folder);
    if (!old && old.error().code != Code::not_found) {
        return old.error();
    }
    if (Status made = store::done(db_.execute(
            "INSERT INTO content_state (tenant, next, segment, legacy, taken_user, taken_hash, "
            "scrub_user, scrub_hash, scrub_offset, scrub_began_us, scrub_ended_us, rule_user, "
            "rule_app, rule_path, rule_revision, rule_now_us, rule_ended_us) VALUES (?1, 1, 0, ?2, "
            "'', x'', '', x'', 0, 0, 0, '', '', x'', 0, 0, 0) ON CONFLICT DO NOTHING",
            tenant_, old.ok() ? 1 : 0));
        !made) {
        return made;
    }
    auto legacy = db_.first(
        "SELECT legacy FROM content_state WHERE tenant = ?1",
        [](const store::Statement& s) { return s.integer(0); }, tenant_);
    if (!legacy) {
        return legacy.error();
    }
    legacy_ = legacy->value_or(0) == 1;
    if (legacy_) { // again from the beginning: what could not be had may be there now
        if (Status begun = store::done(
                db_.execute("UPDATE content_state SET taken_user = '', taken_hash = x'' WHERE "
                            "tenant = ?1",
                            tenant_));
            !begun) {
            return begun;
        }
    }
    // What is deleted is overwritten: a key that is destroyed is nowhere in the file.
    if (Status set = db_.run_script("PRAGMA secure_delete = ON"); !set) {
        return set;
    }
    Status cleaned = clean();
    cleaned = cleaned ? leave_longer_segment() : cleaned;
    // Made by a life that may have ended before its name was durable.
    cleaned = cleaned ? disk_.sync_folder(contents_folder) : cleaned;
    return cleaned ? disk_.sync_folder("") : cleaned;
}

// An empty database would give all numbers out anew, and an empty folder is one whose disk is not
// there: neither says anything about the contents.
Status ContentStore::belong_together() {
    auto here = any_file();
    auto known = db_.first(
        "SELECT 1 FROM content_state WHERE tenant = ?1",
        [](const store::Statement&) { return true; }, tenant_);
    auto used = db_.first(
        "SELECT 1 FROM content_files WHERE tenant = ?1 AND bytes > 0 LIMIT 1",
        [](const store::Statement&) { return true; }, tenant_);
    if (!here || !known || !used) {
        return !here ? here.error() : !known ? known.error() : used.error();
    }
    if (*here && !*known) {
        return fail(Code::refused,
                    "contents/ holds users' files that files.db knows nothing of: it is new, or "
                    "another realm's",
                    "put back the files.db that belongs to them, or move contents/ away, to begin "
                    "anew");
    }
    if (!*here && *used) {
        return fail(Code::refused,
                    "files.db knows users' files whose contents should lie in contents/, and there "
                    "are none",
                    "mount the disk that they are on, or put contents/ back from a backup; if they "
                    "are lost, move files.db away, too, to begin anew with what tiers bring");
    }
    return {};
}

Result<bool> ContentStore::any_file() {
    auto folders = disk_.list(contents_folder);
    if (!folders) {
        return folders.error().code == Code::not_found ? Result<bool>(false) : folders.error();
    }
    for (const DirEntry& folder : *folders) {
        if (!is_number(folder.name)) {
            continue;
        }
        auto files = disk_.list(std::string(contents_folder) + "/" + folder.name);
        if (!files) {
            return files.error();
        }
        if (std::any_of(files->begin(), files->end(),
                        [](const DirEntry& file) { return is_number(file.name); })) {
            return true;
        }
    }
    return false;
}

// The key file is made once, with the first user's key.
Status ContentStore::load_key() {
    auto file = disk_.open(contents_key_file);
    if (file) {
        std::string text(2 * trust::aead_key_bytes + 1, '\0');
        auto got = (*file)->read(0, text);
        if (!got) {
            return got.error();
        }
        auto key = from_hex(std::string_view(text).substr(0, std::min(*got, text.size() - 1)));
        trust::wipe(text);
        if (!key || key->size() != trust::aead_key_bytes) {
            return fail(Code::refused, "the key of users' files, contents.key, is damaged",
                        "put it back from a backup");
        }
        key_ = *std::move(key);
        return key_fits();
    }
    if (file.error().code != Code::not_found) {
        return file.error();
    }
    auto used = db_.first(
        "SELECT 1 FROM content_keys WHERE tenant = ?1 LIMIT 1",
        [](const store::Statement&) { return true; }, tenant_);
    if (!used) {
        return used.error();
    }
    if (used->has_value()) {
        return fail(Code::refused,
                    "the key of users' files, contents.key, is missing: none of them can be read",
                    "put it back from a backup");
    }
    return {}; // it is made with the first user's
}

// Another key would make all contents unreadable, and wrap what comes now. One user's that alone
// does not open holds up nobody else.
Status ContentStore::key_fits() {
    trust::Aead aead(key_);
    std::uint64_t open = 0;
    std::uint64_t closed = 0;
    Status read = db_.each(
        "SELECT user, wrapped FROM content_keys WHERE tenant = ?1",
        [&](const store::Statement& s) {
            std::string key;
            ++(unwrap(aead, tenant_, s.text(0), s.blob(1), key) ? open : closed);
            trust::wipe(key);
        },
        tenant_);
    if (read && closed > open) {
        trust::wipe(key_);
        key_.clear();
        return fail(Code::refused,
                    "the key of users' files, contents.key, is not the one that they were kept "
                    "under",
                    "put back the contents.key that belongs to files.db");
    }
    return read;
}

// Files that a crash left: those that the database does not know yet, and those that it knows as
// gone. The former are set aside, since a newer database may know them.
Status ContentStore::clean() {
    auto next = db_.first(
        "SELECT next FROM content_state WHERE tenant = ?1",
        [](const store::Statement& s) { return s.integer(0); }, tenant_);
    if (!next) {
        return next.error();
    }
    const auto from = static_cast<std::uint64_t>(next->value_or(1));
    auto folders = disk_.list(contents_folder);
    if (!folders) {
        return folders.error();
    }
    for (const DirEntry& folder : *folders) {
        if (!is_number(folder.name) || std::stoull(folder.name) < from / files_a_folder) {
            continue;
        }
        auto files = disk_.list(std::string(contents_folder) + "/" + folder.name);
        if (!files) {
            return files.error();
        }
        const std::string path = std::string(contents_folder) + "/" + folder.name;
        bool moved = false;
        for (const DirEntry& file : *files) {
            if (is_number(file.name) && std::stoull(file.name) >= from) {
                if (Status aside = set_aside(path + "/" + file.name, file.name); !aside) {
                    return aside;
                }
                moved = true;
            }
        }
        Status synced = moved ? disk_.sync_folder(contents_lost_folder) : Status{};
        synced = synced && moved ? disk_.sync_folder(path) : synced;
        if (!synced) {
            return synced;
        }
    }
    return remove_gone();
}

// Never in the place of what was set aside before.
Status ContentStore::set_aside(const std::string& path, const std::string& name) {
    if (Status made = make_folders(disk_, contents_lost_folder); !made) {
        return made;
    }
    std::string to = std::string(contents_lost_folder) + "/" + name;
    for (int again = 1;; ++again) {
        auto there = disk_.stat(to);
        if (!there) {
            return there.error().code == Code::not_found ? disk_.rename(path, to)
                                                         : Status(there.error());
        }
        to = std::string(contents_lost_folder) + "/" + name + "." + std::to_string(again);
    }
}

// What is behind the end that the database knows may be what a newer one knows: no batch cuts it.
Status ContentStore::leave_longer_segment() {
    struct Segment {
        std::uint64_t number = 0;
        std::uint64_t bytes = 0;
    };
    auto segment = db_.first(
        "SELECT f.number, f.bytes FROM content_state s JOIN content_files f ON f.tenant = s.tenant "
        "AND f.number = s.segment WHERE s.tenant = ?1",
        [](const store::Statement& s) {
            return Segment{static_cast<std::uint64_t>(s.integer(0)),
                           static_cast<std::uint64_t>(s.integer(1))};
        },
        tenant_);
    if (!segment || !*segment) {
        return segment ? Status{} : Status(segment.error());
    }
    auto stat = disk_.stat(path_of((*segment)->number));
    return stat && stat->size > (*segment)->bytes
               ? store::done(
                     db_.execute("UPDATE content_state SET segment = 0 WHERE tenant = ?1", tenant_))
               : Status{};
}

Result<std::string> ContentStore::key_of(const std::string& user, bool make) {
    auto wrapped = db_.first(
        "SELECT wrapped FROM content_keys WHERE tenant = ?1 AND user = ?2",
        [](const store::Statement& s) { return s.blob(0); }, tenant_, user);
    if (!wrapped) {
        return wrapped.error();
    }
    if (key_.empty() && make) {
        auto made = make_tier_key(disk_, random_, temporary_ + "/key");
        if (!made) {
            return made.error();
        }
        key_ = *std::move(made);
    }
    if (key_.empty()) {
        return fail(Code::not_found, "there are no files of '" + user + "'");
    }
    trust::Aead aead(key_);
    if (*wrapped) {
        std::string key;
        if (!unwrap(aead, tenant_, user, **wrapped, key)) {
            // Not refused: nothing is said of the contents.
            return fail(Code::failed,
                        "the key of " + user + "'s files does not open with contents.key",
                        "put back the contents.key that belongs to files.db");
        }
        return key;
    }
    if (!make) {
        return fail(Code::not_found, "there are no files of '" + user + "'");
    }
    std::string key = random_.bytes(trust::aead_key_bytes);
    std::string made = random_.bytes(trust::aead_nonce_bytes);
    const std::string nonce = made;
    aead.seal(nonce, wrapping(tenant_, user), key, made);
    Status put = store::done(
        db_.execute("INSERT INTO content_keys (tenant, user, wrapped) VALUES (?1, ?2, ?3)", tenant_,
                    user, store::Blob{made}));
    return put ? Result<std::string>(std::move(key)) : put.error();
}

Result<Sealer*> ContentStore::sealer_of(const std::string& user) {
    if (sealer_ == nullptr || sealer_user_ != user) {
        auto key = key_of(user, true);
        if (!key) {
            return key.error();
        }
        sealer_ = std::make_unique<Sealer>(*key, random_);
        sealer_user_ = user;
        trust::wipe(*key);
    }
    return sealer_.get();
}

ContentStore::Place ContentStore::read_place(const store::Statement& s) {
    const auto number = [&s](int column) { return static_cast<std::uint64_t>(s.integer(column)); };
    return {number(0), number(1), number(2), number(3), s.truth(4), number(5)};
}

Result<std::optional<ContentStore::Place>> ContentStore::place(const std::string& user,
                                                               const std::string& hash) {
    return db_.first(
        "SELECT file, at, bytes, size, damaged, parts FROM contents WHERE tenant = ?1 AND "
        "user = ?2 AND hash = ?3",
        read_place, tenant_, user, store::Blob{hash});
}

Result<bool> ContentStore::has(const std::string& user, const std::string& hash) {
    if (!valid_content_name(hash)) {
        return false;
    }
    auto found = place(user, hash);
    if (!found) {
        return found.error();
    }
    if (*found || !legacy_) {
        return *found && !(*found)->damaged;
    }
    auto needed = wanted(user, hash);
    if (!needed || !*needed) {
        return needed;
    }
    auto stat = disk_.stat(legacy_path(hash));
    if (!stat && stat.error().code != Code::not_found) {
        return stat.error();
    }
    return stat.ok();
}

bool ContentStore::staged(const std::string& user, const std::string& hash) const {
    return staged_.contains({user, hash});
}

Result<std::unique_ptr<ReadFile>> ContentStore::read(const std::string& user,
                                                     const std::string& hash) {
    Place at;
    if (const auto one = staged_.find({user, hash}); one != staged_.end()) {
        if (Status written = flush(); !written) {
            return written.error();
        }
        at = one->second;
    } else {
        auto found = valid_content_name(hash) ? place(user, hash)
                                              : Result<std::optional<Place>>(std::nullopt);
        if (!found) {
            return found.error();
        }
        if (!*found) {
            auto needed = legacy_ ? wanted(user, hash) : Result<bool>(false);
            bool given = true;
            return needed && *needed ? read_legacy(hash, given)
                                     : fail(Code::not_found, "no such content of '" + user + "'");
        }
        at = **found;
    }
    if (at.damaged) {
        return fail(Code::refused,
                    "the stored content " + to_hex(hash) + " of " + user + " is damaged",
                    "it is taken again from a tier that has it, or restored from a backup");
    }
    return open_place(user, hash, at);
}

// refused: what is there is not what was kept. Everything else is failed: it may be there.
Result<std::unique_ptr<ReadFile>>
ContentStore::open_place(const std::string& user, const std::string& hash, const Place& at) {
    return at.parts != 0 ? open_composed({user, hash}, at)
                         : open_sealed_at(user, hash, at, stretches_at_hand);
}

Result<std::unique_ptr<ReadFile>> ContentStore::open_sealed_at(const std::string& user,
                                                               const std::string& hash,
                                                               const Place& at,
                                                               std::size_t at_hand) {
    auto key = key_of(user, false);
    if (!key) {
        return key.error();
    }
    auto file = disk_.open(path_of(at.file));
    auto out = file ? open_sealed(*std::move(file), {at.at, at.bytes, at.size}, *key, hash, at_hand,
                                  &unsealed_)
                    : Result<std::unique_ptr<ReadFile>>(
                          fail(Code::failed, "the stored content " + to_hex(hash) + " of " + user +
                                                 " cannot be read: " + file.error().message));
    trust::wipe(*key);
    return out;
}

} // namespace hasp::sync

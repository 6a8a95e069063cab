// Client: its parts in order, and what they leave to be read.
#include "sync/client.h"

#include "client_parts.h"
#include "client_store.h"

#include <algorithm>

namespace hasp::sync {

Client::Client(Disk& disk, const Clock& clock, Random& random, std::unique_ptr<ClientStore> store,
               SettleDatabase settle, std::unique_ptr<Bases> bases)
    : disk_(disk), clock_(clock), random_(random), store_(std::move(store)),
      reader_(std::make_unique<Reader>(disk, client_temporary, clock, std::move(settle))),
      bases_(std::move(bases)) {
    // Whoever changes such a file later makes the difference from its signature instead.
    bases_->tell_of_going(
        [this](const FolderId& folder, const std::string& hash, ReadFile& content) -> Status {
            auto stat = content.stat();
            if (!stat || stat->size < signature_worth_bytes) {
                return {};
            }
            auto made = signature(content);
            return made ? store_->put_signature(folder, hash, *made) : Status{};
        });
}
Client::~Client() = default;

Result<std::unique_ptr<Client>> Client::open(store::Db& db, Disk& disk, std::string tenant,
                                             const Clock& clock, Random& random,
                                             SettleDatabase settle) {
    auto store = std::make_unique<ClientStore>(db, std::move(tenant));
    if (Status migrated = store->migrate(); !migrated) {
        return migrated.error();
    }
    auto bases = std::make_unique<Bases>(db, disk, client_bases, store->tenant());
    for (const char* folder : {client_outgoing, client_answers, client_temporary}) {
        if (Status made = make_folders(disk, folder); !made) {
            return made.error();
        }
    }
    if (Status opened = bases->open(); !opened) {
        return opened.error();
    }
    // Half-made files of the last run; an answer that was not put in place is asked for again.
    for (const char* folder : {client_answers, client_temporary}) {
        auto left = disk.list(folder);
        for (const DirEntry& entry : left ? *left : std::vector<DirEntry>{}) {
            [[maybe_unused]] const Status gone =
                disk.remove(std::string(folder) + "/" + entry.name);
        }
    }
    auto noted = store->take_noted();
    if (!noted) {
        return noted.error();
    }
    std::unique_ptr<Client> client(
        new Client(disk, clock, random, std::move(store), std::move(settle), std::move(bases)));
    for (auto& [folder, paths] : *noted) {
        Attention& attention = client->attention(folder);
        attention.noted = std::move(paths);
        attention.carried_over = true;
    }
    return client;
}

Result<std::vector<FolderId>> Client::unsettled() {
    return store_->folders_placing();
}
Result<Client::Outgoing> Client::prepare(const WorkingFolder& folder, bool same_round) {
    auto pending = store_->batch(folder.id);
    if (!pending) {
        return pending.error();
    }
    auto row = store_->folder(folder.id);
    if (!row) {
        return row.error();
    }
    auto format = batch_format(folder.id);
    if (!format) {
        return format.error();
    }
    if (!same_round) {
        attention(folder.id).rest = {};
    }
    if (*pending) {
        auto file = disk_.stat(client_batch_path(folder.id));
        if (file && file->size == (*pending)->bytes) {
            auto operations = store_->operations(folder.id);
            if (!operations) {
                return operations.error();
            }
            Outgoing out{
                (*pending)->batch,    (*pending)->bytes, operations->size(), (*pending)->content,
                row->status.revision, row->whole,        (*pending)->more,   *format};
            out.resumed = true;
            out.after = asked_after(*row);
            out.met = row->met;
            out.reads = ask(folder.id);
            return out;
        }
        // Its bytes are gone: what it held is found again by looking.
        if (Status dropped = store_->drop_batch(folder.id); !dropped) {
            return dropped.error();
        }
    }
    auto rest = same_round ? rest_of_look(folder, *row)
                           : Result<std::optional<Look>>(std::optional<Look>());
    if (!rest) {
        return rest.error();
    }
    if (*rest) {
        // Between the parts of a look others are looked at, whose home may call contents otherwise.
        if (Status named = name_contents(folder.id); !named) {
            return named.error();
        }
        auto made = send_some(folder, **rest);
        // Where nothing is what it was then, another look finds what became of it.
        if (!made || !made->batch.empty() || !(*rest)->left_out) {
            return made;
        }
    }
    // What an edit is read as while it is looked at is what is sent.
    reader_->hold_edits([&](const std::string& name) -> Result<AgreedContent> {
        AgreedContent out;
        auto kept = bases_->find(folder.id, name);
        if (!kept || *kept == nullptr) {
            return kept ? Result<AgreedContent>(std::move(out)) : kept.error();
        }
        auto chunks = bases_->chunks_of(name, **kept);
        if (!chunks) {
            return chunks.error();
        }
        out.file = *std::move(kept);
        out.chunks = *std::move(chunks);
        return out;
    });
    auto look = look_at(folder);
    auto asks = look ? asks_first(folder.id, *look) : Result<bool>(look.error());
    auto made = !asks   ? Result<Outgoing>(asks.error())
                : *asks ? Result<Outgoing>(Outgoing{})
                        : send_some(folder, *look);
    reader_->let_go();
    if (made && *asks) {
        made->since = look->row.status.revision;
        made->after = asked_after(look->row);
        made->met = look->row.met;
        made->whole = look->row.whole;
        made->reads = ask(folder.id);
        made->asks_first = true;
    }
    return made;
}

// How large contents are called is the home's word, and what has a name keeps it.
Result<bool> Client::asks_first(const FolderId& folder, const Look& look) {
    auto met = bases_->knows_format(folder);
    if (!met) {
        return met.error();
    }
    const bool asks =
        !*met &&
        std::any_of(look.operations.begin(), look.operations.end(), [](const Operation& op) {
            return op.act == Act::put && op.entry.size >= chunked_bytes_least;
        });
    Attention& attention = this->attention(folder);
    // Whatever is sent before, a file that was moved without its attributes, too, loses them there.
    const bool learns = !look.row.attributes_told && look.row.status.revision.epoch != 0 &&
                        !attention.attributes_unsaid;
    attention.asks_first = asks || learns;
    if (asks) { // they are looked at again under the name that they keep
        std::erase_if(attention.seen,
                      [](const auto& one) { return one.second.size >= chunked_bytes_least; });
    }
    return asks || learns;
}

// The next batch of what a look found; the rest of it is kept for the one after.
Result<Client::Outgoing> Client::send_some(const WorkingFolder& folder, Look& look) {
    Attention& attention = this->attention(folder.id);
    Attention::Rest& rest = attention.rest;
    if (look.fresh) {
        rest.changing = look.scan.changing.size() + look.waiting.size();
        rest.released = look.row.released;
        rest.looked_us = clock_.boot_us();
        look.base.clear(); // which may be large
        look.scan = {};
    }
    auto made = make_batch(folder, look);
    if (!made) {
        return made.error();
    }
    made->since = look.row.status.revision;
    made->after = asked_after(look.row);
    made->met = look.row.met;
    made->whole = look.row.whole;
    made->reads = ask(folder.id);
    made->changing = rest.changing;
    attention.batch_is_last = !made->batch.empty();
    if (attention.batch_is_last) { // deletions that come after these have not waited yet
        attention.deleted = 0;
        attention.waits_us = 0;
    }
    const bool left = look.next < look.operations.size();
    rest.operations = left ? std::move(look.operations) : std::vector<Operation>();
    rest.next = left ? look.next : 0;
    rest.replaced = std::move(look.replaced);
    if (!left && look.left_out && !look.fresh) {
        rest.looked_us.reset();
    }
    rest.left_out = left && look.left_out;
    return made;
}

Result<std::string> Client::read(const FolderId& folder, std::uint64_t offset,
                                 std::size_t bytes_max) {
    auto file = disk_.open(client_batch_path(folder));
    if (!file) {
        return file.error();
    }
    std::string out(bytes_max, '\0');
    auto got = (*file)->read(offset, out);
    if (!got) {
        return got.error();
    }
    out.resize(*got);
    return out;
}

Status Client::take(const FolderId& folder, std::uint64_t offset, std::string_view bytes) {
    const std::string path = client_answer_path(folder);
    if (offset == 0) {
        [[maybe_unused]] const Status old = disk_.remove(path);
    }
    auto file = offset == 0 ? disk_.create(path, 0600, {}) : disk_.append(path, offset);
    return file ? (*file)->write(bytes) : Status(file.error());
}

Status Client::home_takes(const FolderId& folder, unsigned format) {
    const unsigned most = std::clamp(format, batch_format_first, batch_format_newest);
    auto known = bases_->format(folder);
    auto any = known ? bases_->knows_format(folder) : Result<bool>(known.error());
    if (!any || (*any && *known == most)) {
        return any ? Status{} : Status(any.error());
    }
    if (*known < batch_format_attributes && most >= batch_format_attributes) {
        attention(folder).attributes_unsaid = false;
        if (attention(folder).untold_attributes) {
            note(folder, {true, {}, {}, {}});
            attention(folder).look_again = true;
            attention(folder).rest = {};
        }
    }
    return bases_->set_format(folder, most);
}

Status Client::name_contents(const FolderId& folder) {
    auto format = bases_->format(folder);
    if (format) { // what cannot be asked is taken for another content
        reader_->name_by_chunks(*format >= batch_format_chunked,
                                {[this, folder](std::uint64_t size) {
                                     return store_->large_flat(folder, size).value_or(false);
                                 },
                                 [this, folder](const std::string& name) {
                                     auto paths = store_->paths_with(folder, name);
                                     return paths && !paths->empty();
                                 }});
    }
    return format ? Status{} : Status(format.error());
}

Status Client::home_refused(const FolderId& folder) {
    auto known = bases_->format(folder);
    if (!known || *known == batch_format_first) {
        return known ? Status{} : Status(known.error());
    }
    Status noted = bases_->set_format(folder, batch_format_first);
    return noted ? store_->drop_batch(folder) : noted;
}

Status Client::set_base_bytes_max(std::uint64_t bytes) {
    return bases_->set_bytes_max(bytes);
}

Status Client::forget_bases(const std::string& user) {
    return bases_->drop_user(user);
}

Status Client::drop_bases(const FolderId& folder, const std::vector<std::string>& hashes) {
    for (const std::string& hash : hashes) {
        auto paths = store_->paths_with(folder, hash);
        Status dropped = !paths           ? Status(paths.error())
                         : paths->empty() ? bases_->drop(folder, hash)
                                          : Status{};
        if (!dropped) {
            return dropped;
        }
    }
    return {};
}

Status Client::note_error(const FolderId& folder, const std::string& error) {
    auto row = store_->folder(folder);
    if (!row) {
        return row.error();
    }
    if (row->status.error == error) {
        return {};
    }
    row->status.error = error;
    return store_->put_folder(*row);
}

Status Client::release_deletions(const FolderId& folder) {
    auto row = store_->folder(folder);
    if (!row) {
        return row.error();
    }
    if (row->status.held_files == 0) {
        return fail(Code::not_found, "no deletion is held in " + folder.app + " of " + folder.user);
    }
    row->released = true;
    return store_->put_folder(*row);
}

Status Client::begin_anew(const FolderId& folder) {
    auto transaction = store::Transaction::begin(store_->db());
    if (!transaction) {
        return transaction.error();
    }
    auto row = store_->folder(folder);
    if (!row) {
        return row.error();
    }
    row->status.revision = {};
    row->after = {};
    row->met = 0;
    row->complete = FolderRow::complete_all;
    row->attributes_told = true; // nothing is agreed on
    row->status.error.clear();
    Status done = store_->put_folder(*row);
    if (done) {
        done = store_->drop_all_base(folder);
    }
    if (done) {
        done = store_->drop_batch(folder);
    }
    if (done) {
        done = store_->drop_all_refused(folder); // this home has not said so
    }
    if (done) {
        done = bases_->drop_all(folder);
    }
    if (done) {
        done = transaction->commit();
    }
    note(folder, {true, {}, {}, {}});
    return done;
}

// The newest format that an answer may have.
unsigned Client::ask(const FolderId& folder) {
    Attention& attention = this->attention(folder);
    const unsigned newest =
        gate_ != nullptr && more_later_ ? batch_format_later : batch_format_later - 1;
    return attention.asked = attention.members_fit ? newest : batch_format_members - 1;
}

Status Client::add_counted(FolderStatus& status) {
    Status counted = store_->count_to_come(status);
    return counted ? add_refused(status) : counted;
}

Result<FolderStatus> Client::status(const FolderId& folder) {
    auto row = store_->folder(folder);
    Status whole = row ? add_counted(row->status) : Status(row.error());
    return whole ? Result<FolderStatus>(std::move(row->status)) : whole.error();
}

Result<std::vector<FolderStatus>> Client::status() {
    auto rows = store_->folders();
    if (!rows) {
        return rows.error();
    }
    std::vector<FolderStatus> out;
    for (FolderRow& row : *rows) {
        if (Status whole = add_counted(row.status); !whole) {
            return whole.error();
        }
        out.push_back(std::move(row.status));
    }
    return out;
}

} // namespace hasp::sync

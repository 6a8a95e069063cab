// Client: operations and their contents as a batch.
#include "sync/client.h"

#include "base/text.h"
#include "client_parts.h"
#include "client_store.h"
#include "moved.h"
#include "sync/chunks.h"
#include "sync/difference.h"

#include <utility>

namespace hasp::sync {

Result<Client::Outgoing> Client::make_batch(const WorkingFolder& folder, Look& look) {
    Outgoing out;
    BatchRow row;
    std::vector<OperationRow> operations;
    const std::string path = client_batch_path(folder.id);
    auto format = batch_format(folder.id);
    if (!format) {
        return format.error();
    }
    // The reader may have been at another folder since the look.
    if (Status set = look_at_attributes(folder.id); !set) {
        return set.error();
    }
    if (look.next < look.operations.size()) {
        [[maybe_unused]] const Status old = disk_.remove(path);
        auto file = disk_.create(path, 0600, {});
        if (!file) {
            return file.error();
        }
        BatchWriter writer({Direction::up, look.row.status.revision.epoch,
                            look.row.status.revision.number, *format},
                           [&](std::string_view bytes) {
                               row.bytes += bytes.size();
                               return (*file)->write(bytes);
                           });
        std::vector<Touched> touched;
        std::uint64_t attributes = 0; // bytes
        Attention& attention = this->attention(folder.id);
        BatchFiller filler{
            folder,     *store_,        *reader_, disk_,   attention.seen,      look.replaced,
            look.fresh, look.row.whole, *bases_,  *format, attention.overruled, look.unscanned};
        filler.members_fit = attention.members_fit;
        // Who asks for less, his answer cannot say that a folder is to be said otherwise.
        if (*format >= batch_format_moved && attention.members_fit && attention.moves_fit) {
            if (Status found = find_moved(folder, look); !found) {
                return found.error();
            }
        }
        auto moved = look.moved.begin();
        std::uint64_t content = 0; // of what is not moved
        for (; look.next < look.operations.size(); ++look.next) {
            // Folders that were moved stand together, and are a few bytes.
            const bool moves = moved != look.moved.end() && moved->first == look.next;
            if (!moves &&
                (operations.size() >= bounds_.operations || content >= bounds_.content_bytes ||
                 attributes >= bounds_.attribute_bytes)) {
                row.more = true;
                break;
            }
            if (moves) {
                auto all = filler.add_moved(moved->from, moved->to, moved->tree, writer);
                if (!all) {
                    file->reset();
                    [[maybe_unused]] const Status gone = disk_.remove(path);
                    return all.error();
                }
                for (OperationRow& one : *all) {
                    row.content += one.remove ? 0 : one.row.entry.size;
                    attributes += one.row.entry.attributes.size();
                    touched.push_back(
                        {one.path, one.remove ? std::nullopt : std::optional(one.row.entry.kind)});
                    operations.push_back(std::move(one));
                }
                look.next += moved->operations() - 1;
                ++moved;
                continue;
            }
            const Operation& op = look.operations[look.next];
            auto added = filler.add(op, writer);
            if (!added &&
                (added.error().code == Code::try_later || added.error().code == Code::not_found)) {
                look.left_out = true;
                continue; // it changes, or is gone again: the next look sees it
            }
            if (!added) {
                file->reset();
                [[maybe_unused]] const Status gone = disk_.remove(path);
                return added.error();
            }
            row.content += added->remove ? 0 : added->row.entry.size;
            content += added->remove ? 0 : added->row.entry.size;
            attributes += added->row.entry.attributes.size();
            touched.push_back(
                {op.path, added->remove ? std::nullopt : std::optional(added->row.entry.kind)});
            operations.push_back(*std::move(added));
        }
        attention.untold_attributes = attention.untold_attributes || filler.untold_attributes ||
                                      reader_->has_untold_attributes();
        attention.by_members = std::move(filler.by_members);
        // A look that was a while ago did not see what they are now.
        row.more = row.more || (look.left_out && !look.fresh);
        Status written = writer.finish();
        if (written) {
            written = make_durable(disk_, *reader_, folder, touched);
        }
        if (written) {
            written = (*file)->sync();
        }
        file->reset();
        if (written) {
            written = disk_.sync_folder(client_outgoing);
        }
        if (!written || operations.empty()) {
            [[maybe_unused]] const Status gone = disk_.remove(path);
        }
        if (!written) {
            return written.error();
        }
    }
    auto transaction = store::Transaction::begin(store_->db());
    if (!transaction) {
        return transaction.error();
    }
    Status put = store_->put_folder(look.row);
    if (put && !operations.empty()) {
        row.batch = to_hex(random_.bytes(batch_id_bytes / 2));
        out = {row.batch, row.bytes, operations.size(), row.content, {}, false, row.more, *format};
        put = store_->put_batch(folder.id, row, operations, clock_.wall_us());
    }
    if (put) {
        put = bases_->write();
    }
    if (put) {
        put = transaction->commit();
    }
    if (!put) {
        return put.error();
    }
    return out;
}

Result<std::vector<OperationRow>> BatchFiller::add_moved(const std::string& from,
                                                         const std::string& to, const Tree& tree,
                                                         BatchWriter& writer) {
    Record record;
    record.type = Record::Type::moved;
    record.path = from;
    record.to = to;
    record.count = tree.size();
    record.sum = sum_of_moved(tree);
    if (Status added = writer.add(record); !added) {
        return added.error();
    }
    std::vector<OperationRow> out(2 * tree.size());
    auto gone = out.rbegin() + static_cast<std::ptrdiff_t>(tree.size());
    auto put = out.begin() + static_cast<std::ptrdiff_t>(tree.size());
    for (const auto& [within, entry] : tree) {
        gone->path = path_within(from, within);
        gone->remove = true;
        gone->row.entry.revision = entry.revision;
        put->path = path_within(to, within);
        auto before = store.base_row(folder.id, gone->path);
        if (!before) {
            return before.error();
        }
        if (*before) {
            put->row.signature = std::move((*before)->signature);
            put->row.seen = std::move((*before)->seen);
        }
        if (const auto looked = seen.find(put->path); looked != seen.end()) {
            put->row.seen = looked->second;
        }
        put->row.entry = entry;
        put->row.entry.revision = 0;
        ++gone;
        ++put;
    }
    return out;
}

Result<OperationRow> BatchFiller::add(const Operation& op, BatchWriter& writer) {
    OperationRow out;
    out.path = op.path;
    // As it is agreed now: what came since the look may have changed it.
    auto before = store.base_row(folder.id, op.path);
    if (!before) {
        return before.error();
    }
    const BaseRow* agreed = *before ? &**before : nullptr;
    const std::uint64_t revision = agreed == nullptr ? 0 : agreed->entry.revision;
    Record record;
    record.path = op.path;
    if (op.act == Act::remove) {
        if (!fresh && !replaced.contains(op.path) && disk.stat(folder.path + "/" + op.path)) {
            return fail(Code::try_later, op.path + " is there again");
        }
        out.remove = true;
        out.row.entry.revision = revision;
        record.type = Record::Type::remove;
        record.revision = revision;
        Status added = writer.add(record);
        return added ? Result<OperationRow>(std::move(out)) : added.error();
    }
    record.entry = op.entry;
    record.entry.revision = revision;
    std::optional<Frozen> content;
    const auto looked = seen.find(op.path);
    if (op.entry.kind == FileKind::folder) {
        out.row.seen = looked != seen.end() ? looked->second
                       : agreed != nullptr  ? agreed->seen
                                            : Seen{};
    }
    bool known = true; // the home has it
    std::string old_signature;
    if (op.entry.kind == FileKind::file) {
        if (agreed != nullptr) {
            old_signature = agreed->signature;
            record.basis = agreed->entry.hash;
        }
        // To a home that knows no names by chunks everything is called otherwise.
        const bool nameable = format >= batch_format_chunked || !named_by_chunks(op.entry.hash);
        const bool same_here = nameable && agreed != nullptr && agreed->entry.hash == op.entry.hash;
        // Moved or copied: the home has the content. What becomes of the file after it was looked
        // at is noticed as any change.
        const auto there = same_here || whole || !nameable
                               ? Result<std::vector<std::string>>(std::vector<std::string>{})
                               : store.paths_with(folder.id, op.entry.hash);
        if (!there) {
            return there.error();
        }
        if (same_here && !whole) {
            out.row.signature = old_signature;
            out.row.seen = looked != seen.end() && looked->second.hash == op.entry.hash
                               ? looked->second
                               : agreed->seen;
        } else if ((!there->empty() || sent.contains(op.entry.hash)) && looked != seen.end() &&
                   (fresh || still(op.path, looked->second))) {
            auto other = there->empty() ? Result<std::optional<BaseRow>>(std::optional<BaseRow>())
                                        : store.base_row(folder.id, there->front());
            if (!other) {
                return other.error();
            }
            out.row.signature = *other ? (*other)->signature : "";
            out.row.seen = looked->second;
        } else {
            auto frozen = reader.freeze(folder.path + "/" + op.path, nameable ? op.entry.hash : "",
                                        looked != seen.end() ? &looked->second
                                        : agreed != nullptr  ? &agreed->seen
                                                             : nullptr);
            if (!frozen) {
                return frozen.error();
            }
            record.entry.attributes = attributes_of(frozen->seen);
            // It may have changed since it was looked at: what is sent is what was read now.
            record.entry.hash = frozen->digest.hash;
            record.entry.size = frozen->digest.size;
            record.entry.mtime_us = entry_of(frozen->seen.stat).mtime_us;
            out.row.seen = frozen->seen;
            const auto paths = store.paths_with(folder.id, frozen->digest.hash);
            if (!paths) {
                return paths.error();
            }
            known = sent.contains(frozen->digest.hash) ||
                    (!whole && (!paths->empty() || unscanned.contains(frozen->digest.hash)));
            content = *std::move(frozen);
        }
    }
    leave_attributes(agreed, record, out.row.seen);
    Result<Way> way{Way{}};
    if (!known) {
        way = choose(old_signature, *content, record);
    }
    Status done = way ? writer.add(record) : Status(way.error());
    if (done && !known) {
        done = send(*way, record, *content, writer);
        sent.insert(record.entry.hash);
    }
    if (done && content) {
        auto kept = keep(*content);
        done = kept ? Status{} : Status(kept.error());
        // Where it is not kept, the next change is a difference from this.
        if (done && !*kept && record.entry.size >= signature_worth_bytes) {
            auto made = signature(*content->file);
            done = made ? Status{} : Status(made.error());
            out.row.signature = made ? *std::move(made) : "";
        }
    }
    if (!done) {
        return done.error().code == Code::try_later ? fail(Code::failed, done.error().message)
                                                    : done.error();
    }
    out.row.entry = record.entry;
    return out;
}

namespace {

// Nothing: nobody has looked at them.
std::shared_ptr<const SeenAttributes> stale_attributes(const BaseRow* agreed, const Entry& entry) {
    if (agreed == nullptr || agreed->entry.kind != entry.kind ||
        agreed->seen.attributes == nullptr || !agreed->seen.attributes->looked) {
        return nullptr;
    }
    SeenAttributes out = *agreed->seen.attributes;
    out.meant = entry.attributes;
    out.stale = true;
    return std::make_shared<const SeenAttributes>(std::move(out));
}

} // namespace

// Where the batch says nothing of them the home keeps what was agreed on, and nothing else may
// count as agreed: what its row has not would look removed there. What stood here when that was
// agreed on stays known, so that the next look finds what was removed since.
void BatchFiller::leave_attributes(const BaseRow* agreed, Record& record, Seen& sent_as) {
    if (format >= batch_format_attributes || record.entry.kind == FileKind::symlink) {
        return;
    }
    std::string told = agreed != nullptr && agreed->entry.kind == record.entry.kind
                           ? agreed->entry.attributes
                           : std::string();
    if (record.entry.attributes != told) {
        record.entry.attributes = std::move(told);
        sent_as.attributes = stale_attributes(agreed, record.entry);
        untold_attributes = true;
    }
}

bool BatchFiller::still(const std::string& path, const Seen& looked) const {
    const auto now = disk.stat(folder.path + "/" + path);
    return now && *now == looked.stat;
}

// record.basis is the hash of what was agreed on at the path, if something was.
Result<BatchFiller::Way> BatchFiller::choose(const std::string& signature, const Frozen& content,
                                             Record& record) {
    Way way;
    std::string basis = std::exchange(record.basis, "");
    if (format < batch_format_chunked && named_by_chunks(basis)) {
        basis.clear();
    }
    record.codec = Codec::whole;
    if (whole || basis.empty() || content.digest.size < difference_worth_bytes) {
        return way;
    }
    auto kept = bases.find(folder.id, basis);
    if (!kept) {
        return kept.error();
    }
    way.base = *std::move(kept);
    const bool compared = way.base != nullptr && format > batch_format_first;
    if (way.base != nullptr || !signature.empty()) {
        way.signature = signature;
        record.codec = compared ? Codec::compared : Codec::delta;
        // The home knows what the path had at the revision that the record names.
        const bool theirs = record.entry.revision != 0 && !overruled.contains(record.path);
        record.basis = compared && theirs ? "" : basis;
        way.basis = std::move(basis);
    }
    if (record.codec == Codec::compared && format >= batch_format_members && members_fit) {
        // What cannot be read is met again, in the way that is without this.
        auto made = members_difference(*way.base, *content.file, work);
        if (made && *made) {
            record.codec = Codec::members;
            way.members = **std::move(made);
            by_members.insert(record.path);
        }
    }
    return way;
}

// The next change is a difference from it.
Result<bool> BatchFiller::keep(Frozen& content) {
    bases.remember(content.digest);
    const std::string& name = content.digest.hash;
    if (const FrozenEdit* edit = content.edit.get(); edit != nullptr && edit->made->in_pieces()) {
        auto kept = bases.keep_edit(
            folder.id, name,
            {edit->basis, &edit->pieces, &edit->made->fresh_content(), content.digest.size});
        if (!kept || *kept) {
            return kept;
        }
    }
    return bases.keep(folder.id, name, *content.file, {content.path, true});
}

Status BatchFiller::send(const Way& way, const Record& record, const Frozen& frozen,
                         BatchWriter& writer) {
    ReadFile& content = *frozen.file;
    const FrozenEdit* edit = frozen.edit.get();
    const Sink sink = [&writer](std::string_view bytes) { return writer.content(bytes); };
    Status sent;
    if (record.codec == Codec::members) {
        sent = sink(way.members);
    } else if (record.codec == Codec::compared) {
        const bool compared = edit != nullptr && edit->basis == way.basis && !edit->steps.empty();
        sent = compared ? make_difference(*way.base, content, edit->steps, sink)
                        : make_difference(*way.base, content, sink);
    } else if (record.codec == Codec::delta) {
        sent = way.base != nullptr ? delta_from_base(*way.base, content, sink)
                                   : delta_from_signature(way.signature, content, sink);
    } else if (auto read = digest(content, sink); !read) {
        sent = read.error();
    }
    return sent ? writer.end_content() : sent;
}

} // namespace hasp::sync

// The content store: the lists of the chunks of large contents, and their other names.
#include "sealed.h"
#include "store/db.h"
#include "sync/chunks.h"
#include "sync/content_store.h"

#include <algorithm>

namespace hasp::sync {

namespace {

using store::done;

constexpr char list_mark = 0x02;

std::string list_name(const std::string& name) {
    return list_mark + name.substr(1);
}

std::string first_blob(const store::Statement& s) {
    return s.blob(0);
}

} // namespace

bool ContentStore::is_chunk_list(const std::string& name) {
    return name.size() == chunked_name_bytes && name[0] == list_mark;
}

std::string ContentStore::named_by_list(const std::string& name) {
    return content_name_mark + name.substr(1);
}

// It is a help: whoever has it need not read the content.
Status ContentStore::stage_chunks(const std::string& user, const std::string& name,
                                  const ChunkList& chunks) {
    auto sealer = sealer_of(user);
    if (!sealer) {
        return sealer.error();
    }
    const std::string list = list_name(name);
    const std::string text = encode_chunks(chunks);
    Place place;
    Status put = append_sealed(**sealer, list, text, place);
    if (put) {
        place.size = text.size();
        staged_[{user, list}] = place;
    }
    return put;
}

Result<std::shared_ptr<const ChunkList>> ContentStore::chunks_of(const std::string& user,
                                                                 const std::string& name) {
    const std::shared_ptr<const ChunkList> none;
    const std::string list = named_by_chunks(name) ? list_name(name) : "";
    auto at = list.empty() ? Result<std::optional<Place>>(std::nullopt) : where({user, list});
    if (!at || !*at || (*at)->file == 0) {
        return at ? Result<std::shared_ptr<const ChunkList>>(none) : at.error();
    }
    if (Status written = flush(); !written) {
        return written.error();
    }
    auto file = open_sealed_at(user, list, **at, stretches_at_hand);
    auto chunks = file ? list_in(**file, name) : Result<ChunkList>(file.error());
    // What cannot be had is made anew from the content.
    return chunks ? std::make_shared<const ChunkList>(*std::move(chunks)) : none;
}

Result<ChunkList> ContentStore::list_in(ReadFile& file, const std::string& name) {
    std::string text;
    auto stat = file.stat();
    if (!stat || stat->size > chunk_list_bytes_max) {
        return stat ? fail(Code::refused, "a list of chunks is too long") : stat.error();
    }
    text.resize(static_cast<std::size_t>(stat->size));
    auto got = file.read(0, text);
    if (!got) {
        return got.error();
    }
    text.resize(*got);
    return decode_chunks(text, name);
}

Result<bool> ContentStore::is_as_named(ReadFile& content, const std::string& name) {
    if (!is_chunk_list(name)) {
        return is_named(content, name);
    }
    auto list = list_in(content, named_by_list(name));
    return list || list.error().code == Code::refused ? Result<bool>(list.ok()) : list.error();
}

// In the caller's transaction.
Status ContentStore::drop_list(const std::string& user, const std::string& list) {
    auto found = place(user, list);
    if (!found || !*found) {
        return found ? Status{} : Status(found.error());
    }
    Status gone =
        done(db_.execute("DELETE FROM contents WHERE tenant = ?1 AND user = ?2 AND hash = ?3",
                         tenant_, user, store::Blob{list}));
    return gone ? release(**found) : gone;
}

// In the caller's transaction: of a content that goes.
Status ContentStore::forget_names(const std::string& user, const std::string& name) {
    Status gone = done(db_.execute("DELETE FROM content_names WHERE tenant = ?1 AND user = ?2 AND "
                                   "(flat = ?3 OR chunked = ?3)",
                                   tenant_, user, store::Blob{name}));
    return gone && named_by_chunks(name) ? drop_list(user, list_name(name)) : gone;
}

Result<std::string> ContentStore::known_name(const std::string& user, const std::string& name) {
    auto other =
        named_by_chunks(name)
            ? db_.first("SELECT flat FROM content_names WHERE tenant = ?1 AND user = ?2 AND "
                        "chunked = ?3 LIMIT 1",
                        first_blob, tenant_, user, store::Blob{name})
            : db_.first("SELECT chunked FROM content_names WHERE tenant = ?1 AND user = ?2 AND "
                        "flat = ?3",
                        first_blob, tenant_, user, store::Blob{name});
    return other ? Result<std::string>(other->value_or("")) : other.error();
}

Result<std::string> ContentStore::other_name(const std::string& user, const std::string& name) {
    auto known = known_name(user, name);
    if (!known || !known->empty()) {
        return known;
    }
    auto content = read(user, name);
    auto stat = content ? (*content)->stat() : Result<FileStat>(content.error());
    if (!stat) {
        return stat.error();
    }
    // It is believed from now on: what is read has to be what it is called, too.
    Naming called(stat->size, named_by_chunks(name));
    auto read = identify(**content, !named_by_chunks(name), {}, [&called](std::string_view bytes) {
        called.update(bytes);
        return Status{};
    });
    if (!read) {
        return read.error();
    }
    if (called.finish().hash != name) {
        return fail(Code::refused, "a content is not what it is called");
    }
    if (read->size < chunked_bytes_least) {
        return std::string(); // it has one name alone
    }
    Status put =
        done(db_.execute("INSERT OR REPLACE INTO content_names (tenant, user, flat, "
                         "chunked) VALUES (?1, ?2, ?3, ?4)",
                         tenant_, user, store::Blob{named_by_chunks(name) ? read->hash : name},
                         store::Blob{named_by_chunks(name) ? name : read->hash}));
    return put ? Result<std::string>(std::move(read->hash)) : put.error();
}

} // namespace hasp::sync

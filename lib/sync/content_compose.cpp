// The content store: contents that are kept as parts of others (recipe.h).
#include "base/text.h"
#include "composing.h"
#include "sealed.h"
#include "store/db.h"
#include "sync/content_store.h"
#include "sync/members.h"
#include "sync/tree.h"
#include "trust/aead.h"

#include <algorithm>

namespace hasp::sync {

namespace {

using store::done;

// What a recipe is sealed as: it is never taken for a content.
std::string recipe_name(const std::string& hash) {
    return "recipe " + hash;
}

// A basis that is put together costs more than effort.h counts: whoever asks too much of it sends
// the content whole.
class Bounded final : public Assembly {
  public:
    Bounded(Composing& made, const std::uint64_t& unsealed, std::uint64_t basis_size)
        : made_(made), unsealed_(unsealed), before_(unsealed), basis_size_(basis_size) {}
    Status fresh(std::string_view bytes) override {
        Status bearable = this->bearable();
        return bearable ? made_.fresh(bytes) : bearable;
    }
    Status copied(std::uint64_t from, std::uint64_t length) override {
        Status bearable = this->bearable();
        return bearable ? made_.copied(from, length) : bearable;
    }

    Status bearable() const {
        return bearable_effort(unsealed_ - before_, made_.size(), basis_size_);
    }

  private:
    Composing& made_;
    const std::uint64_t& unsealed_;
    std::uint64_t before_;
    std::uint64_t basis_size_;
};

} // namespace

Result<std::optional<ContentStore::Place>> ContentStore::where(const Name& name) {
    const auto one = staged_.find(name);
    return one != staged_.end() ? Result<std::optional<Place>>(one->second)
                                : place(name.first, name.second);
}

// Opens what it is made of, but reads no more than where that is.
Result<std::unique_ptr<ReadFile>> ContentStore::open_composed(const Name& name, const Place& at) {
    // A source may be of the batch that is being staged.
    Status written = flush();
    auto recipe = written ? recipe_of(name, at) : Result<Recipe>(written.error());
    if (!recipe) {
        return recipe.error();
    }
    std::vector<std::unique_ptr<ReadFile>> sources;
    for (const std::string& source : recipe->sources) {
        auto there = where({name.first, source});
        if (!there) {
            return there.error();
        }
        if (!*there || (*there)->file == 0 || (*there)->parts != 0) {
            return fail(Code::refused, "the stored content " + to_hex(name.second) + " of " +
                                           name.first + " lacks a part of it");
        }
        auto file = open_sealed_at(name.first, source, **there, recipe_at_hand);
        if (!file) {
            return file.error();
        }
        sources.push_back(*std::move(file));
    }
    return assembled(*std::move(recipe), std::move(sources));
}

Result<Recipe> ContentStore::recipe_of(const Name& name, const Place& at) {
    auto file = open_sealed_at(name.first, recipe_name(name.second),
                               {at.file, at.at, at.bytes, at.parts, false, 0}, recipe_at_hand);
    if (!file) {
        return file.error();
    }
    std::string text(static_cast<std::size_t>(std::min<std::uint64_t>(at.parts, recipe_bytes_max)),
                     '\0');
    auto got = (*file)->read(0, text);
    if (!got) {
        return got.error();
    }
    text.resize(*got);
    return decode_recipe(text, at.size);
}

Result<std::vector<std::string>> ContentStore::sources_of(const Name& name) {
    std::vector<std::string> out;
    Status read = db_.each(
        "SELECT source FROM content_parts WHERE tenant = ?1 AND user = ?2 AND hash = ?3",
        [&out](const store::Statement& s) { out.push_back(s.blob(0)); }, tenant_, name.first,
        store::Blob{name.second});
    return read ? Result<std::vector<std::string>>(std::move(out)) : read.error();
}

bool ContentStore::is_staged_source(const Name& name) const {
    return std::any_of(staged_sources_.begin(), staged_sources_.end(), [&name](const auto& one) {
        return one.first.first == name.first &&
               std::find(one.second.begin(), one.second.end(), name.second) != one.second.end();
    });
}

Result<bool> ContentStore::is_source(const Name& name) {
    auto found = db_.first(
        "SELECT 1 FROM content_parts WHERE tenant = ?1 AND user = ?2 AND source = ?3 LIMIT 1",
        [](const store::Statement&) { return true; }, tenant_, name.first,
        store::Blob{name.second});
    return found ? Result<bool>(found->has_value()) : found.error();
}

// In a transaction. `left`: its sources, each of which may be of no use now.
Status ContentStore::forget_parts(const Name& name, std::vector<Name>& left) {
    auto sources = sources_of(name);
    if (!sources) {
        return sources.error();
    }
    for (const std::string& source : *sources) {
        left.emplace_back(name.first, source);
    }
    return done(
        db_.execute("DELETE FROM content_parts WHERE tenant = ?1 AND user = ?2 AND hash = ?3",
                    tenant_, name.first, store::Blob{name.second}));
}

Status ContentStore::record_parts(const Name& name, const std::vector<std::string>& sources) {
    for (const std::string& source : sources) {
        if (Status put = done(db_.execute("INSERT INTO content_parts (tenant, user, hash, source) "
                                          "VALUES (?1, ?2, ?3, ?4)",
                                          tenant_, name.first, store::Blob{name.second},
                                          store::Blob{source}));
            !put) {
            return put;
        }
    }
    return {};
}

// What is not worth it: small contents, and those that would hold on to much that is of no use.
Result<std::optional<Recipe>> ContentStore::compose(const Name& name, const std::string& basis,
                                                    const Composing& made) {
    constexpr auto no = std::nullopt;
    // All of it new: it would be made of itself.
    const bool worth = made.in_pieces() && !is_staged_source(name) &&
                       made.size() >= composed_.content_least && made.fresh_hash() != name.second;
    auto needed = worth ? is_source(name) : Result<bool>(true);
    if (!needed || *needed) {
        return needed ? Result<std::optional<Recipe>>(no) : needed.error();
    }
    auto at = where({name.first, basis});
    auto fresh = where({name.first, made.fresh_hash()});
    if (!at || !fresh) {
        return at ? fresh.error() : at.error();
    }
    if (!*at || (*at)->file == 0 || (*fresh && ((*fresh)->parts != 0 || (*fresh)->damaged))) {
        return std::optional<Recipe>();
    }
    std::optional<RecipeIndex> before;
    if ((*at)->parts != 0) {
        auto recipe = recipe_of({name.first, basis}, **at);
        if (!recipe) {
            return recipe.error();
        }
        before.emplace(*std::move(recipe));
    }
    RecipeWriter writer;
    for (const Extent& piece : made.pieces()) {
        if (piece.source != 0) {
            writer.add(made.fresh_hash(), piece.from, piece.length);
        } else if (before) {
            before->part(piece.from, piece.length, writer);
        } else {
            writer.add(basis, piece.from, piece.length);
        }
    }
    if (!writer.fits()) {
        return std::optional<Recipe>();
    }
    std::uint64_t held = 0;
    for (const std::string& source : writer.recipe().sources) {
        if (source == made.fresh_hash()) {
            held += made.fresh_size();
            continue;
        }
        auto there = where({name.first, source});
        if (!there) {
            return there.error();
        }
        if (!*there) {
            return std::optional<Recipe>();
        }
        held += (*there)->size;
    }
    return held <= made.size() + made.size() / 2 ? std::optional<Recipe>(writer.recipe())
                                                 : std::optional<Recipe>();
}

Status ContentStore::stage_difference(const std::string& user, const std::string& hash,
                                      const std::string& basis, ReadFile& basis_content,
                                      const Pull& difference, std::uint64_t size_max, bool& applied,
                                      MembersWork* members) {
    applied = false;
    if (staged(user, hash)) {
        return {};
    }
    Composing made(disk_, temporary_ + "/made" + std::to_string(next_temporary_++), basis_content,
                   composed_.copy_least);
    auto basis_stat = basis_content.stat();
    if (!basis_stat) {
        return basis_stat.error();
    }
    if (named_by_chunks(hash)) {
        auto of_basis = chunks_of(user, basis);
        if (!of_basis) {
            return of_basis.error();
        }
        made.name_by_chunks(*std::move(of_basis));
    }
    Bounded bounded(made, unsealed_, basis_stat->size);
    Status put = members != nullptr
                     ? apply_members(basis_content, difference, size_max, *members, bounded)
                     : apply_difference(basis_content, difference, size_max, bounded);
    put = put ? made.finish() : put;
    put = put ? bounded.bearable() : put;
    applied = put.ok() || made.could_not_write();
    if (!put) {
        return put;
    }
    if (made.hash() != hash || made.size() != size_max) {
        return fail(Code::refused, "a difference makes another content than it should");
    }
    auto recipe = compose({user, hash}, basis, made);
    if (!recipe) {
        return recipe.error();
    }
    if (!*recipe) {
        const auto content = made.content();
        return stage(user, hash, pull_from(*content), made.size());
    }
    if (Status begun = begin_batch(); !begun) {
        return begun;
    }
    const std::vector<std::string>& sources = (*recipe)->sources;
    if (std::find(sources.begin(), sources.end(), made.fresh_hash()) != sources.end()) {
        auto there = where({user, made.fresh_hash()});
        put = !there   ? Status(there.error())
              : *there ? Status{}
                       : stage(user, made.fresh_hash(), pull_from(made.fresh_content()));
        if (!put) {
            return put;
        }
    }
    auto sealer = sealer_of(user);
    if (!sealer) {
        return sealer.error();
    }
    const std::string text = encode_recipe(**recipe);
    Place place;
    if (put = append_sealed(**sealer, recipe_name(hash), text, place); !put) {
        return put;
    }
    place.size = made.size();
    place.parts = text.size();
    staged_[{user, hash}] = place;
    staged_sources_[{user, hash}] = sources;
    return made.chunks() ? stage_chunks(user, hash, *made.chunks()) : Status{};
}

} // namespace hasp::sync

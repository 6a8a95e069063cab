// What is in a working copy now: a large file that was edited, as what differs from what was
// agreed.
#include "scan.h"

namespace hasp::sync {

namespace {

// As Bases keeps it: what is copied of less is new.
constexpr std::uint64_t copy_least = 4096;
constexpr std::size_t steps_max = recipe_extents_max;

// `edit` has all that it reads from.
class Edited final : public ReadFile {
  public:
    explicit Edited(std::shared_ptr<FrozenEdit> edit)
        : edit_(std::move(edit)), content_(edit_->made->content()) {}
    Result<std::size_t> read(std::uint64_t offset, std::span<char> into) override {
        return content_->read(offset, into);
    }
    Result<FileStat> stat() override { return content_->stat(); }

  private:
    std::shared_ptr<FrozenEdit> edit_;
    std::unique_ptr<ReadFile> content_;
};

} // namespace

Result<std::shared_ptr<FrozenEdit>> Reader::compare_with(AgreedContent agreed,
                                                         const std::string& known, ReadFile& file) {
    auto edit = std::make_shared<FrozenEdit>();
    edit->basis = known;
    edit->basis_content = std::move(agreed.file);
    edit->made =
        std::make_unique<Composing>(disk_, temporary_path(), *edit->basis_content, copy_least);
    Composing& made = *edit->made;
    made.name_by_chunks(std::move(agreed.chunks));
    bool all_steps = true;
    Status done = compare(*edit->basis_content, file, [&](const Step& step) -> Status {
        all_steps = all_steps && edit->steps.size() < steps_max;
        if (all_steps) {
            edit->steps.push_back(step);
        }
        Status put = step.from == step.to
                         ? Status{}
                         : read_range(file, step.from, step.to - step.from,
                                      [&made](std::string_view b) { return made.fresh(b); });
        return put && step.length > 0 ? made.copied(step.base, step.length) : put;
    });
    done = done ? made.finish() : done;
    if (!done) {
        return done.error();
    }
    if (!all_steps) {
        edit->steps.clear();
    }
    edit->pieces = made.pieces();
    return edit;
}

// Nothing: it is to be copied as any other file.
Result<std::optional<Frozen>> Reader::freeze_edit(const std::string& path, const Seen& known) {
    std::optional<Frozen> none;
    if (!agreed_ || !by_chunks_ || !named_by_chunks(known.hash)) {
        return none;
    }
    for (int attempt = 0; attempt < reads_max; ++attempt) {
        auto file = disk_.open(path);
        auto before = file ? (*file)->stat() : Result<FileStat>(file.error());
        if (!before) {
            return before.error();
        }
        bool database = false;
        auto stamped = stamp(path, *before, **file, database);
        auto agreed =
            stamped && !database ? agreed_(known.hash) : Result<AgreedContent>(AgreedContent{});
        if (!stamped || !agreed || agreed->file == nullptr) {
            return !stamped ? Result<std::optional<Frozen>>(stamped.error()) : std::move(none);
        }
        const std::int64_t at_us = clock_.wall_us();
        auto edit = compare_with(*std::move(agreed), known.hash, **file);
        auto after = edit ? (*file)->stat() : Result<FileStat>(edit.error());
        if (!after && after.error().code != Code::try_later) {
            return none; // a basis that cannot be read is none
        }
        if (after && *before == *after && (*edit)->made->size() == after->size) {
            const Digest digest{(*edit)->made->hash(), after->size, (*edit)->made->chunks()};
            Seen seen{*after, at_us, digest.hash, digest.size};
            if (Status added = add_attributes(path, &known, seen); !added) {
                return added.error();
            }
            return std::optional<Frozen>(
                Frozen{std::make_unique<Edited>(*edit), digest, seen, "", *edit});
        }
    }
    return fail(Code::try_later, path + " changes while it is read");
}

} // namespace hasp::sync

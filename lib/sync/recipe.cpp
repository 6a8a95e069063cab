#include "recipe.h"

#include "numbers.h"
#include "sync/chunks.h"

#include <algorithm>

namespace hasp::sync {

namespace {

constexpr char first_version = 1;
constexpr char named_version = 2;

Error damaged_recipe(const char* what) {
    return fail(Code::refused,
                std::string("the list of what a stored content is made of is damaged: ") + what);
}

class Assembled final : public ReadFile {
  public:
    Assembled(Recipe recipe, std::vector<std::unique_ptr<ReadFile>> sources)
        : index_(std::move(recipe)), sources_(std::move(sources)) {}
    Result<std::size_t> read(std::uint64_t offset, std::span<char> into) override {
        std::size_t done = 0;
        while (done < into.size()) {
            const RecipeIndex::At at = index_.at(offset);
            if (at.extent == nullptr) {
                break;
            }
            const auto part =
                static_cast<std::size_t>(std::min<std::uint64_t>(at.left, into.size() - done));
            auto got = sources_[at.extent->source]->read(
                at.extent->from + at.extent->length - at.left, into.subspan(done, part));
            if (!got) {
                return got.error();
            }
            if (*got == 0) {
                return damaged_recipe("a part of it is shorter than it says");
            }
            done += *got;
            offset += *got;
        }
        return done;
    }
    Result<FileStat> stat() override {
        FileStat out;
        out.kind = FileKind::file;
        out.size = index_.size();
        return out;
    }

  private:
    RecipeIndex index_;
    std::vector<std::unique_ptr<ReadFile>> sources_;
};

} // namespace

std::string encode_recipe(const Recipe& recipe) {
    const bool named = std::any_of(recipe.sources.begin(), recipe.sources.end(), named_by_chunks);
    std::string out(1, named ? named_version : first_version);
    put_number(out, recipe.sources.size());
    for (const std::string& source : recipe.sources) {
        if (named) {
            put_number(out, source.size());
        }
        out += source;
    }
    put_number(out, recipe.extents.size());
    std::vector<std::uint64_t> ends(recipe.sources.size(), 0);
    for (const Extent& extent : recipe.extents) {
        std::uint64_t& end = ends[extent.source];
        put_number(out, extent.source);
        put_number(out, zigzag(static_cast<std::int64_t>(extent.from - end)));
        put_number(out, extent.length);
        end = extent.from + extent.length;
    }
    return out;
}

Result<Recipe> decode_recipe(std::string_view bytes, std::uint64_t size) {
    Recipe out;
    if (bytes.empty() || bytes.size() > recipe_bytes_max ||
        (bytes[0] != first_version && bytes[0] != named_version)) {
        return damaged_recipe("it is of another kind, or too long");
    }
    const bool named = bytes[0] == named_version;
    bytes.remove_prefix(1);
    const auto sources = take_number(bytes);
    if (!sources || *sources == 0 || *sources > recipe_sources_max) {
        return damaged_recipe("the contents that it is made of");
    }
    for (std::uint64_t i = 0; i < *sources; ++i) {
        const auto length = named ? take_number(bytes) : std::optional<std::uint64_t>(hash_bytes);
        if (!length || *length > bytes.size() || !valid_content_name(bytes.substr(0, *length))) {
            return damaged_recipe("the contents that it is made of");
        }
        out.sources.emplace_back(bytes.substr(0, *length));
        bytes.remove_prefix(static_cast<std::size_t>(*length));
    }
    if (named && std::none_of(out.sources.begin(), out.sources.end(), named_by_chunks)) {
        return damaged_recipe("it is of another kind than it says");
    }
    const auto extents = take_number(bytes);
    // An extent has three bytes at least.
    if (!extents || *extents > recipe_extents_max || *extents > bytes.size() / 3) {
        return damaged_recipe("the number of its parts");
    }
    std::vector<std::uint64_t> ends(out.sources.size(), 0);
    std::uint64_t sum = 0;
    for (std::uint64_t i = 0; i < *extents; ++i) {
        const auto source = take_number(bytes);
        const auto shift = source ? take_number(bytes) : source;
        const auto length = shift ? take_number(bytes) : shift;
        if (!length || *source >= out.sources.size() || *length == 0 || *length > size - sum) {
            return damaged_recipe("a part");
        }
        std::uint64_t& end = ends[static_cast<std::size_t>(*source)];
        const std::uint64_t from = end + static_cast<std::uint64_t>(unzigzag(*shift));
        if (from > file_bytes_max || *length > file_bytes_max - from) {
            return damaged_recipe("where a part is");
        }
        end = from + *length;
        sum += *length;
        out.extents.push_back({static_cast<std::size_t>(*source), from, *length});
    }
    if (!bytes.empty() || sum != size) {
        return damaged_recipe("it is of another size");
    }
    return out;
}

void RecipeWriter::add(const std::string& source, std::uint64_t from, std::uint64_t length) {
    if (!fits_ || length == 0) {
        return;
    }
    const auto found = std::find(recipe_.sources.begin(), recipe_.sources.end(), source);
    const auto index = static_cast<std::size_t>(found - recipe_.sources.begin());
    if (found == recipe_.sources.end()) {
        recipe_.sources.push_back(source);
        at_hand_.emplace_back();
    }
    Extent* last = recipe_.extents.empty() ? nullptr : &recipe_.extents.back();
    const bool goes_on =
        last != nullptr && last->source == index && last->from + last->length == from;
    cost(index, from, length);
    if (goes_on) {
        last->length += length;
    } else {
        ++extents_of_it_;
        recipe_.extents.push_back({index, from, length});
    }
    fits_ = fits_ && recipe_.sources.size() <= recipe_sources_max &&
            recipe_.extents.size() <= recipe_extents_max &&
            extents_of_it_ <= recipe_stretch_extents_max &&
            cost_ <= recipe_cost_least + recipe_cost_a_stretch * (size_ / stretch_bytes);
}

// What reading it unseals, as whoever reads from the beginning does.
void RecipeWriter::cost(std::size_t source, std::uint64_t from, std::uint64_t length) {
    auto& at_hand = at_hand_[source];
    while (length > 0) {
        if (size_ / stretch_bytes != stretch_) {
            stretch_ = size_ / stretch_bytes;
            extents_of_it_ = 0;
            cost_of_it_ = 0;
        }
        const std::uint64_t one = from / stretch_bytes + 1;
        const auto there = std::find(at_hand.begin(), at_hand.end(), one);
        const auto place = there == at_hand.end() ? there - 1 : there;
        if (there == at_hand.end()) {
            ++cost_;
            ++cost_of_it_;
            fits_ = fits_ && cost_of_it_ <= recipe_stretch_cost_max;
        }
        *place = one;
        std::rotate(at_hand.begin(), place, place + 1);
        // As far as it is one stretch of both.
        const std::uint64_t part = std::min(
            {length, stretch_bytes - from % stretch_bytes, stretch_bytes - size_ % stretch_bytes});
        from += part;
        size_ += part;
        length -= part;
    }
}

RecipeIndex::RecipeIndex(Recipe recipe) : recipe_(std::move(recipe)) {
    ends_.reserve(recipe_.extents.size());
    for (const Extent& extent : recipe_.extents) {
        ends_.push_back(size() + extent.length);
    }
}

RecipeIndex::At RecipeIndex::at(std::uint64_t offset) const {
    const auto end = std::upper_bound(ends_.begin(), ends_.end(), offset);
    return end == ends_.end()
               ? At{}
               : At{&recipe_.extents[static_cast<std::size_t>(end - ends_.begin())], *end - offset};
}

void RecipeIndex::part(std::uint64_t from, std::uint64_t length, RecipeWriter& out) const {
    for (At here = at(from); length > 0 && here.extent != nullptr && out.fits(); here = at(from)) {
        const std::uint64_t part = std::min(length, here.left);
        out.add(recipe_.sources[here.extent->source],
                here.extent->from + here.extent->length - here.left, part);
        from += part;
        length -= part;
    }
}

Status bearable_effort(std::uint64_t unsealed, std::uint64_t made, std::uint64_t basis_size) {
    return unsealed <= recipe_effort * (stretches_least + made / bytes_a_stretch +
                                        2 * (basis_size / stretch_bytes))
               ? Status{}
               : fail(Code::refused, "applying a difference: it takes too little from each of too "
                                     "many places of what its basis is made of");
}

std::unique_ptr<ReadFile> assembled(Recipe recipe, std::vector<std::unique_ptr<ReadFile>> sources) {
    return std::make_unique<Assembled>(std::move(recipe), std::move(sources));
}

} // namespace hasp::sync

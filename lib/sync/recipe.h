// A content that is put together: which parts of which contents of the same user it is made of, one
// behind the other. An edit of a large file is kept so, as what is new and where the rest is.
//
//   recipe  = 0x01 number(sources) source* number(extents) extent*      (numbers.h)
//             | 0x02, the same where a source is called by its chunks (chunks.h)
//   source  = SHA-256 of a content that lies in the store itself; after 0x02 number(bytes) and the
//             name of it
//   extent  = number(which source, from 0) number(zigzag(first byte in it, less the end of the
//             extent before that was of the same source)) number(bytes, at least one)
//
// Limits: a source is unsealed by stretches (effort.h), of which some are kept at hand; reading the
// content once, from its beginning, unseals no more than four times as many as it has itself,
// whoever made the differences, and none of its stretches needs many. Private to lib/sync; pure.
#pragma once

#include "effort.h"
#include "sync/codec.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace hasp::sync {

inline constexpr std::size_t recipe_sources_max = 8;
inline constexpr std::size_t recipe_extents_max = std::size_t{64} * 1024;
inline constexpr std::size_t recipe_bytes_max = std::size_t{2} << 20;
// Extents that begin in the same stretch of the content, and stretches of sources for it.
inline constexpr std::size_t recipe_stretch_extents_max = 64;
inline constexpr std::uint64_t recipe_stretch_cost_max = 16;
// Stretches of sources for all of it: so many, and for each of its own so many.
inline constexpr std::uint64_t recipe_cost_least = 64;
inline constexpr std::uint64_t recipe_cost_a_stretch = 4;
// Of each source, for whoever reads the content.
inline constexpr std::size_t recipe_at_hand = 4;

struct Extent {
    std::size_t source = 0; // index
    std::uint64_t from = 0;
    std::uint64_t length = 0;

    friend bool operator==(const Extent&, const Extent&) = default;
};

struct Recipe {
    std::vector<std::string> sources; // hashes
    std::vector<Extent> extents;

    friend bool operator==(const Recipe&, const Recipe&) = default;
};

std::string encode_recipe(const Recipe& recipe);
// refused: it is none, or not of a content of `size` bytes.
Result<Recipe> decode_recipe(std::string_view bytes, std::uint64_t size);

// Extent by extent; those that continue the one before become part of it.
class RecipeWriter {
  public:
    void add(const std::string& source, std::uint64_t from, std::uint64_t length);
    // False: it is beyond a limit, and not to be kept.
    bool fits() const { return fits_; }
    const Recipe& recipe() const { return recipe_; }

  private:
    void cost(std::size_t source, std::uint64_t from, std::uint64_t length);

    Recipe recipe_;
    std::uint64_t size_ = 0;
    std::uint64_t stretch_ = 0; // of the content, that is under way
    std::size_t extents_of_it_ = 0;
    std::uint64_t cost_of_it_ = 0;
    std::uint64_t cost_ = 0;
    // Of each source, the stretches at hand, and 1; the last read first.
    std::vector<std::array<std::uint64_t, recipe_at_hand>> at_hand_;
    bool fits_ = true;
};

// Where each part of a content is.
class RecipeIndex {
  public:
    explicit RecipeIndex(Recipe recipe);
    const Recipe& recipe() const { return recipe_; }
    std::uint64_t size() const { return ends_.empty() ? 0 : ends_.back(); }
    struct At {
        const Extent* extent = nullptr; // nothing: behind the end
        std::uint64_t left = 0;         // of it, from there on
    };
    At at(std::uint64_t offset) const;
    // What stands there in the content, as parts of its sources; no more than there is.
    void part(std::uint64_t from, std::uint64_t length, RecipeWriter& out) const;

  private:
    Recipe recipe_;
    std::vector<std::uint64_t> ends_; // of the extents, in the content
};

// refused: `made` bytes were not worth unsealing so many stretches of a basis. A few times what
// effort.h allows of one that lies there itself; and the basis may be gone through a few times
// beside, since what is new is unpacked with what it replaces before any of it is made.
inline constexpr std::uint64_t recipe_effort = 4;
Status bearable_effort(std::uint64_t unsealed, std::uint64_t made, std::uint64_t basis_size);

// The content. `sources` in the recipe's order; each at least as long as the recipe says, else a
// read of it is refused. Any offset.
std::unique_ptr<ReadFile> assembled(Recipe recipe, std::vector<std::unique_ptr<ReadFile>> sources);

} // namespace hasp::sync

// What the keeper has signed for this tier's users toward peers, found again by peer, app and user,
// so that no request signs anything. Bounded. One thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

namespace hasp::passon {

class PeerWords {
  public:
    static constexpr std::size_t words_max = 10'000;

    // The assertion to send at this trusted time; null: the keeper is to be asked.
    std::shared_ptr<const std::string> find(std::string_view peer, std::string_view app,
                                            std::string_view user, std::int64_t trusted_us);
    // When there are words_max of them, all are forgotten: each costs one question.
    void put(std::string_view peer, std::string_view app, std::string_view user,
             std::shared_ptr<const std::string> word, std::int64_t until_us);
    void clear() { map_.clear(); }

  private:
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const {
            return std::hash<std::string_view>{}(text);
        }
    };
    struct Word {
        std::shared_ptr<const std::string> text;
        std::int64_t until_us = 0;
    };
    std::string_view key_of(std::string_view peer, std::string_view app, std::string_view user);

    std::unordered_map<std::string, Word, Hash, std::equal_to<>> map_;
    std::string scratch_;
};

} // namespace hasp::passon

#include "peer_words.h"

namespace hasp::passon {

// None of the three has a slash.
std::string_view PeerWords::key_of(std::string_view peer, std::string_view app,
                                   std::string_view user) {
    scratch_.assign(peer).append("/").append(app).append("/").append(user);
    return scratch_;
}

std::shared_ptr<const std::string> PeerWords::find(std::string_view peer, std::string_view app,
                                                   std::string_view user, std::int64_t trusted_us) {
    const auto at = map_.find(key_of(peer, app, user));
    return at == map_.end() || trusted_us >= at->second.until_us ? nullptr : at->second.text;
}

void PeerWords::put(std::string_view peer, std::string_view app, std::string_view user,
                    std::shared_ptr<const std::string> word, std::int64_t until_us) {
    if (map_.size() >= words_max) {
        map_.clear();
    }
    map_[std::string(key_of(peer, app, user))] = {std::move(word), until_us};
}

} // namespace hasp::passon

// Private: a map from text that forgets the entry longest unused when it is full.
#pragma once

#include <cstddef>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace hasp::signon {

template <typename Value>
class Lru {
  public:
    // most > 0.
    explicit Lru(std::size_t most) : most_(most) {}

    // Null when absent. Counts as a use. The pointer lives until the next call that may add.
    Value* find(std::string_view key) {
        const auto found = by_key_.find(key);
        if (found == by_key_.end()) {
            return nullptr;
        }
        entries_.splice(entries_.begin(), entries_, found->second);
        return &found->second->second;
    }

    Value& find_or_add(const std::string& key, Value fresh) {
        if (Value* there = find(key)) {
            return *there;
        }
        if (entries_.size() >= most_) {
            by_key_.erase(entries_.back().first);
            entries_.pop_back();
        }
        entries_.emplace_front(key, std::move(fresh));
        by_key_.emplace(entries_.front().first, entries_.begin());
        return entries_.front().second;
    }

    void erase(std::string_view key) {
        const auto found = by_key_.find(key);
        if (found != by_key_.end()) {
            const auto entry = found->second;
            by_key_.erase(found);
            entries_.erase(entry);
        }
    }

    std::size_t size() const { return entries_.size(); }

  private:
    using Entry = std::pair<std::string, Value>;
    std::size_t most_;
    std::list<Entry> entries_; // most recently used first
    std::unordered_map<std::string_view, typename std::list<Entry>::iterator> by_key_;
};

} // namespace hasp::signon

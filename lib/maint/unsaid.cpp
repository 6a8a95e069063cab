#include "unsaid.h"

#include <algorithm>

namespace hasp::maint {

namespace {
constexpr const char* fact = "unsaid";
} // namespace

void Unsaid::load() {
    if (loaded_) {
        return;
    }
    auto kept = store_.fact(fact);
    if (!kept.ok()) {
        log_.error("unsaid.load", kept.error().message);
        return;
    }
    loaded_ = true;
    for (const Json& message : member(parse_object(*kept), "messages")) {
        entries_.push_back({next_++, message});
    }
}

void Unsaid::save() {
    Json messages = Json::array();
    for (const Entry& entry : entries_) {
        messages.push_back(entry.message);
    }
    if (const Status kept =
            store_.set_fact(fact, entries_.empty() ? "" : dump({{"messages", messages}}));
        !kept.ok()) {
        log_.error("unsaid.keep", kept.error().message);
    }
}

Unsaid::Entry* Unsaid::find(std::int64_t number) {
    const auto at = std::find_if(entries_.begin(), entries_.end(),
                                 [&](const Entry& entry) { return entry.number == number; });
    return at == entries_.end() ? nullptr : &*at;
}

void Unsaid::say(Json message) {
    load();
    const bool connected = links_.connected(to_parent);
    Json kept = message;
    kept.erase("identity");
    const auto waits = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
        return !entry.asked && entry.message == kept;
    });
    if (waits != entries_.end() && !connected) {
        return;
    }
    if (entries_.size() >= unsaid_max) {
        entries_.pop_front();
    }
    const std::int64_t number = next_++;
    entries_.push_back({number, std::move(kept)});
    save();
    if (connected) {
        ask(number, message);
    }
}

void Unsaid::ask(std::int64_t number, const Json& message) {
    if (Entry* entry = find(number); entry != nullptr) {
        entry->asked = true;
    }
    links_.ask(to_parent, message, {}, [this, number](Result<Message> answer) {
        Entry* entry = find(number);
        if (entry == nullptr) {
            return;
        }
        // Code::usage: a parent that does not know such news never will.
        if (answer.ok() || answer.error().code == Code::usage) {
            std::erase_if(entries_, [&](const Entry& e) { return e.number == number; });
            save();
            return;
        }
        entry->asked = false;
    });
}

void Unsaid::say_again() {
    load();
    std::vector<std::pair<std::int64_t, Json>> again;
    for (const Entry& entry : entries_) {
        if (!entry.asked) {
            again.emplace_back(entry.number, entry.message);
        }
    }
    for (const auto& [number, message] : again) {
        ask(number, message);
    }
}

void Unsaid::retry() {
    if (links_.connected(to_parent)) {
        say_again();
    }
}

} // namespace hasp::maint

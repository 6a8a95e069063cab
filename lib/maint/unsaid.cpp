#include "unsaid.h"

#include <algorithm>

namespace hasp::maint {

namespace {

constexpr const char* fact = "unsaid";

// News of an account says all that news of an earlier generation said. Without a generation it is
// true of every session, which no other news is.
bool covers(const Json& later, const Json& earlier) {
    if (later == earlier) {
        return true;
    }
    for (const char* key : {"t", "user"}) {
        if (text_of(later, key) != text_of(earlier, key)) {
            return false;
        }
    }
    if (text_of(later, "t") != "identity.changed") {
        return false;
    }
    return !later.contains("generation") ||
           (earlier.contains("generation") &&
            int_of(later, "generation") >= int_of(earlier, "generation") &&
            int_of(later, "sessions_from") >= int_of(earlier, "sessions_from"));
}

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

Unsaid::Entry* Unsaid::covered_by(const Json& message) {
    const auto at = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& entry) {
        return !entry.asked && covers(message, entry.message);
    });
    return at == entries_.end() ? nullptr : &*at;
}

void Unsaid::say(Json message) {
    load();
    Json kept = message;
    kept.erase("identity");
    Entry* entry = covered_by(kept);
    if (entry == nullptr) {
        if (entries_.size() >= unsaid_max) {
            entries_.pop_front();
        }
        entry = &entries_.emplace_back(Entry{next_++, {}});
    }
    if (entry->message != kept) {
        entry->message = std::move(kept);
        save();
    }
    if (links_.connected(to_parent)) {
        ask(entry->number, message);
    }
}

void Unsaid::drop(const std::string& type, const std::string& user) {
    load();
    const auto dropped = std::erase_if(entries_, [&](const Entry& entry) {
        return text_of(entry.message, "t") == type && text_of(entry.message, "user") == user;
    });
    if (dropped > 0) {
        save();
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

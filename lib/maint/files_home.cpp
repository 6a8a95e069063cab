// Files: the home of accounts' files, and the way to it.
#include "base/text.h"
#include "files_parts.h"

#include <algorithm>

namespace hasp::maint {

namespace {

constexpr std::int64_t answer_kept_us = 600'000'000;
// How long the same question gets the same answer, if that was too long for one message.
constexpr std::int64_t answer_again_us = 60'000'000;
// An answer whose last byte was asked for stays as long as one of the last pieces may be lost.
constexpr std::int64_t answer_kept_behind_us = 20'000'000;
// One that took longer may come when its asker has given it up.
constexpr std::int64_t answer_in_time_us = 10'000'000;
// Longer than a link may be dead before it is noticed, at the slowest heartbeat.
constexpr std::int64_t heard_for_sure_us = 1'400'000'000;

// How much of an answer goes into one message.
std::size_t piece_wanted(const Json& head) {
    constexpr auto most = static_cast<std::int64_t>(file_chunk_bytes_max);
    return static_cast<std::size_t>(std::clamp<std::int64_t>(int_of(head, "bytes", most), 1, most));
}

// Of batches, the newest that the asker understands; tiers that do not say know the first.
unsigned format_of(const Json& head) {
    return static_cast<unsigned>(
        std::clamp<std::int64_t>(int_of(head, "format", sync::batch_format_first),
                                 sync::batch_format_first, sync::batch_format_newest));
}

// How much of what changed the asker has; nothing: that is none.
std::optional<sync::Position> position_of(const Json& after) {
    sync::Position out;
    if (after.is_object()) {
        const auto place = from_hex(text_of(after, "place"));
        if (!place || place->size() > sync::place_bytes_max) {
            return std::nullopt;
        }
        out = {count_of(after, "number"), *place};
    }
    return out;
}

} // namespace

Result<Files::Way> Files::way_to(const std::string& user) {
    if (!valid_name(user)) {
        return fail(Code::usage, "'" + user.substr(0, name_length_max) + "' is not an account");
    }
    if (world_.accounts.show(user).ok()) {
        return Way{true, "", world_.me.name.leaf()};
    }
    auto below = world_.store.directory(user);
    if (!below.ok()) {
        return below.error();
    }
    if (!below->empty()) {
        return Way{false, *below, *below};
    }
    if (world_.me.has_parent()) {
        return Way{false, to_parent, world_.me.name.parent().leaf()};
    }
    return fail(Code::not_found, "there is no account '" + user + "' in this realm");
}

// A parent speaks for its whole side. A child gives and gets the files of those whom its lease lets
// it keep, and of those who are logged in there now; what was written while a grant was in force,
// or he was there, is taken also later, and then answered without anything of the files.
Result<Files::Access> Files::access(const std::string& from, const std::string& user) {
    if (from == to_parent) {
        return Access::give_and_get;
    }
    auto owner = world_.store.directory(user);
    if (owner.ok() && *owner == from) {
        return Access::give_and_get; // an account of its own side
    }
    auto kept = keeps_.of(from, user);
    if (!kept.ok()) {
        return kept.error();
    }
    const std::int64_t now = world_.delegation.now().now_us;
    if (kept->until_us > now) {
        return Access::give_and_get;
    }
    if (auto grants = world_.sessions.grants_of_user(user); grants.ok()) {
        for (const signon::Grant& grant : *grants) {
            if (grant.child == from && grant.identity.until_us > world_.clock.wall_us()) {
                if (now - kept->visited_us >= visit_step_us) {
                    visits(from, user);
                }
                return Access::give_and_get;
            }
        }
    }
    if (kept->gives(now)) {
        return Access::give;
    }
    return not_kept(from, user);
}

void Files::visits(const std::string& child, const std::string& user) {
    const Status noted = keeps_.visited(child, user, world_.delegation.now().now_us);
    if (!noted.ok()) {
        world_.log.error("files.keeps", noted.error().message, {{"tier", child}});
    }
}

// Not `refused`: that is a batch that cannot be read, which is made anew then. What was sent before
// may have been taken.
Error Files::not_kept(const std::string& from, const std::string& user) const {
    return fail(Code::not_found,
                "'" + from + "' may not keep the files of '" + user +
                    "': its lease does not say so",
                "an operator of '" + world_.me.name.leaf() + "' can allow it: hasp local allow " +
                    from + " " + user);
}

void Files::serve_neighbours() {
    for (const char* type : {"files.push", "files.fetch"}) {
        world_.links.on(
            type, [this](const std::string& from, const Message& message,
                         const Links::Answer& answer) { on_question(from, message, answer); });
    }
    world_.links.on("files.changed",
                    [this](const std::string& from, const Message& message, const Links::Answer&) {
                        on_changed(from, message.head);
                    });
}

void Files::on_question(const std::string& from, const Message& message,
                        const Links::Answer& answer) {
    const FolderId folder{text_of(message.head, "user"), text_of(message.head, "app")};
    if (!valid_name(folder.user) || !valid_name(folder.app) ||
        message.body.size() > file_chunk_bytes_max) {
        answer(fail(Code::usage, "a malformed question for files"));
        return;
    }
    unless_gone(folder, asked_if_gone(message.head), answer,
                [this, from, folder, message, answer]() mutable {
                    on_question_of(from, folder, std::move(message), answer);
                });
}

void Files::on_question_of(const std::string& from, const FolderId& folder, Message message,
                           const Links::Answer& answer) {
    const bool is_push = text_of(message.head, "t") == "files.push";
    const bool only_gets =
        message.head.contains("content") ||
        (is_push && int_of(message.head, "total") <= 0 && !true_of(message.head, verdicts_only));
    auto may = access(from, folder.user);
    if (!may.ok() || *may == Access::give) {
        // It is not told of changes any more either.
        if (const auto held = holders_.find(folder); held != holders_.end()) {
            held->second.heard.erase(from);
        }
        if (may.ok() && only_gets) {
            may = not_kept(from, folder.user);
        }
    }
    if (!may.ok()) {
        world_.log.warn("files.refused", may.error().message, {{"tier", from}});
        answer(may.error());
        return;
    }
    if (*may == Access::give) {
        message.head[verdicts_only] = true;
    } else if (holders_.size() < holders_max || holders_.contains(folder)) {
        holders_[folder].heard.try_emplace(from);
    }
    pass_on(from, folder, std::move(message),
            [this, folder, answer,
             asker = Asker{from, world_.links.link_of(from), world_.clock.boot_us()}](
                Result<Message> reply) {
                hears(asker, folder, reply);
                answer(std::move(reply));
            });
}

// Who asked learns the folder's revision from the answer, and tells those below it.
void Files::hears(const Asker& asker, const FolderId& folder, const Result<Message>& reply) {
    const auto holders = holders_.find(folder);
    const std::int64_t now = world_.clock.boot_us();
    if (!reply.ok() || holders == holders_.end() ||
        world_.links.link_of(asker.neighbour) != asker.link ||
        !world_.links.has_feature(asker.neighbour, "revision") ||
        now - asker.asked_us >= answer_in_time_us) {
        return;
    }
    const auto holder = holders->second.heard.find(asker.neighbour);
    const Json& answer = member(reply->head, "answer");
    if (holder != holders->second.heard.end() && answer.contains("number")) {
        holder->second = {revision_of(answer), now};
    }
}

void Files::pass_on(const std::string& from, const FolderId& folder, Message message,
                    const Links::Answer& answer) {
    auto way = way_to(folder.user);
    if (!way.ok()) {
        answer(way.error());
        return;
    }
    if (way->here) {
        serve_here(folder, message, answer);
        return;
    }
    if (way->neighbour == from) {
        answer(fail(Code::not_found, "there is no account '" + folder.user + "' on this side"));
        return;
    }
    message.head.erase("q");
    const std::uint64_t epoch = revision_of(member(message.head, "since")).epoch;
    world_.links.ask(
        way->neighbour, std::move(message.head), std::move(message.body),
        [this, from, folder, epoch, answer,
         below = way->neighbour != to_parent](Result<Message> reply) {
            if (reply.ok() && below && true_of(reply->head, files_gone) &&
                !may_say_gone(folder.user, epoch)) {
                reply = fail(
                    Code::refused,
                    "a tier below says that files are gone which began before it had the account");
            }
            if (!reply.ok()) {
                answer(std::move(reply));
                return;
            }
            reply->head.erase("q");
            const Json made = member(reply->head, "answer");
            answer(std::move(reply));
            if (made.contains("number")) {
                changed(folder, revision_of(made), from == "-");
            }
        });
}

void Files::serve_here(const FolderId& folder, const Message& message,
                       const Links::Answer& answer) {
    if (engine_ == nullptr) {
        answer(not_opened());
    } else if (text_of(message.head, "t") == "files.push") {
        serve_push(folder, message, answer);
    } else if (message.head.contains("content")) {
        serve_piece(folder, message, answer);
    } else {
        serve_fetch(folder, message, answer);
    }
}

void Files::serve_push(const FolderId& folder, const Message& message,
                       const Links::Answer& answer) {
    const std::string tier = text_of(message.head, "tier");
    const std::string batch = text_of(message.head, "batch");
    const std::uint64_t total = count_of(message.head, "total");
    const auto position = position_of(member(message.head, "after"));
    if (!valid_name(tier) || (total > 0) != sync::valid_batch_id(batch) || !position) {
        answer(fail(Code::usage, "a malformed batch of files"));
        return;
    }
    forget_old_answers();
    if (answers_.size() >= answers_open_max) {
        answer(fail(Code::try_later, "too many tiers are fetching files at the moment"));
        return;
    }
    const std::string key =
        dump({folder.user, folder.app, tier, batch, total, member(message.head, "offset"),
              member(message.head, "since"), member(message.head, "whole"),
              member(message.head, verdicts_only), member(message.head, "format"),
              member(message.head, "after"), member(message.head, begins_anew)});
    for (auto& [name, open] : answers_) {
        if (open.key == key && world_.clock.boot_us() - open.made_us < answer_again_us) {
            open.done = false;
            open.until_us = world_.clock.boot_us() + answer_kept_us;
            answer(open.said);
            return;
        }
    }
    std::vector<Links::Answer>& asking = asking_[key];
    asking.push_back(answer);
    if (asking.size() > 1) {
        return;
    }
    auto serving = std::make_shared<Serving>();
    serving->folder = folder;
    serving->batch = batch;
    serving->total = total;
    serving->offset = count_of(message.head, "offset");
    serving->tier = tier;
    serving->key = key;
    serving->since = revision_of(member(message.head, "since"));
    serving->whole = true_of(message.head, "whole");
    serving->only_verdicts = true_of(message.head, verdicts_only);
    serving->format = format_of(message.head);
    serving->after = *position;
    serving->met = count_of(message.head, "met");
    serving->may_begin = true_of(message.head, begins_anew);
    serving->most = piece_wanted(message.head);
    serving->body = message.body;
    home_work_.run([this, serving] { receive(*serving); },
                   [this, serving] {
                       if (serving->to_scan.ok() && !serving->to_scan->file.empty()) {
                           scan(serving);
                       } else {
                           served(serving);
                       }
                   });
}

void Files::receive(Serving& serving) {
    if (serving.may_begin) {
        serving.restored = engine_->home->was_restored(serving.folder, serving.since.epoch);
        if (!serving.restored.ok() || *serving.restored) {
            return;
        }
    }
    if (serving.total > 0) {
        serving.have = engine_->home->receive(serving.folder, serving.batch, serving.offset,
                                              serving.total, serving.body);
    }
    if (!serving.have.ok() || *serving.have < serving.total) {
        return;
    }
    find_new(serving);
    if (serving.to_scan.ok() && serving.to_scan->file.empty()) {
        exchange(serving);
    }
}

void Files::exchange(Serving& serving) {
    sync::Home& home = *engine_->home;
    serving.exchanged = home.exchange(serving.question());
    serving.beside = home.changed_beside();
    serving.held = home.newly_held();
    if (world_.virus != nullptr && serving.total > 0) {
        serving.in_quarantine = look_at_quarantine();
    }
    if (!serving.exchanged->ok()) {
        return;
    }
    const sync::Home::Answer& made = **serving.exchanged;
    auto first = home.read(made.file, 0, serving.most);
    if (first.ok()) {
        serving.first = *std::move(first);
    }
    if (made.bytes <= serving.first.size()) {
        home.forget(made.file);
    }
}

void Files::served(const ServingPtr& serving) {
    const FolderId& folder = serving->folder;
    const std::vector<Links::Answer> asked = std::move(asking_[serving->key]);
    asking_.erase(serving->key);
    const auto say = [&asked](const Result<Message>& said) {
        for (const Links::Answer& one : asked) {
            one(said);
        }
    };
    for (const sync::Home::Beside& one : serving->beside) {
        changed_here(one.folder, one.revision);
    }
    if (!serving->restored.ok() || *serving->restored) {
        say(serving->restored.ok() ? Result<Message>(Message{{{begins_anew, true}}, {}})
                                   : serving->restored.error());
        return;
    }
    tell_held(serving->held);
    tell_unscanned(*serving);
    if (serving->in_quarantine) {
        in_quarantine_ = *std::move(serving->in_quarantine);
    }
    const Error* why = !serving->have.ok()      ? &serving->have.error()
                       : !serving->to_scan.ok() ? &serving->to_scan.error()
                       : serving->exchanged && !serving->exchanged->ok()
                           ? &serving->exchanged->error()
                           : nullptr;
    if (why != nullptr) {
        world_.log.warn("files.take", why->message,
                        {{"user", folder.user}, {"app", folder.app}, {"tier", serving->tier}});
        say(*why);
        return;
    }
    Json head{{"format", sync::batch_format_newest}};
    if (!serving->exchanged) {
        head["have"] = *serving->have;
        say(Message{head, {}});
        return;
    }
    const sync::Home::Answer& made = **serving->exchanged;
    const bool more = made.bytes > serving->first.size();
    Json& answer = head["answer"];
    answer = {{"bytes", made.bytes}};
    if (made.revision != serving->since) {
        answer.update(revision_json(made.revision));
    }
    if (more) {
        answer["name"] = made.file;
    }
    const Message said{head, std::move(serving->first)};
    if (more) {
        const std::int64_t now = world_.clock.boot_us();
        answers_[made.file] = {
            folder, made.bytes, serving->only_verdicts, false, now + answer_kept_us, serving->key,
            now,    said};
    }
    say(said);
    if (made.changed) {
        changed_here(folder, made.revision);
    }
}

void Files::serve_fetch(const FolderId& folder, const Message& message,
                        const Links::Answer& answer) {
    const std::string name = text_of(message.head, "answer");
    const std::uint64_t offset = count_of(message.head, "offset");
    const auto open = answers_.find(name);
    if (open == answers_.end() || open->second.folder != folder ||
        (true_of(message.head, verdicts_only) && !open->second.verdicts_only)) {
        answer(fail(Code::try_later, "that answer is no longer kept: ask anew"));
        return;
    }
    open->second.until_us = world_.clock.boot_us() + answer_kept_us;
    auto bytes = std::make_shared<Result<std::string>>(std::string());
    home_work_.run(
        [this, bytes, name, offset, most = piece_wanted(message.head)] {
            *bytes = engine_->home->read(name, offset, most);
        },
        [this, bytes, name, offset, answer] {
            if (!bytes->ok()) {
                answer(bytes->error());
                return;
            }
            const auto still = answers_.find(name);
            if (still != answers_.end() && offset + (*bytes)->size() >= still->second.bytes) {
                still->second.done = true; // unless one of the last pieces is lost
                still->second.until_us = world_.clock.boot_us() + answer_kept_behind_us;
            }
            answer(Message{Json::object(), **bytes});
        });
}

void Files::forget_old_answers() {
    const std::int64_t now = world_.clock.boot_us();
    std::vector<std::string> old;
    const bool full = answers_.size() >= answers_open_max;
    for (const auto& [name, open] : answers_) {
        if (open.until_us < now || (full && open.done)) {
            old.push_back(name);
        }
    }
    for (const std::string& name : old) {
        answers_.erase(name);
        home_work_.run([this, name] { engine_->home->forget(name); }, [] {});
    }
}

void Files::changed_here(const FolderId& folder, sync::Revision revision) {
    for (auto& [name, open] : answers_) {
        if (open.folder == folder && revision_of(member(open.said.head, "answer")) != revision) {
            open.key.clear(); // still fetched, but nobody's answer from now on
        }
    }
    changed(folder, revision, false);
}

void Files::on_changed(const std::string& from, const Json& head) {
    const FolderId id{text_of(head, "user"), text_of(head, "app")};
    if (!valid_name(id.user) || !valid_name(id.app)) {
        return;
    }
    auto way = way_to(id.user);
    if (!way.ok() || way->here || way->neighbour != from) {
        return; // not from where the home is
    }
    const sync::Revision revision = revision_of(head);
    if (revision.epoch == 0) {
        tell_gone(id);
        ask_if_gone(id);
    } else {
        changed(id, revision, false);
    }
}

void Files::changed(const FolderId& id, sync::Revision revision, bool known_here) {
    tell_holders(id, revision);
    const auto held = folders_.find(id);
    if (known_here || held == folders_.end() || !holds(id.app)) {
        return;
    }
    Folder& folder = *held->second;
    folder.hint = std::max(folder.hint, static_cast<std::int64_t>(revision.number));
    const bool known = folder.status.revision == revision;
    if (!folder.running && !known) {
        schedule(id, 0);
        start_due();
    }
}

void Files::tell_holders(const FolderId& folder, sync::Revision revision) {
    const auto holders = holders_.find(folder);
    if (holders == holders_.end()) {
        return;
    }
    holders->second.newest = revision;
    for (auto& [neighbour, heard] : holders->second.heard) {
        if (heard.revision != revision) {
            tell(folder, neighbour, heard, revision);
        }
    }
}

void Files::tell(const FolderId& folder, const std::string& neighbour, Heard& heard,
                 sync::Revision revision) {
    if (!world_.links.connected(neighbour)) {
        return;
    }
    world_.links.tell(neighbour, {{"t", "files.changed"},
                                  {"user", folder.user},
                                  {"app", folder.app},
                                  {"epoch", revision.epoch},
                                  {"number", revision.number}});
    heard = {revision, world_.clock.boot_us()};
}

void Files::doubt_heard(const std::string& neighbour) {
    const std::int64_t now = world_.clock.boot_us();
    for (auto& [folder, holders] : holders_) {
        const auto one = holders.heard.find(neighbour);
        if (one != holders.heard.end() && now - one->second.at_us < heard_for_sure_us) {
            one->second = {};
        }
    }
}

void Files::tell_again(const std::string& neighbour) {
    doubt_heard(neighbour); // a new link may come in the place of a dead one
    for (auto& [folder, holders] : holders_) {
        const auto one = holders.heard.find(neighbour);
        if (one != holders.heard.end() && holders.newest != sync::Revision{} &&
            one->second.revision != holders.newest) {
            tell(folder, neighbour, one->second, holders.newest);
        }
    }
}

Status Files::signed_keeps(const std::string& child, const std::vector<trust::KeepGrant>& keeps) {
    return keeps_.put(child, keeps, world_.delegation.now().now_us);
}

void Files::child_revoked(const std::string& child) {
    for (auto& [folder, holders] : holders_) {
        holders.heard.erase(child);
    }
    if (const Status gone = keeps_.forget(child); !gone.ok()) {
        world_.log.error("files.keeps", gone.error().message, {{"tier", child}});
    }
}

} // namespace hasp::maint

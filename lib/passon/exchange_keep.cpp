// What an answer does to the cache: it is stored, it confirms or replaces what is stored, and after
// an unsafe request it makes an end of it (RFC 9111 §3, §4.3, §4.4).
#include "exchange.h"

#include "base/text.h"
#include "core.h"
#include "link_fields.h"
#include "net/fields.h"
#include "passon/request_rules.h"
#include "request_fields.h"

#include <algorithm>

namespace hasp::passon {
namespace {

// Fields that a tier writes, or that carry who asks: an answer that varies on one is not for the
// next user.
bool is_set_by_tiers(std::string_view name, const registry::Snapshot& snapshot) {
    switch (net::name_id(name)) {
    case net::Name::authorization:
    case net::Name::cdn_loop:
    case net::Name::traceparent:
    case net::Name::tracestate:
    case net::Name::x_request_id:
        return true;
    default:
        return is_forgeable(name, &snapshot);
    }
}

bool sets_cookie(const net::Headers& headers) {
    return headers.has(net::Name::set_cookie) || headers.has(net::Name::set_cookie2);
}

// What every client sends for itself, whichever tiers are between.
bool is_plain_choice(std::string_view name) {
    return name == "accept" || name == "accept-encoding" || name == "accept-language" ||
           name == "origin" || name == "user-agent" || name == "cookie";
}

} // namespace

// The value of a request's field as Vary compares it; of cookies, the app's own.
std::string Exchange::vary_text(std::string_view name) const {
    if (name != "cookie") {
        return cache::vary_value(head.headers, name);
    }
    std::string out;
    for (const net::Header* field = head.headers.find(net::Name::cookie); field != nullptr;
         field = head.headers.next(*field)) {
        filter_cookies(out, field->value, false);
        out += ';';
    }
    return out;
}

// Only the tier that serves the app knows all the names under which it is told who asks. Where
// nobody said what it found, only the names count that cannot be among them.
bool Exchange::varies_on_ours(const net::Headers& answer) const {
    std::vector<std::string> names;
    if (!cache::vary_names(answer, names)) {
        return true;
    }
    const bool here = verdict_ == registry::Verdict::here;
    return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
        return is_set_by_tiers(name, *snapshot_) ||
               (!here && !cached_.told && !is_plain_choice(name));
    });
}

void Exchange::learn_of_app(const net::AnswerHead& answer) {
    CacheUse& use = cached_;
    if (verdict_ != registry::Verdict::here) {
        use.release.clear();
        use.open = who_ == nullptr; // it was answered to somebody who is not signed on
        if (const net::Header* field = answer.headers.find(link_cache)) {
            use.told = true;
            net::ListItems items(field->value);
            while (const auto item = items.next()) {
                if (item->starts_with("release=") && item->size() <= 8 + 128) {
                    use.release.assign(item->substr(8));
                }
                use.open = use.open || *item == "open";
                use.stale_above = use.stale_above || *item == "stale";
                use.varies_on_ours = use.varies_on_ours || *item == "one-user";
            }
        }
        core_.cache->told_release(app_name_, use.release);
    }
    use.varies_on_ours = use.varies_on_ours ||
                         (answer.headers.has(net::Name::vary) && varies_on_ours(answer.headers));
}

// True: the client has a stored answer for this one.
bool Exchange::take_for_cache(const net::AnswerHead& answer, std::size_t head_bytes) {
    CacheUse& use = cached_;
    learn_of_app(answer);
    const bool failed = answer.status == 500 || answer.status == 502 || answer.status == 503 ||
                        answer.status == 504;
    if (failed && use.entry) {
        why_ = "the app answered with " + std::to_string(answer.status);
        if (stand_in(cache::Trouble::server_error)) {
            return true;
        }
        if (!up_) {
            notice(Notice::bad_answer); // what is stored turned out to be damaged
            return true;
        }
        why_.clear();
    }
    if (use.validating && answer.status == 304) {
        // A word of somebody who has it from nobody confirms nothing.
        if (use.stale_above && stand_in(cache::Trouble::disconnected)) {
            return true;
        }
        if (!up_) {
            notice(Notice::bad_answer); // as above
            return true;
        }
        confirm(answer, head_bytes);
        return true;
    }
    if (head.method == net::Method::head && use.entry && answer.status == 200) {
        update_by_head(answer);
    }
    choose_scope(answer);
    return false;
}

void Exchange::choose_scope(const net::AnswerHead& answer) {
    CacheUse& use = cached_;
    const bool whole = answer.framing == net::Framing::chunked ||
                       (answer.framing == net::Framing::length &&
                        answer.content_length <= core_.settings.cache_object_bytes_max) ||
                       (answer.framing == net::Framing::none && answer.status == 204);
    // Most answers say that they may not, and who asked need not be looked at.
    use.scope = cache::may_be_stored(answer.status, answer.headers, whole)
                    ? cache::scope_of(answer.status, answer.headers, asked_by(), whole)
                    : cache::Scope::none;
    if (use.scope == cache::Scope::shared && use.varies_on_ours) {
        use.scope = use.owner_group != 0 ? cache::Scope::owner : cache::Scope::none;
    }
    if (use.scope != cache::Scope::none) {
        use.writer = core_.cache->store().writer();
    }
    if (use.writer == nullptr) {
        use.scope = cache::Scope::none;
    }
    if (use.scope == cache::Scope::shared || use.leads) {
        core_.cache->was_shared(AnswerCache::kind_of(app_name_, use.target),
                                use.scope == cache::Scope::shared);
    }
    if (use.scope == cache::Scope::shared || !use.leads) {
        return;
    }
    if (use.scope == cache::Scope::none) {
        core_.cache->not_stored(use.shared_group);
    }
    use.leads = false;
    core_.cache->landed(use.shared_group);
}

// The fields of an answer as they go out, merged into the label of what is stored. False: it does
// not fit, or is about another content.
bool Exchange::merge_answer(const net::AnswerHead& answer) {
    CacheUse& use = cached_;
    std::string_view text;
    if (!write_answer_head(answer, net::Framing::none, text)) {
        return false;
    }
    net::AnswerHead& newer = core_.answer_head; // what it held is written
    const net::ParseResult parsed =
        net::parse_answer_head(text, newer, {true, false}, core_.head_limits());
    if (!parsed.done() || !cache::parse_head(use.label, core_.stored_head) ||
        !cache::confirms(core_.stored_head.headers, newer.headers)) {
        return false;
    }
    const std::string_view first =
        std::string_view(use.label.head).substr(0, use.label.head.find('\n') + 1);
    std::string merged(first);
    cache::merge_fields(core_.stored_head.headers, newer.headers, merged);
    merged.append("\r\n");
    use.label.head = std::move(merged);
    use.label.request_s = cached_.now_s;
    use.label.response_s = core_.wall_us() / 1'000'000;
    use.label.confirmed_s = use.label.response_s;
    use.label.release = use.release;
    use.label.open = use.open;
    if (!cache::parse_head(use.label, core_.stored_head)) {
        return false;
    }
    const net::AnswerHead& now = core_.stored_head;
    use.fresh =
        cache::freshness_of(now.status, now.headers,
                            use.label.owner.empty() ? cache::Scope::shared : cache::Scope::owner,
                            use.label.request_s, use.label.response_s);
    if (!may_stay_stored(now)) {
        // This client gets it still: the entry lives as long as it is sent.
        core_.cache->store().drop(use.entry);
        return true;
    }
    const cache::EntryRef renewed = core_.cache->store().relabel(use.entry, cache::pack(use.label));
    if (renewed != nullptr) {
        use.entry = renewed;
    }
    return true;
}

// Whether what was confirmed may be given to the same people as before: what confirmed it may have
// been said to one user, or that there is to be no sharing any more.
bool Exchange::may_stay_stored(const net::AnswerHead& now) const {
    const bool shared = cached_.label.owner.empty();
    cache::AskedBy by;
    by.get = true;
    by.may_own = by.identity = !shared;
    const cache::Scope scope = cache::scope_of(now.status, now.headers, by, true);
    return shared ? scope == cache::Scope::shared && !sets_cookie(now.headers)
                  : scope != cache::Scope::none;
}

void Exchange::confirm(const net::AnswerHead& answer, std::size_t head_bytes) {
    const bool reusable = answer.keep_alive && answer.framing == net::Framing::none;
    const bool merged = merge_answer(answer);
    up_->wire.in.consume(head_bytes);
    release_up(reusable);
    due(Due::nothing);
    cached_.asked = true;
    cached_.now_s = core_.wall_us() / 1'000'000;
    if (merged) {
        AnswerCache& cache = *core_.cache; // this exchange may end below
        const std::uint64_t group = cached_.shared_group;
        const bool leads = std::exchange(cached_.leads, false);
        if (serve_stored()) {
            if (leads) {
                cache.landed(group);
            }
            return;
        }
        cached_.leads = leads;
    }
    // It is of no use after all, or damaged: the whole answer, then, for those who wait, too. By
    // what the client has it could be a 304 again, about the same other content.
    if (cached_.entry) {
        core_.cache->store().drop(cached_.entry);
        cached_.entry.reset();
    }
    cached_.validating = false;
    cached_.anew = true;
    cached_.asked = false;
    acquire(false);
}

// What HEAD says of a stored answer (§4.3.5): still that one, or another.
void Exchange::update_by_head(const net::AnswerHead& answer) {
    CacheUse& use = cached_;
    const std::string_view etag = answer.headers.value(net::Name::etag);
    const std::string_view modified = answer.headers.value(net::Name::last_modified);
    // Without a length nobody knows whether what a GET brings would be coded: what is stored tells.
    if (coding_ != net::Coding::identity && !answer.has_length &&
        cache::parse_head(use.label, core_.stored_head) &&
        net::coding_name(coding_) != core_.stored_head.headers.value(net::Name::content_encoding)) {
        coding_ = net::Coding::identity;
    }
    const bool coded = coding_ != net::Coding::identity; // then the length is not that of the body
    core_.text.clear();
    if (coded) {
        net::append_coded_etag(core_.text, etag);
    } else {
        core_.text.append(etag);
    }
    const std::string_view coding =
        coded ? net::coding_name(coding_) : answer.headers.value(net::Name::content_encoding);
    const bool same =
        cache::parse_head(use.label, core_.stored_head) &&
        coding == core_.stored_head.headers.value(net::Name::content_encoding) &&
        (etag.empty() || core_.text == use.etag) &&
        (modified.empty() || modified == use.modified) &&
        (coded || !answer.has_length || answer.content_length == use.entry->body_bytes());
    if (!same) {
        core_.cache->store().drop(use.entry);
        use.entry.reset();
        return;
    }
    // What is written of the answer is written again for the client: its fields must outlive this.
    const net::AnswerHead kept = answer;
    merge_answer(kept);
    core_.answer_head = kept;
}

void Exchange::begin_keeping(std::string_view text) {
    CacheUse& use = cached_;
    if (!use.writer) {
        return;
    }
    net::AnswerHead& out = core_.stored_head;
    const net::ParseResult parsed = net::parse_answer_head(text, out, {}, core_.head_limits());
    std::vector<std::string> names;
    if (!parsed.done() || !cache::vary_names(out.headers, names)) {
        use.writer.reset();
        return;
    }
    cache::Label& label = use.writing;
    label.owner = use.scope == cache::Scope::owner ? who_->identity->user : std::string();
    label.app = app_name_;
    label.origin = use.origin;
    label.mount = mount_;
    label.target = use.target;
    label.vary.clear();
    for (const std::string& name : names) {
        label.vary.emplace_back(name, vary_text(name));
    }
    label.release = use.release;
    label.open = use.open;
    label.request_s = cached_.now_s;
    label.response_s = core_.wall_us() / 1'000'000;
    label.confirmed_s = label.response_s;
    const std::string_view unwanted = cache::answer_directives(out.headers).no_cache_fields;
    label.head.assign(text.substr(0, text.find('\n') + 1));
    for (const net::Header& field : out.headers) {
        if (!cache::is_not_stored(field) && !net::list_has(unwanted, field.name)) {
            label.head.append(field.name).append(": ").append(field.value).append("\r\n");
        }
    }
    label.head.append("\r\n");
    answer_.copy_to(use.writer.get());
}

void Exchange::finish_keeping() {
    CacheUse& use = cached_;
    cache::Store& store = core_.cache->store();
    const std::uint64_t group =
        use.scope == cache::Scope::owner ? use.owner_group : use.shared_group;
    // What was stored for the same request is replaced.
    cache::Label other;
    for (const cache::EntryRef& one : store.find(group)) {
        if (store.label(one, core_.text) && cache::unpack(core_.text, other) &&
            other.owner == use.writing.owner && other.origin == use.writing.origin &&
            other.app == use.writing.app && other.mount == use.writing.mount &&
            other.target == use.writing.target && other.vary == use.writing.vary) {
            store.drop(one);
        }
    }
    if (use.writer->commit(group, cache::pack(use.writing)) != nullptr) {
        ++core_.counters.cache.stored;
        if (down_->beside) {
            ++core_.counters.cache.refreshed;
        }
    }
    use.writer.reset();
    if (std::exchange(use.leads, false)) {
        core_.cache->landed(use.shared_group);
    }
}

// After a request that may have changed something, and was not refused (§4.4).
void Exchange::forget_changed(const net::AnswerHead& answer, std::string_view text) {
    if (answer.status < 200 || answer.status >= 400 || head.method_text == "PROPFIND" ||
        head.method_text == "REPORT") {
        return;
    }
    if (!core_.cache) {
        core_.parts.keeper.answers_changed(); // another engine has them
        return;
    }
    const std::string_view owner =
        who_ ? std::string_view(who_->identity->user) : std::string_view{};
    core_.text.assign(head.path);
    if (head.has_query) {
        core_.text.append("?").append(head.query);
    }
    core_.cache->invalidate(app_name_, owner, core_.text, mount_);
    net::AnswerHead& out = core_.stored_head;
    if (!net::parse_answer_head(text, out, {}, core_.head_limits()).done()) {
        return;
    }
    const std::string origin = std::string(scheme_) + "://" + std::string(authority_);
    for (const net::Header& field : out.headers) {
        std::string_view at = field.value;
        if (field.id != net::Name::location && !iequals(field.name, "content-location")) {
            continue;
        }
        if (at.starts_with(origin)) {
            at.remove_prefix(origin.size());
        }
        if (!at.starts_with('/') || at.starts_with("//")) {
            continue;
        }
        at = at.substr(0, at.find('#'));
        core_.cache->invalidate(app_name_, owner, at, mount_);
        // A plain path in Content-Location may be one that begins at the app (request_rules.h).
        if (field.id != net::Name::location && !mount_.empty() && !mount_fits(at, mount_)) {
            core_.cache->invalidate(app_name_, owner, std::string(mount_).append(at), mount_);
        }
    }
}

} // namespace hasp::passon

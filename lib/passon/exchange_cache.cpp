// Before a request is forwarded: is its answer here, may it be used, and does another fetch it?
#include "exchange.h"

#include "base/text.h"
#include "core.h"
#include "net/fields.h"
#include "passon/request_rules.h"
#include "request_fields.h"

#include <algorithm>

namespace hasp::passon {
namespace {

// Not sent again when the cache asks for itself: the whole answer is wanted, under its own
// conditions.
bool is_of_one_client(const net::Header& field) {
    switch (field.id) {
    case net::Name::host:
    case net::Name::range:
    case net::Name::if_range:
    case net::Name::if_match:
    case net::Name::if_none_match:
    case net::Name::if_modified_since:
    case net::Name::if_unmodified_since:
    case net::Name::cache_control:
    case net::Name::x_request_id:
        return true;
    default:
        return is_hop_by_hop(field.id);
    }
}

} // namespace

void Exchange::seek() {
    if (core_.cache == nullptr || core_.cache->leaving() || !ask_cache()) {
        acquire(false);
    }
}

// Answers of apps that are passed on, or come from a process or an address.
bool Exchange::takes_part() const {
    using registry::Verdict;
    return (head.method == net::Method::get || head.method == net::Method::head) &&
           head.framing == net::Framing::none && !head.upgrade &&
           (verdict_ == Verdict::here || verdict_ == Verdict::parent) &&
           core_.cache->store().ready();
}

// The account may use the app. What was stored from the answer to a signed-on user is for those
// who are signed on and may: nobody else has asked the tier that serves it.
bool Exchange::entitled() const {
    if (!who_) {
        return false;
    }
    const auto& apps = who_->identity->apps;
    return authorised_by_parent_ ||
           std::binary_search(apps.begin(), apps.end(),
                              app_ ? app_.hash() : registry::name_hash(app_name_));
}

bool Exchange::has_app_cookie() const {
    for (const net::Header* field = head.headers.find(net::Name::cookie); field != nullptr;
         field = head.headers.next(*field)) {
        net::Cookies cookies(field->value);
        while (const auto cookie = cookies.next()) {
            if (!is_own_cookie(cookie->name)) {
                return true;
            }
        }
        if (cookies.malformed()) {
            return true; // whoever reads it otherwise
        }
    }
    return false;
}

cache::AskedBy Exchange::asked_by() const {
    cache::AskedBy by;
    by.get = head.method == net::Method::get && cached_.may_fetch_whole;
    by.no_store = cached_.wants.no_store;
    by.identity = who_ != nullptr;
    by.authorization = head.headers.has(net::Name::authorization) && !by_credential_;
    by.cookie = has_app_cookie();
    by.may_own = cached_.owner_group != 0;
    return by;
}

void Exchange::begin_cached() {
    CacheUse& use = cached_;
    use.on = true;
    use.now_s = core_.wall_us() / 1'000'000;
    use.wants = cache::request_directives(head.headers);
    use.may_fetch_whole = !head.headers.has(net::Name::range);
    use.target.assign(head.path);
    if (head.has_query) {
        use.target.append("?").append(head.query);
    }
    use.origin.assign(scheme_).append("://").append(authority_);
    if (verdict_ == registry::Verdict::here) {
        use.release.assign(app_.release());
        use.open = app_.access() == registry::Access::open;
    }
    const cache::Store& store = core_.cache->store();
    use.shared_group = store.group_of(app_name_, use.target, mount_);
    // Where the user is, and nowhere else, an answer is kept for him alone.
    if (who_ && down_->from() == From::user && entitled()) {
        use.owner_group = store.group_of(use.shared_group, who_->identity->user);
    }
}

// True: the request has its answer, or waits for one.
bool Exchange::ask_cache() {
    CacheUse& use = cached_;
    if (!use.on) {
        if (!takes_part()) {
            return false;
        }
        begin_cached();
    }
    use.forwarded = Forwarded::uri_miss;
    if (use.wants.no_store) {
        use.forwarded = Forwarded::request;
    } else {
        find_stored();
    }
    if (use.entry) {
        const std::int64_t now_s = use.now_s;
        const cache::Use how = cache::use_of(use.fresh, use.wants, now_s, is_confirmed());
        use.forwarded = use.fresh.left_s(now_s) > 0 ? Forwarded::request : Forwarded::stale;
        if (how == cache::Use::as_it_is || (how == cache::Use::and_renew && !down_->beside)) {
            use.forwarded = Forwarded::not_at_all;
            if (serve_stored()) {
                return true;
            }
            use.forwarded = Forwarded::uri_miss;
        }
    }
    if (use.wants.only_if_cached) {
        use.entry.reset();
        why_ = "only-if-cached, and it is not";
        answer_own(504, {}, "text/plain; charset=utf-8", "This is not kept here.\n");
        return true;
    }
    if (wait_for_other()) {
        return true;
    }
    use.validating = use.entry && use.may_fetch_whole && head.method == net::Method::get &&
                     use.fresh.has_validator;
    return false;
}

bool Exchange::is_confirmed() const {
    const std::int64_t at_s = cached_.label.confirmed_s;
    return at_s >= core_.cache->confirm_from_s() &&
           (verdict_ == registry::Verdict::here || at_s >= core_.cache->link_up_s());
}

void Exchange::find_stored() {
    if (cached_.owner_group == 0 || !find_in(cached_.owner_group, true)) {
        find_in(cached_.shared_group, false);
    }
}

bool Exchange::find_in(std::uint64_t group, bool own) {
    CacheUse& use = cached_;
    cache::Store& store = core_.cache->store();
    for (cache::EntryRef& entry : store.find(group)) {
        std::string& bytes = core_.text;
        if (!store.label(entry, bytes) || !cache::unpack(bytes, use.label)) {
            continue;
        }
        bool varies = false;
        if (!answers_this(use.label, own, varies)) {
            if (varies) {
                use.forwarded = Forwarded::vary_miss;
            }
            continue;
        }
        if (!is_current(use.label.release) || !cache::parse_head(use.label, core_.stored_head)) {
            store.drop(entry);
            continue;
        }
        const net::AnswerHead& stored = core_.stored_head;
        use.fresh = cache::freshness_of(stored.status, stored.headers,
                                        own ? cache::Scope::owner : cache::Scope::shared,
                                        use.label.request_s, use.label.response_s);
        use.etag.assign(stored.headers.value(net::Name::etag));
        use.modified.assign(stored.headers.value(net::Name::last_modified));
        use.entry = std::move(entry);
        return true;
    }
    return false;
}

// A release that was switched away answers no more. What answers now the catalog says, and where
// that says nothing, the last answer.
bool Exchange::is_current(std::string_view release) const {
    if (verdict_ == registry::Verdict::here) {
        return release == app_.release();
    }
    if (const registry::App known = snapshot_->find(app_name_); known && !known.release().empty()) {
        return release == known.release();
    }
    return core_.cache->is_current(app_name_, release);
}

bool Exchange::answers_this(const cache::Label& label, bool own, bool& varies) {
    if (label.app != app_name_ || label.origin != cached_.origin || label.mount != mount_ ||
        label.target != cached_.target ||
        label.owner != (own ? std::string_view(who_->identity->user) : std::string_view{}) ||
        !(label.open || entitled())) {
        return false;
    }
    varies = true;
    return std::all_of(label.vary.begin(), label.vary.end(),
                       [this](const auto& one) { return vary_text(one.first) == one.second; });
}

// Only for what was stored before, or may well be: requests that are answered one by one anyhow
// must not wait for one another.
bool Exchange::wait_for_other() {
    CacheUse& use = cached_;
    if (use.waited || use.leads || !use.may_fetch_whole || head.method != net::Method::get ||
        use.wants.no_store || use.wants.no_cache || core_.cache->seldom_stored(use.shared_group)) {
        return false;
    }
    const cache::AskedBy by = asked_by();
    if (!use.entry && (by.authorization ||
                       ((who_ || by.cookie) &&
                        !core_.cache->often_shared(AnswerCache::kind_of(app_name_, use.target))))) {
        return false;
    }
    if (use.entry && !use.label.owner.empty()) {
        return false;
    }
    if (core_.cache->lead(use.shared_group)) {
        use.leads = true;
        return false;
    }
    if (down_->beside || !core_.cache->wait(use.shared_group, *this)) {
        return false;
    }
    ++core_.counters.cache.collapsed;
    use.waited = true;
    at_ = At::collapsed;
    due(Due::collapsed);
    return true;
}

void Exchange::on_landed() {
    if (at_ != At::collapsed) {
        return;
    }
    due(Due::nothing);
    cached_.entry.reset();
    cached_.now_s = core_.wall_us() / 1'000'000;
    seek();
}

// The stored answer goes out as it is; a request of the cache's own brings the next one.
void Exchange::renew_beside() {
    std::string text;
    text.append("GET ").append(cached_.target).append(" HTTP/1.1\r\nHost: ");
    text.append(authority_).append("\r\n");
    for (const net::Header& field : head.headers) {
        if (!is_of_one_client(field)) {
            text.append(field.name).append(": ").append(field.value).append("\r\n");
        }
    }
    text.append("\r\n");
    core_.cache->refresh(cached_.shared_group, *this, std::move(text));
}

// Nobody answers, or with an error: what is stored is better than nothing, if it may be used so.
bool Exchange::stand_in(cache::Trouble trouble) {
    if (answered_ || !cached_.entry ||
        !cache::may_stand_in(cached_.fresh, trouble, core_.settings.cache_disconnected_s,
                             cached_.now_s)) {
        return false;
    }
    release_up(false);
    due(Due::nothing);
    return serve_stored();
}

bool Exchange::leave_cache() {
    if (!cached_.on) {
        return true;
    }
    if (cached_.served || !answered_) {
        return false; // its bytes come from there, or may yet
    }
    answer_.copy_to(nullptr);
    end_cached();
    return true;
}

void Exchange::end_cached() {
    CacheUse& use = cached_;
    if (use.waited) {
        core_.cache->forget(*this);
    }
    if (use.leads) {
        core_.cache->landed(use.shared_group);
    }
    use.entry.reset();
    use.writer.reset();
    use.on = use.waited = use.leads = use.validating = use.anew = use.may_fetch_whole = use.served =
        use.asked = use.told = use.stale_above = use.open = use.varies_on_ours = false;
    use.scope = cache::Scope::none;
    use.forwarded = Forwarded::not_at_all;
    use.owner_group = 0;
    use.release.clear();
}

} // namespace hasp::passon

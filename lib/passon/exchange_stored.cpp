// A stored answer on its way out: the client's conditions, one range, and Cache-Status (RFC 9111
// §4, RFC 9211).
#include "exchange.h"

#include "core.h"
#include "link_fields.h"
#include "net/fields.h"
#include "net/write_head.h"
#include "request_fields.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace hasp::passon {
namespace {

constexpr int pieces_a_turn = 8; // 512 KiB in one turn of the loop

// Fields about a body that is not sent (RFC 9110 §15.4.5).
bool is_of_body(const net::Header& field) {
    return field.id == net::Name::content_type || field.id == net::Name::content_encoding ||
           field.id == net::Name::content_range;
}

std::string_view word_of(Forwarded why) {
    switch (why) {
    case Forwarded::not_at_all:
        return {};
    case Forwarded::bypass:
        return "bypass";
    case Forwarded::uri_miss:
        return "uri-miss";
    case Forwarded::vary_miss:
        return "vary-miss";
    case Forwarded::stale:
        return "stale";
    case Forwarded::request:
        return "request";
    }
    return {};
}

} // namespace

// False: it is damaged, and not used; nothing was sent then.
bool Exchange::serve_stored() {
    CacheUse& use = cached_;
    cache::Store& store = core_.cache->store();
    const cache::EntryRef entry = use.entry;
    if (!cache::parse_head(use.label, core_.stored_head) ||
        (entry->pieces() > 0 && !store.read(entry, 0, core_.file_chunk))) {
        store.drop(entry);
        use.entry.reset();
        return false;
    }
    const net::AnswerHead& stored = core_.stored_head;
    const std::int64_t now_s = use.now_s;
    const std::uint64_t size = entry->body_bytes();
    int status = stored.status;
    net::Ranges ranges;
    if (status == 200) {
        const cache::Condition condition =
            cache::condition_of(head.headers, stored.headers, use.label.response_s, now_s);
        if (condition == cache::Condition::not_modified) {
            status = 304;
        } else if (condition == cache::Condition::failed) {
            status = 412;
        } else if (head.method == net::Method::get && head.headers.has(net::Name::range) &&
                   cache::if_range_matches(head.headers, stored.headers, now_s)) {
            ranges = net::parse_range(head.headers.value(net::Name::range), size);
            if (ranges.kind == net::Ranges::Kind::unsatisfiable) {
                status = 416;
            } else if (ranges.kind == net::Ranges::Kind::satisfiable && ranges.count == 1) {
                status = 206;
            }
        }
    }
    const bool whole = status == stored.status;
    std::uint64_t length = whole ? size : 0;
    std::uint64_t from = 0;
    if (status == 206) {
        from = ranges.ranges[0].first;
        length = ranges.ranges[0].size();
    }
    use.served = true;
    if (!write_stored_head(status, ranges, length)) {
        use.served = false;
        return false;
    }
    EngineCounters& counted = core_.counters;
    const bool late = use.fresh.left_s(now_s) <= 0;
    ++(use.asked                                ? counted.cache.confirmed
       : use.forwarded == Forwarded::not_at_all ? counted.cache.hits
                                                : counted.cache.stale);
    store.used(entry);
    use.left = head.method == net::Method::head ? 0 : length;
    use.piece = 0;
    use.skip = from;
    while (use.left > 0 && use.skip >= entry->piece_bytes(use.piece)) {
        use.skip -= entry->piece_bytes(use.piece++);
    }
    if (late && use.forwarded == Forwarded::not_at_all && !use.asked && !down_->beside) {
        renew_beside(); // before the head's buffer is given back
    }
    at_ = At::stored;
    answered_ = true;
    send_stored();
    return true;
}

bool Exchange::write_stored_head(int status, const net::Ranges& ranges, std::uint64_t length) {
    const net::AnswerHead& stored = core_.stored_head;
    keep_ = keep_ && request_body_done() && !core_.draining;
    net::HeadWriter out(core_.head_out);
    out.status_line(status);
    const bool with_body = status == stored.status || status == 206;
    // A neighbour stores what a 304 changes, a new type too (RFC 9111 §3.2).
    const bool to_cache = status == 304 && down_->from() != From::user;
    for (const net::Header& field : stored.headers) {
        if (field.id != net::Name::age && (with_body || !is_of_body(field) ||
                                           (to_cache && field.id == net::Name::content_type))) {
            out.copy(field);
        }
    }
    const std::uint64_t size = cached_.entry->body_bytes();
    std::array<char, 80> text{};
    if (status == 206) {
        const int bytes = std::snprintf(text.data(), text.size(), "bytes %llu-%llu/%llu",
                                        static_cast<unsigned long long>(ranges.ranges[0].first),
                                        static_cast<unsigned long long>(ranges.ranges[0].last),
                                        static_cast<unsigned long long>(size));
        out.trusted("Content-Range", {text.data(), static_cast<std::size_t>(bytes)});
    } else if (status == 416) {
        const int bytes = std::snprintf(text.data(), text.size(), "bytes */%llu",
                                        static_cast<unsigned long long>(size));
        out.trusted("Content-Range", {text.data(), static_cast<std::size_t>(bytes)});
    }
    out.field("Age", static_cast<std::uint64_t>(cached_.fresh.age_s(cached_.now_s)));
    tell_cache_status(out);
    tell_link_cache(out);
    tell_request_id(out);
    if (status != 304 && status != 204) {
        out.framing(net::Framing::length, length);
    }
    write_connection_field(out, head, keep_);
    out.end();
    if (out.failed()) {
        return false;
    }
    status_ = status;
    head_text_ = out.text();
    return true;
}

// One member a tier, that of the tier nearest to the app first.
void Exchange::tell_cache_status(net::HeadWriter& out) const {
    const CacheUse& use = cached_;
    // Of a tier's name each part begins with a letter: it is a token (RFC 9651 §3.3.4).
    out.block("Cache-Status: ");
    out.block(snapshot_->tier());
    if (use.forwarded == Forwarded::not_at_all) {
        out.block("; hit; ttl=");
        out.block(std::to_string(use.fresh.left_s(use.now_s)));
    } else {
        out.block("; fwd=");
        out.block(word_of(use.forwarded));
        if (use.served && use.asked) {
            out.block("; fwd-status=304");
        } else if (use.served) {
            out.block("; detail=stand-in");
        } else if (use.scope != cache::Scope::none) {
            out.block("; stored");
        }
        if (use.waited) {
            out.block("; collapsed");
        }
    }
    out.block("\r\n");
}

// To a neighbour, for its own cache; not to a peer, which keeps nothing of what is here.
void Exchange::tell_link_cache(net::HeadWriter& out) const {
    if (down_->from() == From::user || down_->from() == From::peer) {
        return;
    }
    const CacheUse& use = cached_;
    std::string text;
    if (!use.release.empty()) {
        text.append("release=").append(use.release).append(",");
    }
    if (use.served && !use.asked && use.forwarded != Forwarded::not_at_all) {
        text.append("stale,");
    }
    text.append(use.open ? "open," : "").append(use.varies_on_ours ? "one-user" : "any-user");
    out.field(link_cache, text);
}

void Exchange::send_stored() {
    Wire& to = down_->wire;
    CacheUse& use = cached_;
    if (to.blocked() && !head_text_.empty()) {
        to.write(head_text_);
        head_text_ = {};
    }
    for (int round = 0;; ++round) {
        if (to.blocked()) {
            if (!to.flush()) {
                down_->close();
                return;
            }
            if (to.blocked()) {
                due(Due::client_out);
                return;
            }
        }
        if (use.left == 0 && head_text_.empty()) {
            break;
        }
        if (round == pieces_a_turn) {
            core_.reactor().post(again_);
            return;
        }
        std::string_view piece_text;
        if (use.left > 0) {
            if (!core_.cache->store().read(use.entry, use.piece, core_.file_chunk)) {
                cut("a stored answer is damaged");
                return;
            }
            piece_text = std::string_view(core_.file_chunk).substr(use.skip);
            piece_text = piece_text.substr(0, std::min<std::uint64_t>(piece_text.size(), use.left));
        }
        const std::array<iovec, 2> pieces{piece(head_text_), piece(piece_text)};
        head_text_ = {};
        if (!to.write(pieces)) {
            down_->close();
            return;
        }
        use.left -= piece_text.size();
        own_bytes_ += piece_text.size();
        use.skip = 0;
        ++use.piece;
    }
    end(keep_);
}

std::string_view Exchange::cache_word() const {
    const CacheUse& use = cached_;
    if (!use.on) {
        return {};
    }
    if (down_->beside) {
        return "renewed";
    }
    if (use.served) {
        return use.asked ? "confirmed" : use.forwarded == Forwarded::not_at_all ? "hit" : "stale";
    }
    return use.scope != cache::Scope::none ? "stored" : std::string_view{};
}

} // namespace hasp::passon

#include "links.h"

#include <algorithm>

namespace hasp::maint {

namespace {
constexpr const char* again = "again"; // see levels.h
// What both sides must know before they use it. A parent serves children two releases back.
const std::vector<std::string> own_features{"lease", "desired", "pack",   "login",
                                            "token", "session", "report", "usage",
                                            "renew", "patch",   again,    "revision"};
constexpr std::size_t features_max = 64;
constexpr std::size_t feature_bytes_max = 64;
constexpr std::size_t version_bytes_max = 64;
} // namespace

Links::Links(KeeperPorts& ports, const Clock& clock, const Log& log, trust::TierName me,
             std::string version, std::int64_t heartbeat_s, bool whole_levels)
    : ports_(ports), clock_(clock), log_(log), me_(std::move(me)), version_(std::move(version)),
      heartbeat_us_(heartbeat_s * 1'000'000), features_(own_features) {
    if (whole_levels) {
        std::erase(features_, again);
    }
}

const Links::Link* Links::find(const std::string& neighbour) const {
    // The newest stream counts: an older one may not have noticed that its connection died.
    for (auto at = links_.rbegin(); at != links_.rend(); ++at) {
        if (at->second.neighbour == neighbour && at->second.hello) {
            return &at->second;
        }
    }
    return nullptr;
}

Links::Link* Links::find(const std::string& neighbour) {
    return const_cast<Link*>(std::as_const(*this).find(neighbour));
}

bool Links::connected(const std::string& neighbour) const {
    return find(neighbour) != nullptr;
}

std::int64_t Links::heard_us(const std::string& neighbour) const {
    if (const Link* link = find(neighbour); link != nullptr) {
        return link->heard_us;
    }
    const auto gone = heard_us_.find(neighbour);
    return gone == heard_us_.end() ? 0 : gone->second;
}

std::int64_t Links::rtt_ms(const std::string& neighbour) const {
    const Link* link = find(neighbour);
    return link == nullptr ? -1 : link->rtt_ms;
}

LinkId Links::link_of(const std::string& neighbour) const {
    const Link* link = find(neighbour);
    return link == nullptr ? 0 : link->id;
}

bool Links::has_feature(const std::string& neighbour, const std::string& feature) const {
    const Link* link = find(neighbour);
    return link != nullptr && has(*link, feature);
}

Links::Skew Links::skew(const std::string& neighbour) const {
    const Link* link = find(neighbour);
    if (link == nullptr) {
        return {};
    }
    const auto without = [](const std::vector<std::string>& all,
                            const std::vector<std::string>& some) {
        std::vector<std::string> out;
        for (const std::string& feature : all) {
            if (std::find(some.begin(), some.end(), feature) == some.end()) {
                out.push_back(feature);
            }
        }
        return out;
    };
    return {link->version, without(features_, link->features), without(link->features, features_)};
}

void Links::send(Link& link, const Json& head, std::string_view body, const std::string& answers) {
    send_text(link, dump(head), body, answers.empty() ? text_of(head, "t") : answers);
}

bool Links::has(const Link& link, const std::string& feature) const {
    return std::find(link.features.begin(), link.features.end(), feature) != link.features.end() &&
           std::find(features_.begin(), features_.end(), feature) != features_.end();
}

void Links::send_level(Link& link, const std::string& type, const Json& head,
                       std::string_view body) {
    const std::string text = dump(head);
    const std::optional<std::string> patch =
        has(link, again) ? link.said.shorten(type, text, body) : std::nullopt;
    if (patch) {
        send_text(link, dump({{"t", again}, {"of", type}}), *patch, type);
    } else {
        send_text(link, text, body, type);
    }
}

void Links::send_text(Link& link, std::string_view head, std::string_view body,
                      const std::string& counts_as) {
    std::string bytes;
    if (const Status encoded = ipc::encode_frame(bytes, head, body); !encoded.ok()) {
        log_.error("link.send", encoded.error().message, {{"type", counts_as}});
        return;
    }
    count(link, counts_as, 0, bytes.size());
    const Json front{{"t", "link.data"}, {"link", link.id}};
    ports_.send_front(dump(front), bytes, {});
}

void Links::count(Link& link, const std::string& type, std::size_t in, std::size_t out) {
    if (type != "ping" && type != "pong" && type != "report") {
        link.used_us = clock_.boot_us();
    }
    if (on_bytes_) {
        on_bytes_(link.neighbour, type, in, out);
    }
}

void Links::opened(LinkId id, const std::string& neighbour) {
    Link& link = links_[id];
    link.id = id;
    link.neighbour = neighbour;
    link.heard_us = link.pinged_us = clock_.boot_us();
    Json hello{{"t", "hello"},     {"version", protocol_version}, {"features", features_},
               {"hasp", version_}, {"name", me_.text()},          {"now_us", own_time_()}};
    if (restored_us_ != 0 && neighbour != to_parent) {
        hello["restored_us"] = restored_us_;
    }
    send(link, hello, {});
}

void Links::arrived(LinkId id, std::string_view bytes) {
    const auto at = links_.find(id);
    if (at == links_.end()) {
        return;
    }
    at->second.heard_us = clock_.boot_us();
    at->second.missed = 0;
    // The link may be dropped while its frames are handled: each one looks it up again.
    std::vector<ipc::Frame> frames;
    const Status fed = at->second.decoder.feed(bytes, [&](ipc::Frame&& frame, std::size_t) {
        frames.push_back(std::move(frame));
        return true;
    });
    for (ipc::Frame& frame : frames) {
        take(id, std::move(frame));
    }
    if (!fed.ok() && links_.contains(id)) {
        const std::string neighbour = at->second.neighbour;
        log_.warn("link.protocol", fed.error().message, {{"neighbour", neighbour}});
        cut(neighbour, fed.error().message);
    }
}

void Links::take_hello(Link& link, const Json& head) {
    const std::string neighbour = link.neighbour;
    if (link.hello || int_of(head, "version") < 1) {
        cut(neighbour, link.hello ? "it said hello twice"
                                  : "it speaks no version of the protocol that we know");
        return;
    }
    link.features = texts_of(head, "features");
    if (link.features.size() > features_max) {
        link.features.resize(features_max);
    }
    for (std::string& feature : link.features) {
        feature.resize(std::min(feature.size(), feature_bytes_max));
    }
    link.version = text_of(head, "hasp").substr(0, version_bytes_max);
    link.hello = true;
    // Older streams of it are dead, noticed or not: what was asked over them is asked anew.
    std::vector<LinkId> older;
    for (const auto& [id, other] : links_) {
        if (other.neighbour == neighbour && id < link.id) {
            older.push_back(id);
        }
    }
    for (const LinkId id : older) {
        drop(id, fail(Code::unreachable, "the link was opened anew"));
    }
    ping(link);
    hear_time(neighbour, head);
    if (neighbour == to_parent && on_parent_restored_ && int_of(head, "restored_us") > 0) {
        on_parent_restored_(int_of(head, "restored_us"));
    }
    if (on_change_) {
        on_change_(neighbour, true);
    }
}

void Links::hear_time(const std::string& neighbour, const Json& head) {
    if (neighbour == to_parent && on_parent_time_ && int_of(head, "now_us") > 0) {
        on_parent_time_(int_of(head, "now_us"));
    }
}

void Links::take(LinkId id, ipc::Frame&& frame) {
    const auto at = links_.find(id);
    if (at == links_.end()) {
        return;
    }
    Link& link = at->second;
    const std::string neighbour = link.neighbour; // the link may end while its message is handled
    const std::size_t size = frame.head.size() + frame.body.size();
    Message message{parse_object(frame.head), std::move(frame.body)};
    std::string type = text_of(message.head, "t");
    if (type == again) {
        type = text_of(message.head, "of");
        auto whole = link.heard.restore(type, message.body);
        if (!whole.ok()) {
            cut(neighbour, whole.error().message);
            return;
        }
        message = {parse_object(whole->head), std::move(whole->body)};
        if (text_of(message.head, "t") != type) {
            cut(neighbour, "its difference gave another message than it had said");
            return;
        }
    } else if (Levels::is_level(type) && has(link, again)) {
        link.heard.heard(type, frame.head, message.body);
    }
    if (type != "re") {
        count(link, type, size, 0);
    }
    if (type == "hello") {
        take_hello(link, message.head);
        return;
    }
    if (!link.hello) {
        cut(neighbour, "it did not say hello first");
        return;
    }
    if (type == "ping") {
        send(link,
             {{"t", "pong"}, {"at_us", int_of(message.head, "at_us")}, {"now_us", own_time_()}},
             {});
        return;
    }
    if (type == "pong") {
        link.rtt_ms = (clock_.boot_us() - int_of(message.head, "at_us")) / 1000;
        hear_time(neighbour, message.head);
        return;
    }
    if (type == "re") {
        const auto question =
            questions_.find(static_cast<std::uint64_t>(int_of(message.head, "q")));
        if (question == questions_.end() || question->second.link != id) {
            return;
        }
        const Reply reply = std::move(question->second.reply);
        count(link, question->second.type, size, 0);
        questions_.erase(question);
        if (message.head.contains("error")) {
            reply(error_of(member(message.head, "error")));
        } else {
            reply(std::move(message));
        }
        return;
    }
    const std::int64_t q = int_of(message.head, "q");
    const Answer answer = [this, id, q, type, until_us = clock_.boot_us() + question_limit_us](
                              Result<Message> result) {
        const auto still = links_.find(id);
        // Who asked has given up by then, and asks again: what comes late would only cost the link.
        if (q == 0 || still == links_.end() || clock_.boot_us() >= until_us) {
            return;
        }
        Json head = result.ok() ? result->head : Json{{"error", error_json(result.error())}};
        head["t"] = "re";
        head["q"] = q;
        send(still->second, head, result.ok() ? std::string_view(result->body) : std::string_view(),
             type);
    };
    const auto handler = handlers_.find(type);
    if (handler == handlers_.end()) {
        answer(fail(Code::usage, "this tier does not know the message '" + type + "'",
                    "the two tiers run different versions of hasp"));
        return;
    }
    handler->second(neighbour, message, answer);
}

void Links::ask(const std::string& neighbour, Json head, std::string body, Reply reply) {
    Link* link = find(neighbour);
    if (link == nullptr) {
        // Named by us: a tier further away may show these words to a user of its own.
        const std::string name = neighbour.empty() ? me_.parent().leaf() : neighbour;
        reply(
            fail(Code::unreachable, "'" + name + "' cannot be reached from '" + me_.leaf() + "'"));
        return;
    }
    if (questions_.size() >= questions_max) {
        reply(fail(Code::try_later, "too many questions wait for an answer"));
        return;
    }
    const std::uint64_t q = next_question_++;
    questions_[q] = {link->id, clock_.boot_us() + question_limit_us, text_of(head, "t"),
                     std::move(reply)};
    head["q"] = q;
    send(*link, head, body);
}

void Links::tell(const std::string& neighbour, Json head, std::string body) {
    Link* link = find(neighbour);
    if (link == nullptr) {
        return;
    }
    if (const std::string type = text_of(head, "t"); Levels::is_level(type)) {
        send_level(*link, type, head, body);
    } else {
        send(*link, head, body);
    }
}

void Links::drop(LinkId id, const Error& why) {
    const auto at = links_.find(id);
    if (at == links_.end()) {
        return;
    }
    const std::string neighbour = at->second.neighbour;
    const bool was = at->second.hello;
    heard_us_[neighbour] = std::max(heard_us_[neighbour], at->second.heard_us);
    links_.erase(at);
    std::vector<Reply> lost;
    for (auto q = questions_.begin(); q != questions_.end();) {
        if (q->second.link == id) {
            lost.push_back(std::move(q->second.reply));
            q = questions_.erase(q);
        } else {
            ++q;
        }
    }
    for (const Reply& reply : lost) {
        reply(why);
    }
    if (was && !connected(neighbour) && on_change_) {
        on_change_(neighbour, false);
    }
}

void Links::closed(LinkId id, const std::string& reason) {
    drop(id, fail(Code::unreachable, "the link was lost: " + reason));
}

void Links::all_closed(const std::string& reason) {
    while (!links_.empty()) {
        closed(links_.begin()->first, reason);
    }
}

void Links::cut(const std::string& neighbour, const std::string& reason) {
    std::vector<LinkId> ids;
    for (const auto& [id, link] : links_) {
        if (link.neighbour == neighbour) {
            ids.push_back(id);
        }
    }
    const Json front{{"t", "link.cut"}, {"neighbour", neighbour}, {"reason", reason}};
    ports_.send_front(dump(front), {}, {});
    for (const LinkId id : ids) {
        drop(id, fail(Code::unreachable, "the link was cut: " + reason));
    }
}

void Links::give_up_questions(std::int64_t now) {
    std::vector<Reply> late;
    for (auto q = questions_.begin(); q != questions_.end();) {
        if (q->second.until_us <= now) {
            late.push_back(std::move(q->second.reply));
            q = questions_.erase(q);
        } else {
            ++q;
        }
    }
    for (const Reply& reply : late) {
        reply(fail(Code::timed_out, "the other tier did not answer within " +
                                        std::to_string(question_limit_us / 1'000'000) + " s"));
    }
}

void Links::tick() {
    const std::int64_t now = clock_.boot_us();
    give_up_questions(now);
    std::vector<std::pair<std::string, std::int64_t>> silent;
    for (auto& [id, link] : links_) {
        if (now < due_us(link, now)) {
            continue;
        }
        if (!link.hello || link.missed >= heartbeats_missed_max) {
            silent.emplace_back(link.neighbour, now - link.heard_us);
        } else {
            ping(link);
        }
    }
    for (const auto& [neighbour, silent_us] : silent) {
        cut(neighbour,
            "nothing was heard from it for " + std::to_string(silent_us / 1'000'000) + " s");
    }
}

std::int64_t Links::due_us(const Link& link, std::int64_t now) const {
    if (!link.hello) {
        return link.heard_us + (heartbeats_missed_max + 1) * heartbeat_us_;
    }
    const bool quiet = now - link.used_us > heartbeats_quiet * heartbeat_us_;
    const std::int64_t every = quiet ? heartbeats_quiet * heartbeat_us_ : heartbeat_us_;
    // It is the child that asks: it learns the time from the answer. Whoever is above asks only
    // when the child does not, so that the bytes are spent once.
    return link.neighbour == to_parent
               ? link.pinged_us + every
               : std::max(link.pinged_us, link.heard_us) + every + heartbeat_us_ / 2;
}

void Links::ping(Link& link) {
    link.pinged_us = clock_.boot_us();
    ++link.missed;
    send(link, {{"t", "ping"}, {"at_us", link.pinged_us}}, {});
}

} // namespace hasp::maint

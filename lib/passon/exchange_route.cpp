// From the head to a decision: which app, who asks, may he, and where is it.
#include "exchange.h"

#include "base/text.h"
#include "core.h"
#include "link_fields.h"
#include "net/fields.h"
#include "net/forwarded.h"
#include "net/target.h"
#include "passon/request_rules.h"
#include "request_fields.h"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace hasp::passon {
namespace {

constexpr std::string_view apps_prefix = "/apps/";

// Of methods that only read, the two of calendars and files over HTTP beside HTTP's own (RFC 4918
// §9.1, RFC 3253 §3.6).
bool only_reads(const net::RequestHead& head) {
    return !head.upgrade && (net::is_safe(head.method) || head.method_text == "PROPFIND" ||
                             head.method_text == "REPORT");
}

} // namespace

void Exchange::make_request_id() {
    const std::array<std::uint64_t, 2> bits{core_.random_u64(), core_.random_u64()};
    std::memcpy(id_bytes_.data(), bits.data(), id_bytes_.size());
    write_hex(id_.data(), bits[0]);
    write_hex(&id_[16], bits[1]);
}

// Copies into the exchange's own text, which outlives the head's buffer. begin() reserved enough:
// the text never moves.
std::string_view Exchange::keep(std::string_view value, bool lower) {
    const std::size_t from = text_.size();
    if (from + value.size() > text_.capacity()) {
        return {};
    }
    text_.append(value);
    for (std::size_t i = from; lower && i < text_.size(); ++i) {
        text_[i] = text_[i] >= 'A' && text_[i] <= 'Z' ? static_cast<char>(text_[i] + 32) : text_[i];
    }
    return std::string_view(text_).substr(from);
}

// Fields that only a neighbour may send; they were checked there, but not trusted to be
// well-formed.
bool Exchange::read_link_fields() {
    const net::Header* app = head.headers.find(link_app);
    if (app == nullptr || !valid_name(app->value)) {
        return false;
    }
    const auto value = [this](std::string_view name) {
        const net::Header* field = head.headers.find(name);
        return field == nullptr ? std::string_view{} : field->value;
    };
    const std::string_view id = head.headers.value(net::Name::x_request_id);
    if (is_lower_hex(id, 32)) {
        std::copy(id.begin(), id.end(), id_.begin());
        id_bytes_ = id_bytes(id);
    } else {
        make_request_id();
    }
    const std::string_view mount = value(link_mount);
    const std::string_view origin = value(link_origin);
    const std::size_t at = origin.find("://");
    if (at == std::string_view::npos || !mount_fits(head.path, mount)) {
        return false;
    }
    scheme_ = origin.substr(0, at) == "https" ? "https" : "http";
    authority_ = origin.substr(at + 3);
    const auto parsed = net::parse_authority(authority_);
    if (!parsed) {
        return false;
    }
    authority_ = keep(authority_, true);
    host_ = keep(parsed->host, true);
    app_name_ = keep(app->value);
    mount_ = keep(mount);
    // A peer speaks for its users by assertions alone; what else it says of them is not believed.
    const bool beside = down_->from() == From::peer;
    client_ = beside ? std::string_view(down_->address()) : keep(value(link_client));
    sid_ = beside ? std::string_view{} : keep(value(link_session));
    if (const auto left = parse_u64(value(link_deadline)); left && *left > 0) {
        deadline_ms_ = core_.now_ms() +
                       std::min<std::int64_t>(
                           core_.settings.answer_head_ms,
                           static_cast<std::int64_t>(std::min<std::uint64_t>(*left, 1U << 30)));
    }
    return true;
}

// Who asks, and by which name he knows us.
bool Exchange::read_client() {
    if (know_host()) {
        return true;
    }
    net::Forwarded said;
    if (down_->proxied()) {
        said = core_.settings.proxies_say == ProxySays::forwarded
                   ? net::read_forwarded(head.headers, core_.settings.proxies)
                   : net::read_x_forwarded(head.headers, core_.settings.proxies);
    }
    scheme_ = !said.scheme.empty() ? said.scheme : down_->tls() ? "https" : "http";
    client_ = said.client.empty() ? std::string_view(down_->address()) : keep(said.client);
    // HTTP/1.0 may come without a name.
    std::string_view authority = head.authority.empty() ? "localhost" : head.authority;
    std::string_view host = head.host.empty() ? "localhost" : head.host;
    if (!said.host.empty()) {
        const auto parsed = net::parse_authority(said.host);
        if (!parsed) {
            return false;
        }
        authority = said.host;
        host = parsed->host;
    }
    // An empty port is none (RFC 3986 §3.2.3).
    authority.remove_suffix(authority.ends_with(':') ? 1 : 0);
    authority_ = keep(authority, true);
    host_ = keep(host, true);
    return true;
}

void Exchange::resolve() {
    served_ = "own";
    if (down_->metrics) {
        make_request_id();
        tell_metrics();
        return;
    }
    if (snapshot_ == nullptr) {
        make_request_id();
        notice(Notice::keeper);
        return;
    }
    if (down_->from() == From::child && down_->peer().empty()) {
        make_request_id();
        if (head.method != net::Method::post || head.path != link_enrol_path) {
            refuse(403, "only an enrolled tier may do this");
            return;
        }
        scheme_ = "link";
        client_ = down_->address();
        own_page();
        return;
    }
    if (down_->from() == From::child && head.method == net::Method::post &&
        head.path.starts_with("/hasp/link/")) {
        make_request_id();
        upgrade_link(head.path == "/hasp/link/control");
        return;
    }
    if (down_->from() != From::user) {
        if (!read_link_fields()) {
            refuse(400, "a request of a neighbour without hasp-app, or with a wrong hasp-origin");
            return;
        }
    } else {
        make_request_id();
        if (!read_client()) {
            refuse(400, "the proxy in front names a host that is none");
            return;
        }
        if (!name_app()) {
            return;
        }
    }
    if (is_for_us()) {
        return;
    }
    if (!app_name_.empty()) {
        if (!hops_allowed(head.headers.value(net::Name::cdn_loop), snapshot_->tier(),
                          core_.settings.hops_max)) {
            notice(Notice::loop);
            return;
        }
        if (down_->from() == From::user && (!is_of_this_site() || !is_handshake())) {
            return;
        }
    }
    identify();
}

// By its host, else by its path; no name: it is a page of hasp's own. False: it is answered.
bool Exchange::name_app() {
    const bool of_connection = iequals(head.scheme, down_->tls() ? "https" : "http");
    if (!head.scheme.empty() && !iequals(head.scheme, scheme_) && !of_connection) {
        refuse(421, "an absolute target of another scheme than the connection's");
        return false;
    }
    const HostFacts host = find_host();
    const registry::App by_host = host.app;
    const std::string_view by_pattern = host.pattern;
    if (!by_host && by_pattern.empty() && !head.host.empty() && !host.portal) {
        refuse(421, "a host that is neither an app's nor the portal's");
        return false;
    }
    if (head.path == "/hasp" || head.path.starts_with("/hasp/")) {
        return true;
    }
    if (by_host) {
        if (by_host.mount() == registry::Mount::path) {
            notice(Notice::nowhere);
            return false;
        }
        app_name_ = keep(by_host.name());
    } else if (!by_pattern.empty()) {
        app_name_ = keep(by_pattern);
    } else if (know_path()) {
        return true;
    } else if (head.path.starts_with(apps_prefix)) {
        const std::size_t end = std::min(head.path.find('/', apps_prefix.size()), head.path.size());
        const std::string_view name_part =
            head.path.substr(apps_prefix.size(), end - apps_prefix.size());
        if (!valid_name(name_part)) {
            notice(Notice::nowhere);
            return false;
        }
        app_name_ = keep(name_part);
        mount_ = keep(head.path.substr(0, end));
    }
    return true;
}

void Exchange::identify() {
    if (down_->from() == From::parent) {
        // By the parent's word, which has checked that the user may use this app.
        const auto value = [this](std::string_view name) {
            const net::Header* field = head.headers.find(name);
            return field == nullptr ? std::string()
                                    : percent_decode(field->value).value_or(std::string());
        };
        if (std::string user = value(link_user); valid_name(user)) {
            auto who = std::make_shared<Identity>();
            who->user = std::move(user);
            who->name = value(link_user_name);
            who->email = value(link_user_email);
            const net::Header* groups = head.headers.find(link_user_groups);
            for (const std::string_view group :
                 split(groups == nullptr ? std::string_view{} : groups->value, ',')) {
                if (!group.empty()) {
                    who->groups.push_back(percent_decode(group).value_or(std::string()));
                }
            }
            who->sid = is_lower_hex(sid_, 32) ? std::string(sid_) : std::string();
            who->until_us = INT64_MAX;
            who_ = render(std::move(who));
            authorised_by_parent_ = true;
        }
        route();
        return;
    }
    if (down_->from() == From::peer) {
        identify_by_peer();
        return;
    }
    if (down_->from() == From::child) {
        if (sid_.empty()) {
            route();
        } else if (is_lower_hex(sid_, 32)) {
            ask_who(WhoQuestion::Kind::link, down_->peer(), sid_);
        } else {
            refuse(400, "a neighbour named a session that is none");
        }
        return;
    }
    if (const std::string_view secret = session_secret(); !secret.empty()) {
        ask_who(WhoQuestion::Kind::cookie, host_, secret);
        return;
    }
    const std::string_view given = head.headers.value(net::Name::authorization);
    const std::size_t space = given.find(' ');
    if (space != std::string_view::npos && given.size() <= 4096) {
        const std::string_view kind = given.substr(0, space);
        const std::string_view secret = trim(given.substr(space + 1));
        if (iequals(kind, "bearer") && !secret.empty()) {
            ask_who(WhoQuestion::Kind::bearer, host_, secret);
            return;
        }
        if (iequals(kind, "basic") && !secret.empty()) {
            ask_who(WhoQuestion::Kind::basic, host_, secret);
            return;
        }
    }
    route();
}

// Nothing when the credential cannot be anybody's.
std::optional<WhoQuestion> Exchange::who_question(WhoQuestion::Kind kind, std::string_view scope,
                                                  std::string_view secret) const {
    WhoQuestion question;
    question.kind = kind;
    question.host = host_;
    question.client_address = client_;
    question.secret = secret;
    if (kind == WhoQuestion::Kind::link || kind == WhoQuestion::Kind::peer) {
        question.child = scope;
    }
    if (kind == WhoQuestion::Kind::basic) {
        auto decoded = from_base64(secret);
        if (!decoded || decoded->find(':') == std::string::npos) {
            return std::nullopt;
        }
        question.secret = std::move(*decoded);
    }
    return question;
}

void Exchange::ask_who(WhoQuestion::Kind kind, std::string_view scope, std::string_view secret) {
    RequestMemo* const memo = down_->memo();
    const IdentityCache::Found found = core_.identities.find(
        kind, scope, secret, core_.now_ms(), trusted_us_, core_.settings.identity_stale_ms,
        memo == nullptr ? nullptr : &memo->identity);
    if (found.state != IdentityCache::State::unknown) {
        who_ = found.who;
        by_credential_ =
            who_ && (kind == WhoQuestion::Kind::bearer || kind == WhoQuestion::Kind::basic);
        if (found.ask) {
            refresh_who(kind, scope, secret);
        }
        route();
        return;
    }
    std::optional<WhoQuestion> question = who_question(kind, scope, secret);
    if (!question) {
        route();
        return;
    }
    at_ = At::who;
    due(Due::keeper);
    core_.parts.keeper.ask_who(std::move(*question),
                               [handle = handle(), kind, scope = std::string(scope),
                                secret = std::string(secret)](WhoAnswer answer) {
                                   if (*handle != nullptr) {
                                       (*handle)->on_who(kind, scope, secret, std::move(answer));
                                   }
                               });
}

// Beside the request, which goes on with what was known. An error changes nothing: it is asked
// again soon.
void Exchange::refresh_who(WhoQuestion::Kind kind, std::string_view scope,
                           std::string_view secret) {
    std::optional<WhoQuestion> question = who_question(kind, scope, secret);
    if (!question) {
        return;
    }
    core_.parts.keeper.ask_who(
        std::move(*question),
        [alive = std::weak_ptr<bool>(core_.alive), core = &core_, kind, scope = std::string(scope),
         secret = std::string(secret)](WhoAnswer answer) {
            if (!alive.expired() && answer) {
                core->remember(kind, scope, secret, render(std::move(*answer)));
            }
        });
}

void Exchange::on_who(WhoQuestion::Kind kind, const std::string& scope, const std::string& secret,
                      WhoAnswer answer) {
    if (at_ != At::who) {
        return;
    }
    due(Due::nothing);
    if (!answer) {
        why_ = answer.error().message;
        notice(answer.error().code == Code::try_later ? Notice::guessing : Notice::keeper);
        return;
    }
    who_ = render(std::move(*answer));
    if (who_ && trusted_us_ >= who_->identity->until_us) {
        who_.reset();
    }
    // A peer could send one wrong assertion after the other, and push out all who are known.
    if (who_ || kind != WhoQuestion::Kind::peer) {
        core_.remember(kind, scope, secret, who_);
    }
    by_credential_ =
        who_ && (kind == WhoQuestion::Kind::bearer || kind == WhoQuestion::Kind::basic);
    route();
}

void Exchange::route() {
    using registry::Verdict;
    if (who_ && !who_->identity->only_host.empty() && who_->identity->only_host != host_) {
        who_.reset();
    }
    if (app_name_.empty()) {
        own_page();
        return;
    }
    registry::Viewer viewer;
    const std::uint64_t this_app = authorised_by_parent_ ? registry::name_hash(app_name_) : 0;
    if (who_) {
        viewer.signed_on = true;
        viewer.since_us = who_->identity->since_us;
        viewer.entitled =
            authorised_by_parent_ ? std::span(&this_app, 1) : std::span(who_->identity->apps);
    }
    const registry::Decision decision =
        registry::decide(*snapshot_, find_app(), viewer, trusted_us_, source(),
                         down_->from() != From::parent && !mount_.empty());
    verdict_ = decision.verdict;
    app_ = decision.app;
    const bool served = verdict_ == Verdict::here || verdict_ == Verdict::child ||
                        verdict_ == Verdict::parent || verdict_ == Verdict::peer;
    if (served && who_ && who_->identity->reads && !only_reads(head)) {
        notice(Notice::read_only);
        return;
    }
    switch (decision.verdict) {
    case Verdict::nowhere:
        notice(Notice::nowhere);
        return;
    case Verdict::log_in:
        notice(Notice::log_in);
        return;
    case Verdict::expired:
        notice(Notice::expired);
        return;
    case Verdict::read_only:
        if (!only_reads(head)) {
            notice(Notice::read_only);
            return;
        }
        verdict_ = Verdict::here;
        served_ = "here";
        break;
    case Verdict::here:
        served_ = "here";
        break;
    case Verdict::child:
        served_ = "child";
        break;
    case Verdict::parent:
        served_ = "parent";
        break;
    case Verdict::peer:
        served_ = "peer";
        break;
    }
    // "/apps/NAME" is a folder: relative links in its page need the slash.
    if (down_->from() == From::user && !mount_.empty() && head.path == mount_ &&
        net::is_safe(head.method)) {
        served_ = "own";
        core_.text.assign(mount_).append("/");
        if (head.has_query) {
            core_.text.append("?").append(head.query);
        }
        const std::string to = core_.text;
        answer_own(308, {{"Location", to}}, "text/plain; charset=utf-8", "");
        return;
    }
    // Behind the rights, so that it tells nobody of apps that are not his.
    if (head.framing == net::Framing::length && head.content_length > body_bytes_max()) {
        refuse(413, "the body of the request is too long");
        return;
    }
    request_.limit_to(body_bytes_max());
    if (verdict_ == Verdict::here && app_.kind() == registry::Kind::static_files) {
        serve_static();
        return;
    }
    if (verdict_ == Verdict::peer) {
        seek_at_peer();
        return;
    }
    if (go_directly()) {
        return;
    }
    seek();
}

} // namespace hasp::passon

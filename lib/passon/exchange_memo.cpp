// What a browser says again with each request on a connection is worked out once: see RequestMemo.
#include "core.h"
#include "exchange.h"
#include "net/fields.h"
#include "net/write_head.h"
#include "passon/request_rules.h"

#include <algorithm>

namespace hasp::passon {
namespace {

constexpr std::size_t session_secret_max = 256;

void assign_lower(std::string& to, std::string_view from) {
    to.assign(from);
    std::transform(to.begin(), to.end(), to.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
}

// The session's secret in one Cookie field; empty: there is none. Over TLS only the name counts
// that no other host and no plain connection can set.
std::string_view secret_in(std::string_view field, std::string_view name, bool secure) {
    net::Cookies cookies(field);
    while (const auto cookie = cookies.next()) {
        const bool ours =
            secure ? cookie->name.starts_with("__Host-") && cookie->name.substr(7) == name
                   : cookie->name == name;
        if (ours && !cookie->value.empty() && cookie->value.size() <= session_secret_max) {
            return cookie->value;
        }
    }
    return {};
}

bool same_who(const std::weak_ptr<const KnownIdentity>& a,
              const std::shared_ptr<const KnownIdentity>& b) {
    return !a.owner_before(b) && !b.owner_before(a);
}

} // namespace

// By which name the client knows us, of one that speaks for itself. False: look again.
bool Exchange::know_host() {
    RequestMemo* const memo = down_->memo();
    if (memo == nullptr || down_->proxied() || head.authority.empty() ||
        head.authority.size() > RequestMemo::text_max) {
        return false;
    }
    RequestMemo::Host& host = memo->host;
    if (host.sent != head.authority) {
        host.snapshot = 0;
        host.sent.assign(head.authority);
        std::string_view authority = head.authority;
        // An empty port is none (RFC 3986 §3.2.3).
        authority.remove_suffix(authority.ends_with(':') ? 1 : 0);
        assign_lower(host.authority, authority);
        assign_lower(host.name, head.host.empty() ? "localhost" : head.host);
    }
    scheme_ = down_->tls() ? "https" : "http";
    client_ = down_->address();
    authority_ = host.authority;
    host_ = host.name;
    return true;
}

Exchange::HostFacts Exchange::find_host() {
    const auto look = [this] {
        HostFacts facts;
        facts.app = snapshot_->find_host(host_);
        facts.pattern = facts.app ? std::string_view{} : snapshot_->app_of_host(host_);
        facts.portal = snapshot_->is_portal_host(host_);
        return facts;
    };
    RequestMemo* const memo = down_->memo();
    if (memo == nullptr || host_.data() != memo->host.name.data() || snapshot_ != core_.snapshot) {
        return look();
    }
    RequestMemo::Host& host = memo->host;
    if (host.snapshot != core_.snapshot_number) {
        const HostFacts facts = look();
        host.app = facts.app;
        host.pattern = facts.pattern;
        host.portal = facts.portal;
        host.snapshot = core_.snapshot_number;
    }
    return {host.app, host.pattern, host.portal};
}

// Kept also where there is none, so that an absent name and one that may not be used take as long.
registry::App Exchange::find_app() {
    RequestMemo* const memo = down_->memo();
    if (memo == nullptr || snapshot_ != core_.snapshot ||
        app_name_.size() > RequestMemo::text_max) {
        return snapshot_->find(app_name_);
    }
    RequestMemo::Named& named = memo->named;
    if (named.snapshot != core_.snapshot_number || named.name != app_name_) {
        named.name.assign(app_name_);
        named.mount.assign(mount_);
        named.group = nullptr;
        named.app = snapshot_->find(app_name_);
        named.snapshot = core_.snapshot_number;
    }
    return named.app;
}

// The app of the request before, by the same path. True: it is named.
bool Exchange::know_path() {
    const RequestMemo* const memo = down_->memo();
    if (memo == nullptr || memo->named.mount.empty() || !mount_fits(head.path, memo->named.mount)) {
        return false;
    }
    app_name_ = memo->named.name;
    mount_ = memo->named.mount;
    return true;
}

// Of this request's app, as the newest snapshot has it; null: it is no upstream here any more.
UpstreamGroup* Exchange::find_group() {
    RequestMemo* const memo = down_->memo();
    if (memo == nullptr || memo->named.snapshot != core_.snapshot_number ||
        memo->named.name != app_name_) {
        return core_.upstreams.find(app_name_);
    }
    if (memo->named.group == nullptr) {
        memo->named.group = core_.upstreams.find(app_name_);
    }
    return memo->named.group;
}

// Of a request with one Cookie field; null for others.
const RequestMemo::Cookies* Exchange::know_cookies() const {
    RequestMemo* const memo = down_->memo();
    const net::Header* const field = head.headers.find(net::Name::cookie);
    if (memo == nullptr || field == nullptr || field->next_same != 0 || field->value.empty() ||
        field->value.size() > RequestMemo::text_max) {
        return nullptr;
    }
    RequestMemo::Cookies& cookies = memo->cookies;
    const bool secure = scheme_ == "https";
    if (cookies.sent != field->value || cookies.looked != core_.settings.cookie ||
        cookies.secure != secure) {
        cookies.sent.assign(field->value);
        cookies.looked = core_.settings.cookie;
        cookies.secure = secure;
        const std::string_view secret = secret_in(cookies.sent, cookies.looked, secure);
        cookies.size = secret.size();
        cookies.at =
            secret.empty() ? 0 : static_cast<std::size_t>(secret.data() - cookies.sent.data());
        cookies.passed.clear();
        filter_cookies(cookies.passed, cookies.sent, false);
    }
    return &cookies;
}

// Empty: no cookie names a session.
std::string_view Exchange::session_secret() const {
    if (const RequestMemo::Cookies* known = know_cookies()) {
        return known->secret();
    }
    for (const net::Header* field = head.headers.find(net::Name::cookie); field != nullptr;
         field = head.headers.next(*field)) {
        const std::string_view secret =
            secret_in(field->value, core_.settings.cookie, scheme_ == "https");
        if (!secret.empty()) {
            return secret;
        }
    }
    return {};
}

// Without hasp's own.
void Exchange::write_cookies(net::HeadWriter& out) {
    const auto write = [&out](std::string_view cookies) {
        if (!cookies.empty()) {
            out.trusted("Cookie", cookies);
        }
    };
    if (const RequestMemo::Cookies* known = know_cookies()) {
        write(known->passed);
        return;
    }
    for (const net::Header* field = head.headers.find(net::Name::cookie); field != nullptr;
         field = head.headers.next(*field)) {
        core_.text.clear();
        filter_cookies(core_.text, field->value, false);
        write(core_.text);
    }
}

// By which tiers it came, and who asks.
void Exchange::write_own_lines(net::HeadWriter& out) {
    RequestMemo* const memo = down_->memo();
    if (memo == nullptr || verdict_ != registry::Verdict::here || snapshot_ != core_.snapshot ||
        app_.set_request_count() != 0 || head.headers.has(net::Name::cdn_loop)) {
        write_tier_fields(out);
        write_identity_fields(out);
        return;
    }
    RequestMemo::Lines& lines = memo->lines;
    if (!lines.text.empty() && lines.snapshot == core_.snapshot_number && lines.app == app_ &&
        lines.version_minor == head.version_minor && same_who(lines.who, who_) &&
        lines.authority == authority_ && lines.mount == mount_ && lines.client == client_ &&
        lines.scheme == scheme_) {
        out.block(lines.text);
        return;
    }
    const std::size_t from = out.size();
    write_tier_fields(out);
    write_identity_fields(out);
    lines.text.clear();
    if (out.failed() || out.size() - from > RequestMemo::text_max) {
        return;
    }
    lines.text.assign(out.text().substr(from));
    lines.snapshot = core_.snapshot_number;
    lines.app = app_;
    lines.who = who_;
    lines.version_minor = head.version_minor;
    lines.scheme.assign(scheme_);
    lines.authority.assign(authority_);
    lines.client.assign(client_);
    lines.mount.assign(mount_);
}

} // namespace hasp::passon

#include "web_certificates.h"

#include "base/files.h"
#include "base/text.h"
#include "trust/hash.h"
#include "web_chain.h"

#include <algorithm>
#include <unistd.h>

namespace hasp::maint {

namespace {
constexpr const char* held_file = "/web.json"; // {from, key, chain}
constexpr const char* next_key_file = "/web-next-key.pem";
constexpr std::size_t held_bytes_max = 256 * 1024;
constexpr std::size_t pem_bytes_max = 1 << 20;
constexpr std::int64_t look_every_us = 60'000'000;
// Between questions that failed: doubled each time.
constexpr std::int64_t again_first_us = 60'000'000;
constexpr std::int64_t again_max_us = 3600LL * 1'000'000;
constexpr int doublings_max = 6;
constexpr std::int64_t wait_s_max = 3600;
// An authority's clock may be ahead. Only a tier that has nothing better shows browsers what is not
// valid yet.
constexpr std::int64_t early_us = 24LL * 3600 * 1'000'000;
constexpr std::uint64_t spreads = 1000;

std::int64_t days_of(std::int64_t us) {
    return us / (24LL * 3600 * 1'000'000);
}

// Like the first, another for each key, and the same after a restart.
std::uint64_t spread_of(const std::string& fingerprint) {
    std::uint64_t sum = 0;
    for (const char c : fingerprint) {
        sum = sum * 31 + static_cast<unsigned char>(c);
    }
    return sum % spreads;
}

// The longest that may pass from the beginning of a life to its renewal.
std::int64_t used_at_renewal_us(std::int64_t life_us, std::int64_t offline_us) {
    return std::clamp(life_us - offline_us, life_us / 3, life_us * 2 / 3);
}
} // namespace

std::int64_t renew_at_us(std::int64_t from_us, std::int64_t to_us, std::int64_t offline_us,
                         std::uint64_t spread) {
    const std::int64_t life = to_us - from_us;
    return from_us + used_at_renewal_us(life, offline_us) -
           life / 20 * static_cast<std::int64_t>(spread) / static_cast<std::int64_t>(spreads);
}

std::int64_t always_left_us(std::int64_t life_us, std::int64_t offline_us) {
    return life_us - used_at_renewal_us(life_us, offline_us);
}

WebCertificates::WebCertificates(World world) : world_(std::move(world)) {
    world_.links.on("web.certify",
                    [this](const std::string& from, const Message& m, const Links::Answer& answer) {
                        from_below(from, m, answer);
                    });
}

std::string WebCertificates::from() const {
    using From = Config::TlsFrom;
    const From from = world_.config.web.tls_from;
    return from == From::lan ? "lan" : from == From::acme ? "acme" : "files";
}

std::int64_t WebCertificates::offline_us() const {
    const std::int64_t days = world_.config.web.offline_days;
    return days > 0 ? days * 24 * 3600 * 1'000'000 : world_.lent_us();
}

void WebCertificates::load() {
    if (!asks()) {
        look_at_files();
        return;
    }
    if (auto key = trust::load_tls_key(world_.keys_folder + next_key_file); key.ok()) {
        next_key_ = *std::move(key);
    }
    auto text = read_file(world_.keys_folder + held_file, held_bytes_max);
    if (!text.ok() && text.error().code == Code::not_found) {
        return;
    }
    const Json json = parse_object(text.ok() ? *text : "");
    auto key = trust::TlsKey::from_pem(text_of(json, "key"));
    auto chain = trust::from_pem(text_of(json, "chain"));
    auto said = chain.ok() ? trust::read_web_certificate(chain->front())
                           : Result<trust::WebCertificate>(chain.error());
    if (!key.ok() || !said.ok() || said->tls_fingerprint != key->fingerprint()) {
        world_.log.error("web_certificate.load",
                         world_.keys_folder + held_file +
                             " is damaged: another certificate is asked for");
        return;
    }
    // A crash between keeping a certificate and forgetting the question: the next has its own key.
    if (next_key_ && next_key_->fingerprint() == key->fingerprint()) {
        next_key_.reset();
        ::unlink((world_.keys_folder + next_key_file).c_str());
    }
    held_ = Held{text_of(json, "from"), *std::move(key), *std::move(chain), *std::move(said)};
}

void WebCertificates::front_connected() {
    tell_front();
}

void WebCertificates::tell_front() const {
    if (!held_ || !asks()) {
        return;
    }
    // Whoever trusts an authority has it: a certificate that signed itself goes to no browser.
    std::vector<std::string> chain = held_->chain;
    if (chain.size() > 1) {
        const auto last = trust::read_web_certificate(chain.back());
        if (last.ok() && last->self_signed) {
            chain.pop_back();
        }
    }
    world_.ports.send_front(
        dump(
            {{"t", "web.certificate"}, {"chain", trust::to_pem(chain)}, {"key", held_->key.pem()}}),
        {}, {});
}

void WebCertificates::parent_connected() {
    again_us_ = 0;
    failures_ = 0;
    tick();
}

std::int64_t WebCertificates::renew_us(const Held& held) const {
    return renew_at_us(held.said.from_us, held.said.to_us, offline_us(),
                       spread_of(held.said.tls_fingerprint));
}

bool WebCertificates::due(std::int64_t now_us) const {
    return !fits() || now_us >= renew_us(*held_);
}

bool WebCertificates::fits() const {
    if (!held_ || held_->from != from()) {
        return false;
    }
    const auto names = browser_names(world_.config);
    return std::all_of(names.begin(), names.end(),
                       [&](const std::string& name) { return trust::is_for(held_->said, name); });
}

void WebCertificates::tick() {
    const std::int64_t now = world_.clock.boot_us();
    if (!asks()) {
        if (!world_.config.web.tls_cert.empty() && now - looked_us_ >= look_every_us) {
            looked_us_ = now;
            look_at_files();
        }
        return;
    }
    if (asking_ || now < again_us_) {
        return;
    }
    again_us_ = now + look_every_us;
    if (due(world_.trusted_now_us())) {
        ask();
    }
}

// Front reads them by itself; here only what they say is of interest.
void WebCertificates::look_at_files() {
    const std::string& file = world_.config.web.tls_cert;
    if (file.empty()) {
        return;
    }
    auto pem = read_file(file, pem_bytes_max);
    auto chain = pem.ok() ? trust::from_pem(*pem) : Result<std::vector<std::string>>(pem.error());
    auto said = chain.ok() ? trust::read_web_certificate(chain->front())
                           : Result<trust::WebCertificate>(chain.error());
    error_ = said.ok() ? "" : file + ": " + said.error().message;
    in_files_ = said.ok() ? std::optional(*std::move(said)) : std::nullopt;
}

void WebCertificates::failed(const std::string& why, std::int64_t again_us) {
    if (error_ != why) {
        world_.log.warn("web_certificate.ask", why);
    }
    error_ = why;
    again_us_ = world_.clock.boot_us() + again_us +
                static_cast<std::int64_t>(
                    world_.random.below(static_cast<std::uint64_t>(again_us) / 4 + 1));
    world_.changed();
}

void WebCertificates::ask() {
    const std::string file = world_.keys_folder + next_key_file;
    if (!next_key_) {
        next_key_ = trust::TlsKey::generate(world_.random);
        // Kept, so that the same is asked for again after a restart.
        if (const Status saved = trust::save_private(file, next_key_->pem()); !saved.ok()) {
            next_key_.reset();
            failed(saved.error().message, again_max_us);
            return;
        }
    }
    auto request = trust::make_web_request(*next_key_, browser_names(world_.config));
    if (!request.ok()) {
        failed(request.error().message, again_max_us);
        return;
    }
    asking_ = true;
    decide(world_.me.name,
           {{"t", "web.certify"},
            {"tier", world_.me.name.text()},
            {"from", from()},
            {"request", to_base64url(*request)}},
           [this](Result<Message> answer) {
               asking_ = false;
               answered(std::move(answer));
           });
}

void WebCertificates::answered(Result<Message> answer) {
    if (answer.ok() && answer->head.contains("wait_s")) {
        const std::int64_t wait =
            std::clamp<std::int64_t>(int_of(answer->head, "wait_s"), 1, wait_s_max);
        error_ = text_of(answer->head, "why");
        again_us_ = world_.clock.boot_us() + wait * 1'000'000;
        world_.changed();
        return;
    }
    const Status taken = answer.ok() ? take(answer->body) : Status(answer.error());
    if (taken.ok()) {
        error_.clear();
        failures_ = 0;
        world_.changed();
        return;
    }
    const Error& error = taken.error();
    failed(error.message + (error.hint.empty() ? "" : " (" + error.hint + ")"),
           std::min(again_max_us, again_first_us << std::min(failures_++, doublings_max)));
}

Status WebCertificates::take(const std::string& pem) {
    const std::int64_t now = world_.trusted_now_us();
    const bool serves = fits() && held_->said.from_us <= now && now < held_->said.to_us;
    auto chain = read_web_chain(
        pem, {next_key_->fingerprint(), browser_names(world_.config), now, serves ? 0 : early_us});
    if (!chain.ok()) {
        return chain.error();
    }
    Held next{from(), *next_key_, std::move(chain->der), std::move(chain->said)};
    if (Status kept = keep(next); !kept.ok()) {
        return kept;
    }
    held_ = std::move(next);
    next_key_.reset();
    ::unlink((world_.keys_folder + next_key_file).c_str());
    world_.log.info("web_certificate.new", "browsers see a new certificate",
                    {{"until", rfc3339(held_->said.to_us)}, {"issuer", held_->said.issuer}});
    tell_front();
    return {};
}

Status WebCertificates::keep(const Held& held) const {
    std::string text = dump(
        {{"from", held.from}, {"key", held.key.pem()}, {"chain", trust::to_pem(held.chain)}}, 2);
    Status kept = write_file_durably(world_.keys_folder + held_file, text + "\n", 0600);
    trust::wipe(text);
    return kept;
}

void WebCertificates::from_below(const std::string& child, const Message& message,
                                 const Links::Answer& answer) {
    const auto name = world_.me.name.child(child);
    const auto tier = trust::TierName::parse(text_of(message.head, "tier"));
    if (child == to_parent || !name.ok() || !tier.ok() || !tier->is_in_subtree(*name)) {
        answer(
            fail(Code::refused, "only a tier below may ask that, and only for what is below it"));
        return;
    }
    decide(*tier,
           {{"t", "web.certify"},
            {"tier", tier->text()},
            {"from", text_of(message.head, "from")},
            {"request", text_of(message.head, "request")}},
           answer);
}

void WebCertificates::decide(const trust::TierName& tier, const Json& question,
                             const Links::Answer& answer) {
    const std::string wanted = text_of(question, "from");
    if (wanted == "acme" && world_.acme.there()) {
        auto said =
            world_.acme.certify(tier, from_base64url(text_of(question, "request")).value_or(""));
        if (!said.ok()) {
            answer(said.error());
        } else if (said->chain_pem.empty()) {
            answer(Message{{{"wait_s", said->wait_s}, {"why", said->why}}, {}});
        } else {
            answer(Message{Json::object(), std::move(said->chain_pem)});
        }
        return;
    }
    if (wanted == "lan" && world_.authority.there()) {
        const auto request =
            trust::read_web_request(from_base64url(text_of(question, "request")).value_or(""));
        auto pem = request.ok() ? world_.authority.sign(tier, *request)
                                : Result<std::string>(request.error());
        if (!pem.ok()) {
            world_.log.warn("web_ca.refused", pem.error().message, {{"tier", tier.text()}});
            answer(pem.error());
            return;
        }
        answer(Message{Json::object(), *std::move(pem)});
        return;
    }
    if (world_.me.has_parent()) {
        if (!world_.links.connected(to_parent)) {
            answer(fail(Code::unreachable, "the tier above cannot be reached"));
            return;
        }
        world_.links.ask(to_parent, question, {}, [answer](Result<Message> said) {
            if (said.ok()) {
                said->head.erase("q");
                said->head.erase("t");
            }
            answer(std::move(said));
        });
        return;
    }
    answer(fail(
        Code::not_found, "no tier of this realm gives certificates of this kind",
        std::string(wanted == "acme" ? "set directory under [acme]" : "set names under [web_ca]") +
            " in hasp.toml of " + world_.me.name.text()));
}

std::string WebCertificates::authority_pem() const {
    if (!held_ || held_->from != "lan" || held_->chain.size() < 2) {
        return {};
    }
    return trust::to_pem({held_->chain.back()});
}

std::string WebCertificates::short_words(std::int64_t allows_us, std::int64_t wanted_us,
                                         bool overdue) const {
    std::string out = "HTTPS ends first: the tier is to do without its link for " +
                      std::to_string(days_of(wanted_us)) + " days, and its certificate allows " +
                      std::to_string(days_of(allows_us)) + "; ";
    if (!asks()) {
        return out + "replace the files by then, or use tls_from = \"lan\" under [web]";
    }
    if (overdue) {
        return out + "its renewal is overdue";
    }
    if (from() == "acme") {
        return out + "no public certificate lasts longer: lend for less, or use tls_from = "
                     "\"lan\" under [web]";
    }
    // A third of a life has passed before the next certificate is asked for.
    const std::int64_t needed = (days_of(wanted_us) * 3 + 1) / 2 + 1;
    constexpr std::int64_t days_max = 398;
    return out + (needed <= days_max
                      ? "set days = " + std::to_string(needed) +
                            " or more under [web_ca] at the "
                            "authority"
                      : "no certificate does: lend for less, or set offline_days under [web]");
}

Json WebCertificates::show() const {
    if (world_.config.web.tls_listen.empty()) {
        return nullptr;
    }
    const trust::WebCertificate* said =
        asks() ? (held_ ? &held_->said : nullptr) : (in_files_ ? &*in_files_ : nullptr);
    const std::int64_t wanted = offline_us();
    Json out{{"from", from()}, {"wanted_days", days_of(wanted)}};
    if (!error_.empty()) {
        out["error"] = error_;
    }
    if (said == nullptr) {
        out["names"] = browser_names(world_.config);
        return out;
    }
    out["names"] = said->names;
    out["issuer"] = said->issuer;
    out["ends"] = rfc3339(said->to_us);
    if (asks()) {
        out["renews"] = rfc3339(renew_us(*held_));
    }
    const std::int64_t left = std::max<std::int64_t>(0, said->to_us - world_.trusted_now_us());
    const std::int64_t always = asks() ? always_left_us(said->to_us - said->from_us, wanted) : left;
    // A renewal takes its time: hours after it was due nothing is wrong yet.
    const bool overdue = asks() && left + day_us < always;
    out["allows_days"] = days_of(std::min(always, left));
    if (overdue ? left < wanted : days_of(always) < days_of(wanted)) {
        out["short"] = short_words(std::min(always, left), wanted, overdue);
    }
    return out;
}

} // namespace hasp::maint

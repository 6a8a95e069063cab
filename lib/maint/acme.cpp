#include "acme.h"

#include "base/files.h"
#include "base/text.h"
#include "trust/hash.h"

#include <algorithm>

namespace hasp::maint {

namespace {
constexpr std::size_t file_bytes_max = std::size_t{32} << 20;
// Between two tries of one request: the server could not be asked, or it refused; doubled each
// time.
constexpr std::int64_t again_us = 60 * second_us;
constexpr std::int64_t again_refused_us = 900 * second_us;
constexpr int doublings_max = 5;
constexpr std::int64_t wait_s_busy = 5;
constexpr std::int64_t wait_s_max = 3600;
// A request that nobody asks for any more.
constexpr std::int64_t forget_us = day_us;

// The same for each request by one key for the same names: signatures of P-256 differ each time.
std::string id_of(const trust::WebRequest& request) {
    std::string all = request.tls_spki_der;
    for (const std::string& name : request.names) {
        all += "\n" + name;
    }
    return to_hex(trust::sha256(all));
}
} // namespace

Status Acme::load() {
    if (!there()) {
        return {};
    }
    const Config::Acme& config = world_.config.acme;
    auto zones = WebZones::parse(config.names, config.assign);
    if (!zones.ok()) {
        return zones.error();
    }
    zones_ = *std::move(zones);
    const std::string key_file = world_.keys_folder + "/acme-account.pem";
    auto key = trust::load_tls_key(key_file);
    if (!key.ok() && key.error().code != Code::not_found) {
        return key.error();
    }
    if (!key.ok()) {
        key = trust::TlsKey::generate(world_.random);
        if (Status saved = trust::save_private(key_file, key->pem()); !saved.ok()) {
            return saved;
        }
    }
    account_ = AcmeAccount{
        *std::move(key), config.directory, config.ca, config.contact, {}, {}, {}, {}, {}};
    auto text = read_file(file(), file_bytes_max);
    const Json kept = parse_object(text.ok() ? *text : "");
    if (text_of(kept, "directory") != config.directory) {
        return {};
    }
    account_->kid = text_of(kept, "account");
    for (const Json& one : member(kept, "orders")) {
        const std::string der = from_base64url(text_of(one, "request")).value_or("");
        const auto request = trust::read_web_request(der);
        if (request.ok()) {
            jobs_.push_back({id_of(*request), text_of(one, "tier"), request->names, der,
                             text_of(one, "url"), text_of(one, "chain"), "", 0, 0,
                             world_.clock.boot_us()});
        }
    }
    return {};
}

void Acme::save() {
    Json orders = Json::array();
    for (const Job& job : jobs_) {
        orders.push_back({{"tier", job.tier},
                          {"request", to_base64url(job.request_der)},
                          {"url", job.url},
                          {"chain", job.chain}});
    }
    const Json all{
        {"directory", account_->directory}, {"account", account_->kid}, {"orders", orders}};
    if (const Status saved = write_file_durably(file(), dump(all, 2) + "\n", 0600); !saved.ok()) {
        // Goes on: what is lost by a crash now is an order, which is made again.
        world_.log.error("acme.keep", saved.error().message);
    }
}

Acme::Job* Acme::find(const std::string& id) {
    const auto at =
        std::find_if(jobs_.begin(), jobs_.end(), [&](const Job& job) { return job.id == id; });
    return at == jobs_.end() ? nullptr : &*at;
}

Result<Acme::Answer> Acme::certify(const trust::TierName& tier, const std::string& request_der) {
    const auto request = trust::read_web_request(request_der);
    if (!request.ok()) {
        return request.error();
    }
    for (const std::string& name : request->names) {
        if (trust::is_web_address(name) || !zones_.may(world_.me.name, tier, name)) {
            return fail(Code::refused, "'" + name + "' is not a name of " + tier.text(),
                        "names and assign under [acme] of " + world_.me.name.text() +
                            " say which tier has which names");
        }
    }
    const std::int64_t now = world_.clock.boot_us();
    const std::string id = id_of(*request);
    Job* job = find(id);
    if (job == nullptr) {
        std::erase_if(jobs_,
                      [&](const Job& one) { return one.tier == tier.text() && one.id != active_; });
        // Each is an order, of which the authority gives so many a week for all names of a domain.
        Requests& begun = begun_[tier.text()];
        if (begun.count == 0 || now - begun.since_us >= day_us) {
            begun = {now, 0};
        }
        if (jobs_.size() >= acme_requests_max || begun.count >= acme_requests_a_day_max) {
            return fail(Code::try_later, "too many requests for certificates are waiting");
        }
        ++begun.count;
        jobs_.push_back({id, tier.text(), request->names, request_der, "", "", "", 0, 0, now});
        save();
        tick();
        job = find(id);
    }
    job->asked_us = now;
    if (!job->chain.empty()) {
        return Answer{job->chain, 0, ""};
    }
    if (job->id == active_) {
        return Answer{"", wait_s_busy, "waiting for " + order_->words()};
    }
    const std::int64_t left_s = (job->not_before_us - now) / second_us;
    return Answer{"", std::clamp(left_s, wait_s_busy, wait_s_max),
                  job->why.empty() ? "waiting for the orders before it" : job->why};
}

void Acme::forget_old() {
    const std::int64_t now = world_.clock.boot_us();
    if (std::erase_if(jobs_, [&](const Job& job) {
            return job.id != active_ && now - job.asked_us > forget_us;
        }) > 0) {
        save();
    }
}

void Acme::tick() {
    if (!account_ || busy_) {
        return;
    }
    const std::int64_t now = world_.clock.boot_us();
    if (order_ == nullptr) {
        forget_old();
        const auto due = std::find_if(jobs_.begin(), jobs_.end(), [&](const Job& job) {
            return job.chain.empty() && job.not_before_us <= now;
        });
        if (due == jobs_.end()) {
            return;
        }
        begin(*due);
    } else if (now < again_us_) {
        return;
    }
    run();
}

void Acme::begin(Job& job) {
    active_ = job.id;
    order_ = std::make_unique<AcmeOrder>(*account_, job.names, job.request_der, job.url,
                                         world_.config.acme.dns_wait_s * second_us);
    again_us_ = 0;
}

void Acme::run() {
    const AcmeOrder::Step step = order_->next();
    using Kind = AcmeOrder::Step::Kind;
    switch (step.kind) {
    case Kind::wait:
        again_us_ = world_.clock.boot_us() + step.wait_us;
        return;
    case Kind::http:
        busy_ = true;
        world_.ports.outside_http(step.call, [this](const Result<OutsideAnswer>& answer) {
            busy_ = false;
            const std::string account = account_->kid;
            order_->http_done(answer, world_.clock.wall_us());
            Job* job = find(active_);
            if (job->url != order_->url() || account != account_->kid) {
                job->url = order_->url();
                save();
            }
            run();
        });
        return;
    case Kind::hook: {
        busy_ = true;
        std::vector<std::string> words{world_.config.acme.dns_hook};
        words.insert(words.end(), step.words.begin(), step.words.end());
        world_.ports.outside_command(std::move(words), [this](const Status& done) {
            busy_ = false;
            if (!done.ok()) {
                world_.log.warn("acme.dns_hook", done.error().message);
            }
            order_->hook_done(done);
            run();
        });
        return;
    }
    case Kind::done:
    case Kind::failed:
        ended(step.kind == Kind::done);
        return;
    }
}

void Acme::ended(bool good) {
    Job& job = *find(active_);
    if (good) {
        job.chain = order_->chain_pem();
        job.why.clear();
        world_.log.info("acme.certificate", "the authority has signed",
                        {{"tier", job.tier}, {"name", job.names.front()}});
    } else {
        const AcmeProblem& problem = order_->problem();
        const bool refused = !order_->resumes();
        if (refused) {
            job.url.clear();
        }
        const std::int64_t doubled = (refused ? again_refused_us : again_us)
                                     << std::min(job.failures++, doublings_max);
        const std::int64_t wait = std::max(doubled, problem.wait_us);
        job.why = "the authority: " + problem.words();
        job.not_before_us = world_.clock.boot_us() + wait +
                            static_cast<std::int64_t>(
                                world_.random.below(static_cast<std::uint64_t>(wait) / 4 + 1));
        world_.log.warn("acme.refused", job.why, {{"tier", job.tier}, {"name", job.names.front()}});
    }
    order_.reset();
    active_.clear();
    save();
    world_.changed();
}

Json Acme::show() const {
    Json orders = Json::array();
    for (const Job& job : jobs_) {
        Json one{{"tier", job.tier},
                 {"names", job.names},
                 {"state", !job.chain.empty()  ? "ready"
                           : job.id == active_ ? "under way"
                           : job.why.empty()   ? "waiting"
                                               : "failed"}};
        if (!job.why.empty()) {
            one["why"] = job.why;
        }
        orders.push_back(std::move(one));
    }
    return {{"directory", world_.config.acme.directory},
            {"account", account_ ? account_->kid : ""},
            {"orders", orders}};
}

} // namespace hasp::maint

#include "acme.h"

#include "base/files.h"
#include "base/text.h"
#include "trust/hash.h"
#include "web_chain.h"

#include <algorithm>

namespace hasp::maint {

namespace {
constexpr std::size_t jobs_bytes_max = std::size_t{32} << 20;
// Between two tries of one request: the server could not be asked, or it refused; doubled each
// time.
constexpr std::int64_t again_us = 60 * second_us;
constexpr std::int64_t again_refused_us = 900 * second_us;
constexpr int order_doublings_max = 5;
constexpr std::int64_t wait_s_busy = 5;
constexpr std::int64_t order_wait_s_max = 3600;
// A request that nobody asks for any more.
constexpr std::int64_t forget_us = day_us;
// When it was asked for is kept so often at least: a restart does not forget it too early.
constexpr std::int64_t keep_asked_us = hour_us;
// While the server is in the way of all: 1, 2, 4, 8, 16 minutes.
constexpr int server_doublings_max = 4;
// An authority's clock may be ahead.
constexpr std::int64_t order_early_us = day_us;

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
    const bool is_new = !key.ok();
    if (is_new) {
        key = trust::TlsKey::generate(world_.random);
        if (Status saved = trust::save_private(key_file, key->pem()); !saved.ok()) {
            return saved;
        }
    }
    account_ = AcmeAccount{
        *std::move(key), config.directory, config.ca, config.contact, {}, {}, {}, {}, {}};
    auto text = read_file(file(), jobs_bytes_max);
    const Json kept = parse_object(text.ok() ? *text : "");
    if (text_of(kept, "directory") != config.directory) {
        return {};
    }
    // Another key is another account, which knows none of the orders.
    account_->kid = is_new ? "" : text_of(kept, "account");
    for (const Json& one : member(kept, "orders")) {
        auto job = read_job(one);
        if (job.ok() && jobs_.size() < acme_requests_max) {
            job->url = is_new ? "" : job->url;
            jobs_.push_back(*std::move(job));
        }
    }
    return {};
}

Result<Acme::Job> Acme::read_job(const Json& kept) const {
    const std::string der = from_base64url(text_of(kept, "request")).value_or("");
    const auto request = trust::read_web_request(der);
    const auto tier = trust::TierName::parse(text_of(kept, "tier"));
    if (!request.ok() || !tier.ok()) {
        return request.ok() ? tier.error() : request.error();
    }
    if (!may(*tier, *request)) {
        return fail(Code::refused, "the names are not the tier's any more");
    }
    Job job;
    job.id = id_of(*request);
    job.tier = tier->text();
    job.names = request->names;
    job.request_der = der;
    job.url = text_of(kept, "url");
    job.chain = text_of(kept, "chain");
    const std::int64_t ago =
        std::max<std::int64_t>(0, world_.clock.wall_us() - int_of(kept, "asked"));
    job.asked_us = world_.clock.boot_us() - (kept.contains("asked") ? ago : 0);
    if (!job.chain.empty() && !look_at_chain(job).ok()) {
        job.chain.clear();
        job.url.clear();
    }
    return job;
}

Status Acme::look_at_chain(Job& job) const {
    const auto request = trust::read_web_request(job.request_der);
    if (!request.ok()) {
        return request.error();
    }
    const auto chain =
        read_web_chain(job.chain, {trust::spki_fingerprint(request->tls_spki_der), job.names,
                                   world_.clock.wall_us(), order_early_us});
    if (!chain.ok()) {
        return chain.error();
    }
    job.ends_us = chain->said.to_us;
    return {};
}

bool Acme::may(const trust::TierName& tier, const trust::WebRequest& request,
               std::string* first_bad) const {
    for (const std::string& name : request.names) {
        if (trust::is_web_address(name) || !zones_.may(world_.me.name, tier, name)) {
            if (first_bad != nullptr) {
                *first_bad = name;
            }
            return false;
        }
    }
    return true;
}

void Acme::save() {
    const std::int64_t now = world_.clock.boot_us();
    const std::int64_t now_wall = world_.clock.wall_us();
    kept_us_ = now;
    Json orders = Json::array();
    for (const Job& job : jobs_) {
        orders.push_back({{"tier", job.tier},
                          {"request", to_base64url(job.request_der)},
                          {"url", job.url},
                          {"chain", job.chain},
                          {"asked", now_wall - (now - job.asked_us)}});
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
    if (std::string bad; !may(tier, *request, &bad)) {
        return fail(Code::refused, "'" + bad + "' is not a name of " + tier.text(),
                    "names and assign under [acme] of " + world_.me.name.text() +
                        " say which tier has which names");
    }
    const std::int64_t now = world_.clock.boot_us();
    const std::string id = id_of(*request);
    Job* job = find(id);
    const bool over = job != nullptr && !job->chain.empty() &&
                      job->ends_us <= world_.clock.wall_us(); // its order gives no other
    if (job == nullptr || over) {
        if (Status counted = count(tier); !counted.ok()) {
            return counted.error();
        }
        std::erase_if(jobs_, [&](const Job& one) {
            return one.id == id || (one.tier == tier.text() && one.id != active_);
        });
        Job fresh;
        fresh.id = id;
        fresh.tier = tier.text();
        fresh.names = request->names;
        fresh.request_der = request_der;
        fresh.asked_us = now;
        jobs_.push_back(std::move(fresh));
        save();
        tick();
        job = find(id);
    }
    job->asked_us = now;
    if (now - kept_us_ >= keep_asked_us) {
        save();
    }
    if (!job->chain.empty()) {
        return Answer{job->chain, 0, ""};
    }
    if (job->id == active_) {
        return Answer{"", wait_s_busy, "waiting for " + order_->words()};
    }
    const std::int64_t left_s =
        (std::max(job->not_before_us, no_order_before_us_) - now) / second_us;
    return Answer{"", std::clamp(left_s, wait_s_busy, order_wait_s_max),
                  job->why.empty() ? "waiting for the orders before it" : job->why};
}

// Each is an order, of which the authority gives so many a week for all names of a domain.
Status Acme::count(const trust::TierName& tier) {
    const std::int64_t now = world_.clock.boot_us();
    std::erase_if(begun_, [&](const auto& one) { return now - one.second.since_us >= day_us; });
    const std::size_t depth = world_.me.name.depth();
    const std::string brought_by = tier.depth() > depth ? tier.path()[depth] : "";
    const auto kept = std::count_if(jobs_.begin(), jobs_.end(), [&](const Job& one) {
        return one.tier != tier.text() || one.id == active_;
    });
    const auto begun = begun_.find(brought_by);
    if (static_cast<std::size_t>(kept) >= acme_requests_max ||
        (begun != begun_.end() && begun->second.count >= acme_requests_a_day_max)) {
        return fail(Code::try_later, "too many requests for certificates are waiting");
    }
    ++begun_.try_emplace(brought_by, Requests{now, 0}).first->second.count;
    return {};
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
        if (now < no_order_before_us_) {
            return;
        }
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
    job.why.clear();
    job.secret.clear();
    job.chain = good ? order_->chain_pem() : "";
    const Status usable = good ? look_at_chain(job) : Status();
    if (!good) {
        failed(job, order_->problem(), order_->resumes());
    } else if (!usable.ok()) {
        job.chain.clear();
        failed(job, {"", usable.error().message, 0, {}}, false);
    } else {
        world_.log.info("acme.certificate", "the authority has signed",
                        {{"tier", job.tier}, {"name", job.names.front()}});
    }
    if (order_->server_busy()) {
        no_order_before_us_ = world_.clock.boot_us() +
                              (again_us << std::min(server_failures_++, server_doublings_max));
    } else {
        server_failures_ = 0;
    }
    order_.reset();
    active_.clear();
    save();
    world_.changed();
}

void Acme::failed(Job& job, const AcmeProblem& problem, bool resumes) {
    if (!resumes) {
        job.url.clear();
    }
    const std::int64_t doubled = (resumes ? again_us : again_refused_us)
                                 << std::min(job.failures++, order_doublings_max);
    const std::int64_t wait = std::max(doubled, problem.wait_us);
    job.why = (problem.secret.empty() ? "the authority: " : "") + problem.words();
    job.secret = problem.secret;
    job.not_before_us =
        world_.clock.boot_us() + wait +
        static_cast<std::int64_t>(world_.random.below(static_cast<std::uint64_t>(wait) / 4 + 1));
    world_.log.warn("acme.refused", job.why, {{"tier", job.tier}, {"name", job.names.front()}});
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
            one["why"] = job.why + (job.secret.empty() ? "" : " (" + job.secret + ")");
        }
        orders.push_back(std::move(one));
    }
    return {{"directory", world_.config.acme.directory},
            {"account", account_ ? account_->kid : ""},
            {"orders", orders}};
}

} // namespace hasp::maint

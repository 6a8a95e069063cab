#include "metrics.h"

#include <algorithm>
#include <cstdio>
#include <vector>

namespace hasp::passon {
namespace {

// Labels are escaped though names of apps need it not: one rule for every value.
std::string label(std::string_view value) {
    std::string out;
    for (const char c : value) {
        if (c == '\\' || c == '"') {
            out += '\\';
        }
        out += c == '\n' ? ' ' : c;
    }
    return out;
}

std::string seconds(std::uint64_t us) {
    std::array<char, 40> text;
    const int size = std::snprintf(text.data(), text.size(), "%llu.%06llu",
                                   static_cast<unsigned long long>(us / 1'000'000),
                                   static_cast<unsigned long long>(us % 1'000'000));
    return {text.data(), static_cast<std::size_t>(size)};
}

// A bucket's end as people write it: 0.0025, not 0.002500.
std::string short_seconds(std::int64_t us) {
    std::string text = seconds(static_cast<std::uint64_t>(us));
    text.erase(text.find_last_not_of('0') + 1);
    if (text.back() == '.') {
        text.pop_back();
    }
    return text;
}

class Text {
  public:
    void family(std::string_view name, std::string_view type, std::string_view help) {
        name_ = name;
        out_.append("# HELP ").append(name).append(" ").append(help).append("\n# TYPE ");
        out_.append(name).append(" ").append(type).append("\n");
    }
    void row(std::string_view labels, std::string_view value, std::string_view suffix = {}) {
        out_.append(name_).append(suffix);
        if (!labels.empty()) {
            out_.append("{").append(labels).append("}");
        }
        out_.append(" ").append(value).append("\n");
    }
    void row(std::string_view labels, std::uint64_t value, std::string_view suffix = {}) {
        row(labels, std::to_string(value), suffix);
    }
    void one(std::string_view name, std::string_view type, std::string_view help,
             std::uint64_t value) {
        family(name, type, help);
        row({}, value);
    }
    std::string take() { return std::move(out_); }

  private:
    std::string out_;
    std::string name_;
};

void tell_addresses(Text& out, const std::vector<Metrics::AddressRow>& addresses) {
    const auto labels = [](const Metrics::AddressRow& row) {
        return "app=\"" + label(row.app) + "\",address=\"" + label(row.address) + "\"";
    };
    out.family("hasp_address_up", "gauge",
               "Whether an address of an upstream app is up, as far as it was used or checked.");
    for (const auto& row : addresses) {
        out.row(labels(row), row.up ? 1 : 0);
    }
    out.family("hasp_address_requests_total", "counter", "Requests that were given to an address.");
    for (const auto& row : addresses) {
        out.row(labels(row), row.requests);
    }
    out.family("hasp_address_failures_total", "counter",
               "Of these, those that it did not take or did not answer.");
    for (const auto& row : addresses) {
        out.row(labels(row), row.failures);
    }
    out.family("hasp_address_checks_total", "counter", "Checks of an address, by how they ended.");
    for (const auto& row : addresses) {
        out.row(labels(row) + ",result=\"good\"", row.checks - row.checks_failed);
        out.row(labels(row) + ",result=\"failed\"", row.checks_failed);
    }
}

} // namespace

Metrics::Route& Metrics::route_of(std::string_view app, std::string_view served) {
    if (last_ != nullptr && last_app_ == app && last_served_ == served) {
        return *last_;
    }
    last_app_.assign(app);
    last_served_.assign(served);
    key_.assign(app).append("\n").append(served);
    if (const auto known = routes_.find(std::string_view(key_)); known != routes_.end()) {
        last_ = &known->second;
        return *last_;
    }
    if (routes_.size() >= apps_max && !app.empty()) {
        key_.assign("(others)\n").append(served);
    }
    last_ = &routes_[key_]; // stays where it is
    return *last_;
}

void Metrics::count(const AccessLine& line, bool known, bool tunnel) {
    const bool named = known && line.served != "own";
    Route& route = route_of(named ? line.app : std::string_view{}, line.served);
    const auto code = static_cast<std::size_t>(line.status) / 100;
    ++route.by_class[code < route.by_class.size() ? code : 0];
    route.bytes_in += line.bytes_in;
    route.bytes_out += line.bytes_out;
    if (tunnel) {
        return;
    }
    const std::int64_t took_us = std::max<std::int64_t>(line.duration_us, 0);
    const auto* const at = std::lower_bound(bucket_us.begin(), bucket_us.end(), took_us);
    ++route.durations[static_cast<std::size_t>(at - bucket_us.begin())];
    route.duration_us += static_cast<std::uint64_t>(took_us);
}

void Metrics::add(const Routes& more) {
    for (const auto& [key, one] : more) {
        Route& sum = routes_[key];
        for (std::size_t i = 0; i < sum.durations.size(); ++i) {
            sum.durations[i] += one.durations[i];
        }
        for (std::size_t i = 0; i < sum.by_class.size(); ++i) {
            sum.by_class[i] += one.by_class[i];
        }
        sum.duration_us += one.duration_us;
        sum.bytes_in += one.bytes_in;
        sum.bytes_out += one.bytes_out;
    }
}

void Metrics::add(std::vector<AddressRow>& into, const std::vector<AddressRow>& more) {
    for (const AddressRow& one : more) {
        const auto known = std::find_if(into.begin(), into.end(), [&one](const AddressRow& row) {
            return row.app == one.app && row.address == one.address;
        });
        if (known == into.end()) {
            if (into.size() < addresses_max) {
                into.push_back(one);
            }
            continue;
        }
        known->requests += one.requests;
        known->failures += one.failures;
        known->checks += one.checks;
        known->checks_failed += one.checks_failed;
    }
}

std::string Metrics::text(const EngineCounters& now, std::string_view tier,
                          const std::vector<AddressRow>& addresses) const {
    struct Row {
        std::string labels;
        const Route* route;
    };
    std::vector<Row> rows;
    for (const auto& [key, route] : routes_) {
        const std::size_t at = key.find('\n');
        rows.push_back({"app=\"" + label(std::string_view(key).substr(0, at)) + "\",served=\"" +
                            label(std::string_view(key).substr(at + 1)) + "\"",
                        &route});
    }
    std::sort(rows.begin(), rows.end(),
              [](const Row& a, const Row& b) { return a.labels < b.labels; });

    Text out;
    out.family("hasp_info", "gauge", "Always 1; says which tier this is.");
    out.row("tier=\"" + label(tier) + "\"", 1);
    out.family("hasp_requests_total", "counter",
               "Requests that have ended, by app, by who served them and by class of status; code "
               "none: the client left before an answer.");
    for (const Row& row : rows) {
        for (std::size_t code = 0; code < row.route->by_class.size(); ++code) {
            if (const std::uint64_t count = row.route->by_class[code]; count > 0) {
                const std::string name = code == 0 ? "none" : std::to_string(code) + "xx";
                out.row(row.labels + ",code=\"" + name + "\"", count);
            }
        }
    }
    out.family("hasp_request_duration_seconds", "histogram",
               "From a request's head to the last byte of its answer; WebSockets apart.");
    for (const Row& row : rows) {
        std::uint64_t sum = 0;
        for (std::size_t i = 0; i < bucket_us.size(); ++i) {
            sum += row.route->durations[i];
            out.row(row.labels + ",le=\"" + short_seconds(bucket_us[i]) + "\"", sum, "_bucket");
        }
        sum += row.route->durations.back();
        out.row(row.labels + ",le=\"+Inf\"", sum, "_bucket");
        out.row(row.labels, seconds(row.route->duration_us), "_sum");
        out.row(row.labels, sum, "_count");
    }
    out.family("hasp_request_bytes_total", "counter", "Payload of requests' bodies.");
    for (const Row& row : rows) {
        out.row(row.labels, row.route->bytes_in);
    }
    out.family("hasp_answer_bytes_total", "counter", "Payload of answers' bodies.");
    for (const Row& row : rows) {
        out.row(row.labels, row.route->bytes_out);
    }
    out.family("hasp_link_bytes_total", "counter",
               "Payload that crossed links, from this tier's side.");
    out.row("link=\"parent\",direction=\"in\"", now.parent.in);
    out.row("link=\"parent\",direction=\"out\"", now.parent.out);
    out.row("link=\"children\",direction=\"in\"", now.children.in);
    out.row("link=\"children\",direction=\"out\"", now.children.out);
    out.row("link=\"peers\",direction=\"in\"", now.peers.in);
    out.row("link=\"peers\",direction=\"out\"", now.peers.out);
    out.one("hasp_connections", "gauge", "Open connections, HTTP/2 streams among them.",
            now.connections);
    out.one("hasp_requests_active", "gauge", "Requests under way, WebSockets among them.",
            now.exchanges);
    out.one("hasp_websockets", "gauge", "Open WebSockets.", now.tunnels);
    out.one("hasp_identities_cached", "gauge", "Sessions and tokens that front knows.",
            now.identities);
    out.one("hasp_reversed_connections", "gauge", "Connections that children keep ready.",
            now.parked);
    out.one("hasp_connections_refused_total", "counter", "Refused because a limit was reached.",
            now.refused_connections);
    out.one("hasp_bad_requests_total", "counter", "Requests that are not HTTP.", now.bad_requests);
    out.one("hasp_upstream_connections_total", "counter", "Opened to apps and other tiers.",
            now.upstream_opened);
    out.one("hasp_upstream_reused_total", "counter", "Requests sent on a kept connection.",
            now.upstream_reused);
    tell_addresses(out, addresses);
    out.one("hasp_access_log_dropped_bytes_total", "counter",
            "Of lines of the access log that could not be written.", now.log_bytes_dropped);
    out.one("hasp_retries_total", "counter", "Requests sent a second time.", now.retries);
    out.family("hasp_cache_answers_total", "counter",
               "Answers from the cache: as stored, confirmed by a 304, or stale since nobody could "
               "be reached.");
    out.row("how=\"hit\"", now.cache.hits);
    out.row("how=\"confirmed\"", now.cache.confirmed);
    out.row("how=\"stale\"", now.cache.stale);
    out.one("hasp_cache_stored_total", "counter", "Answers that were stored.", now.cache.stored);
    out.one("hasp_cache_collapsed_total", "counter",
            "Requests that waited for the same answer to another.", now.cache.collapsed);
    out.one("hasp_cache_refreshed_total", "counter", "Answers asked for anew beside the requests.",
            now.cache.refreshed);
    out.one("hasp_cache_evicted_total", "counter", "Answers that made room for others.",
            now.cache.evicted);
    out.one("hasp_cache_entries", "gauge", "Stored answers.", now.cache.entries);
    out.one("hasp_cache_bytes", "gauge", "What they take on the disk.", now.cache.bytes);
    return out.take();
}

} // namespace hasp::passon

// The rows of peers.
#include "tier_rows.h"

#include "json_tools.h"

namespace hasp::maint {

namespace {
std::vector<std::string> apps_of_list(const std::string& list) {
    return texts_of(parse_object("{\"names\":" + list + "}"), "names");
}
} // namespace

Result<std::vector<PeerRow>> TierStore::peers() {
    std::vector<PeerRow> rows;
    const Status read = db_->each(
        "SELECT name, card, asks, offers, since_us FROM maint_peers WHERE tenant = ?1 ORDER BY "
        "name",
        [&](const store::Statement& s) {
            rows.push_back({s.text(0), s.text(1), apps_of_list(s.text(2)), apps_of_list(s.text(3)),
                            s.integer(4)});
        },
        tenant_);
    if (!read.ok()) {
        return read.error();
    }
    return rows;
}

Status TierStore::put_peer(const PeerRow& r) {
    return store::done(db_->execute(
        "INSERT INTO maint_peers (tenant, name, card, asks, offers, since_us) VALUES (?1, ?2, ?3, "
        "?4, ?5, ?6) ON CONFLICT (tenant, name) DO UPDATE SET card = excluded.card, asks = "
        "excluded.asks, offers = excluded.offers, since_us = excluded.since_us",
        tenant_, r.name, r.card, dump(Json(r.asks)), dump(Json(r.offers)), r.since_us));
}

Status TierStore::drop_peer(const std::string& name) {
    return store::done(
        db_->execute("DELETE FROM maint_peers WHERE tenant = ?1 AND name = ?2", tenant_, name));
}

} // namespace hasp::maint

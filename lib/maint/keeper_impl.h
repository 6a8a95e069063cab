// The keeper's parts and what they say to each other: made in keeper_wiring.cpp, at work in
// keeper.cpp. One thread.
#pragma once

#include "acme.h"
#include "admin.h"
#include "apps.h"
#include "delegation.h"
#include "direct_return.h"
#include "enrolment.h"
#include "explain.h"
#include "files.h"
#include "ledger.h"
#include "link_gate.h"
#include "links.h"
#include "maint/keeper.h"
#include "pages.h"
#include "parent_addresses.h"
#include "peers.h"
#include "people.h"
#include "renewal.h"
#include "report_pace.h"
#include "roaming.h"
#include "status.h"
#include "store/db.h"
#include "web_authority.h"
#include "web_certificates.h"

#include <map>
#include <memory>
#include <string>

namespace hasp::maint {

struct Keeper::Impl {
    KeeperOptions options;
    KeeperPorts& ports;
    const Clock& clock;
    Random& random;
    const Log& log;
    TierIdentity me;
    std::unique_ptr<store::Db> db;
    std::unique_ptr<store::Db> ledger_db;
    std::unique_ptr<billing::LedgerStore> ledger_store;
    TierStore store;
    TrustedClock time;
    std::shared_ptr<sync::WorkingCopies> copies;
    std::shared_ptr<VirusCheck> virus; // nothing: there is no scanner
    ReleaseStore releases;
    Publishing publishing;
    std::unique_ptr<signon::AccountStore> accounts;
    std::unique_ptr<signon::SessionStore> sessions;
    std::unique_ptr<signon::TokenStore> tokens;
    ParentLink parent;
    std::map<std::string, std::int64_t> pids;
    Traffic traffic;
    Rollouts rollouts;
    Links links;
    LinkGate gate;
    People people;
    std::unique_ptr<Apps> apps;
    std::unique_ptr<Delegation> delegation;
    std::unique_ptr<Files> files;
    std::unique_ptr<Roaming> roaming;
    Peers peers;
    ParentAddresses parent_addresses;
    Enrolment enrolment;
    std::unique_ptr<Renewal> renewal;
    WebAuthority web_authority;
    Acme acme;
    std::unique_ptr<WebCertificates> web_certificates;
    Ledger ledger;
    std::unique_ptr<DirectReturn> direct;
    std::unique_ptr<Pages> pages;
    std::unique_ptr<Explain> explain;
    std::unique_ptr<Admin> admin;
    bool front_there = false;
    ReportPace reports;
    bool children_stale = true;
    std::int64_t expired_us = 0;
    std::map<std::string, std::string> catalog_told; // by child: what it was last told

    Impl(KeeperOptions o, KeeperPorts& p, const Clock& c, Random& r, const Log& l,
         TierIdentity identity, std::unique_ptr<store::Db> database,
         std::unique_ptr<store::Db> ledger_database, std::unique_ptr<billing::LedgerStore> usage,
         TierStore tier_store, const std::string& secret);

    // What waits to be sent upward: each module that keeps such things says its part here.
    Unsent unsent();
    Json budgets() const { return gate.json(delegation->held_bytes(), files->unsent().bytes); }
    Json status();
    void addresses_moved();
    // Of a command too, which has no front.
    void peers_changed();
    // For how long this tier may go on alone: the time that it gives leases itself, or more where
    // an app was lent for longer. In whole days: it is reported.
    std::int64_t lent_us();
    void parent_restored(std::int64_t at_us);
    void neighbour_changed(const std::string& neighbour, bool connected);
    // Whoever has nothing new to say reports seldom. Now it must be known how things stand.
    void ask_for_reports();
    void on_report(const std::string& from, const Message& message);
    void child_revoked(const std::string& child);
    void report(std::int64_t now);
    void tell_children();
    // What front needs to speak with neighbours and to know them. Children by the key that
    // enrolment bound to the name.
    void send_credentials();
    void answer_front(const char* type, const Json& question, Json answer);
    void on_page(const Json& head, const std::string& body);
};

} // namespace hasp::maint

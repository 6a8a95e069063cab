// Where this tier dials its parent, and what it tells its children of where they reach it.
//
// A tier knows its parent's addresses from its invitation. At each connect the parent says those
// that it has now ([link] addresses at the parent): they are tried first from then on, in its
// order (while a link stands, beside the address in use: passon/link_child.h). What was known
// before stays behind them until the parent has answered at one of the new ones, so that a mistake
// in its config strands nobody; then it is dropped. What never goes, and is tried last: the
// invitation's addresses, since a box may be where none of the parent's words lead (outside its
// LAN, behind a VPN), and the one where the parent answered last, numeric, since names may not be
// found after a start. TLS says who the parent is, so these cost a late try and no more. [link]
// parent in this tier's own config is an operator's word and stands in the place of all. One
// thread.
#pragma once

#include "base/log.h"
#include "dial_addresses.h"
#include "links.h"
#include "maint/config.h"
#include "maint/tier_identity.h"
#include "maint/tier_store.h"
#include "trust/invite.h"

#include <functional>
#include <string>
#include <vector>

namespace hasp::maint {

// What the parent told, and what was known before: pure. The invitation's addresses and the one
// that answered last are ParentAddresses' own.
struct AddressBook {
    std::vector<std::string> told;   // by the parent, in its order; empty: it has told none
    std::vector<std::string> before; // what was known when it did, until one of `told` answers

    // The parent told these. False: nothing is new.
    bool take(std::vector<std::string> now);
    // It has answered at one of `told`. False: that was known.
    bool proved();
    std::vector<std::string> in_order() const; // each once
};

// Of a message `addresses`. Code::refused unless they are 1 to trust::invitation_addresses_max,
// each as an invitation's.
Result<std::vector<std::string>> read_addresses(const Json& head);

class ParentAddresses {
  public:
    struct World {
        const Log& log;
        const TierIdentity& me;
        TierStore& store;
        Links& links;
        const Config& config;
        ResolveHost resolve;
        std::function<void()> moved; // front must know them anew
    };
    explicit ParentAddresses(World world);
    Status load();

    void child_connected(const std::string& child);
    // By front: the parent has answered at this numeric address.
    void reached(const std::string& address);
    // Names may have come to stand for other addresses.
    void tick();

    std::vector<std::string> numeric() const; // for front
    // [{address, from: config | parent | before | invitation}], in the order in which they are
    // tried.
    Json json() const;

  private:
    std::vector<std::string> in_order() const;
    void take(const Json& head);
    bool prove();
    void keep();

    World world_;
    AddressBook book_;
    std::string reached_;              // last, in this run
    std::string answered_;             // last, kept: numeric; empty: nowhere yet
    std::vector<std::string> dialled_; // numeric, as front last got them
};

} // namespace hasp::maint

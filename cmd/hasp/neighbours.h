// The tiers that front speaks with, as the keeper named them, and how one of them shows itself by
// its certificate. A value: a loop away from the home keeps the one that it was given.
#pragma once

#include "base/clock.h"
#include "base/result.h"
#include "trust/certificate.h"
#include "trust/name.h"

#include <map>
#include <string>
#include <vector>

namespace hasp::cmd {

struct Neighbours {
    struct Beside {
        trust::TierName tier;
        std::string realm_id;
    };
    trust::TierName me;
    std::string realm_id;
    std::map<std::string, std::string> children; // name → key of the TLS certificate, hex
    std::map<std::string, Beside> beside;        // "@west" → the center that must show itself so

    // The direct neighbour's name; Code::refused and others: it is none. `chain`: DER, its own
    // first.
    Result<std::string> name(const std::vector<std::string>& chain, trust::Relation relation,
                             const Clock& clock) const;
    // The peer must show itself under its own realm's root, by exactly its name.
    Result<std::string> name_beside_as(const std::string& name,
                                       const std::vector<std::string>& chain,
                                       const Clock& clock) const;
};

} // namespace hasp::cmd

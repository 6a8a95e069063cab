// Which tier may have a certificate for which names: decided by the tier that signs or asks for
// them, from its own config. Values; pure.
#pragma once

#include "base/result.h"
#include "trust/name.h"
#include "trust/web_names.h"

#include <string>
#include <utility>
#include <vector>

namespace hasp::maint {

class WebZones {
  public:
    // `names`: all that certificates are given for. `assign`: "PATH=NAME" or "PATH=NETWORK" with
    // the path of a tier below the authority, for example "tokyo=booking.clinic.lan", within
    // `names`, of which no DNS name lies within another: a tier would have two parts of it. usage:
    // anything else.
    static Result<WebZones> parse(const std::vector<std::string>& names,
                                  const std::vector<std::string>& assign);

    const trust::WebNames& names() const { return names_; }
    // The authority itself may have each of the names. A tier below may have what lies in its zone:
    // its path under each DNS name, lowest first (…/tokyo/desk: desk.tokyo.clinic.lan and below),
    // and what is assigned to it. A tier between may lie about who asks, and so has what is
    // assigned below it too, beside its own zone: assigning to a tier trusts every tier between
    // with it. False for a tier that is not below the authority.
    bool may(const trust::TierName& authority, const trust::TierName& tier,
             const std::string& name) const;

  private:
    trust::WebNames names_;
    std::vector<std::pair<std::string, trust::WebNames>> assigned_; // by path below the authority
};

} // namespace hasp::maint

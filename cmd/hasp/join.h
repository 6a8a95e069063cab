// A box takes an invitation: the child's side of enrolment.
#pragma once

#include "base/clock.h"
#include "base/random.h"
#include "base/result.h"

#include <string>

namespace hasp::cmd {

// Makes (or finds) this box's keys in STATE/keys, reaches the parent at one of the invitation's
// addresses, checks that its certificate leads to the realm's root that the invitation names before
// anything secret is said, and stores the certificates that it is given. Gives the tier's name.
// A box that is this tier already enrols again, with the keys that it has, by an invitation that it
// did not take yet; when the parent cannot be reached then, it stays what it is, and asks next
// time. Code::conflict when STATE holds another tier already; Code::refused when either side does
// not accept the other; Code::unreachable with what each address answered. Nothing but keys is left
// behind by a failure. Blocks up to 20 s an address.
Result<std::string> join_parent(const std::string& state, const std::string& invitation_line,
                                const Clock& clock, Random& random);

} // namespace hasp::cmd

#include "trust/counter.h"

namespace hasp::trust {

Acceptance accept_newer(const std::optional<Counter>& current, const Counter& offered) {
    if (!current) {
        return Acceptance::ok;
    }
    if (current->epoch != offered.epoch) {
        return Acceptance::epoch_mismatch;
    }
    return offered.number > current->number ? Acceptance::ok : Acceptance::older;
}

} // namespace hasp::trust

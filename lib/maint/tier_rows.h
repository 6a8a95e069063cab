// Rows that more than one part of the tier's store reads. Private to lib/maint.
#pragma once

#include "maint/tier_store.h"
#include "store/db.h"

namespace hasp::maint {

// name, release_id, origin, manifest, data_home, since_us
inline AppRow read_app(const store::Statement& s) {
    return {s.text(0), s.text(1), s.text(2), s.text(3), s.text(4), s.integer(5)};
}

} // namespace hasp::maint

// The tables of this library.
#pragma once

#include "base/result.h"

namespace hasp::store {
class Db;
}

namespace hasp::signon {

// Brings them to this binary's version: see store/migrate.h for errors. Once at start, before any
// store is made.
Status migrate_tables(store::Db& db);

} // namespace hasp::signon

// A copied database that was in use.
#pragma once

#include "base/result.h"

#include <string>

namespace hasp::store {

// `path` is a copy of an SQLite database together with copies of its -wal or -journal beside it, as
// a crash could have left them. Afterwards the file alone is a whole database: its journal is
// played in, or rolled back, and gone. Everything else in it stays as it is, pages in their places.
// Code::refused: it is damaged, or no database. Blocking; any thread.
Status settle_copy(const std::string& path);

} // namespace hasp::store

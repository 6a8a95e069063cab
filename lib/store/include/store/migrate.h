// Forward-only schema changes. Each library owns its tables and its numbered files; one database
// may serve several libraries.
#pragma once

#include "base/result.h"
#include "store/embedded.h"

#include <span>
#include <string>
#include <vector>

namespace hasp::store {

class Db;

// Brings the tables of `library` ("signon") to the newest of `files`, whose names are
// NNNN_words.sql, numbered from 0001 without gaps. Each file runs in one transaction together with
// its record ("signon/0001") in the table hasp_migrations, so that a crash leaves whole steps.
// Nothing to do is success. Code::refused: the database was written by a newer hasp (its record
// names a step that is not among `files`), or a step that was applied had other text. Code::usage:
// `files` are not numbered as said. Code::failed: a step did not run; it is rolled back.
Status migrate(Db& db, const std::string& library, std::span<const EmbeddedFile> files);

// Names of applied steps, "signon/0001" …, in order. Empty for a new database.
Result<std::vector<std::string>> applied_migrations(Db& db);

} // namespace hasp::store

#include "signon/schema.h"

#include "embedded/migrations.h"
#include "store/migrate.h"

namespace hasp::signon {

Status migrate_tables(store::Db& db) {
    return store::migrate(db, "signon", embedded::migrations());
}

} // namespace hasp::signon

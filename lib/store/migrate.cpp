#include "store/migrate.h"

#include "base/text.h"
#include "store/db.h"
#include "store/transaction.h"

#include <cstdio>
#include <openssl/sha.h>

namespace hasp::store {

namespace {

constexpr const char* history_table = "CREATE TABLE IF NOT EXISTS hasp_migrations ("
                                      "  step TEXT NOT NULL PRIMARY KEY," // "signon/0001"
                                      "  text_sha256 TEXT NOT NULL" // of the file as it was applied
                                      ") STRICT, WITHOUT ROWID";

struct Step {
    std::string id;
    std::string sha256;
};

std::string sha256_hex(std::string_view text) {
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
    return to_hex({reinterpret_cast<const char*>(digest), sizeof digest});
}

std::string number_text(std::size_t number) {
    char text[24];
    std::snprintf(text, sizeof text, "%04zu", number);
    return text;
}

Status check_names(const std::string& library, std::span<const EmbeddedFile> files) {
    for (std::size_t i = 0; i < files.size(); ++i) {
        const std::string expected = number_text(i + 1) + "_";
        if (!files[i].name.starts_with(expected) || !files[i].name.ends_with(".sql")) {
            return fail(Code::usage, "migration " + std::to_string(i + 1) + " of " + library +
                                         " is named " + std::string(files[i].name) + " and not " +
                                         expected + "….sql");
        }
    }
    return {};
}

Result<std::vector<Step>> steps_of(Db& db, const std::string& library) {
    std::vector<Step> steps;
    // From "library/" up to, not including, "library0": '0' is the character after '/'.
    Status read = db.each(
        "SELECT step, text_sha256 FROM hasp_migrations WHERE step >= ?1 AND step < ?2 ORDER BY "
        "step",
        [&](const Statement& row) {
            steps.push_back({row.text(0), row.text(1)});
        },
        library + "/", library + "0");
    if (!read) {
        return read.error();
    }
    return steps;
}

Status apply(Db& db, const std::string& id, const EmbeddedFile& file) {
    auto transaction = Transaction::begin(db);
    if (!transaction) {
        return transaction.error();
    }
    if (Status ran = db.run_script(std::string(file.text)); !ran) {
        return fail(ran.error().code,
                    "migration " + id + " (" + std::string(file.name) +
                        ") failed and was undone: " + ran.error().message,
                    ran.error().hint);
    }
    auto recorded = db.execute("INSERT INTO hasp_migrations (step, text_sha256) VALUES (?1, ?2)",
                               id, sha256_hex(file.text));
    if (!recorded) {
        return recorded.error();
    }
    return transaction->commit();
}

} // namespace

Status migrate(Db& db, const std::string& library, std::span<const EmbeddedFile> files) {
    if (Status named = check_names(library, files); !named) {
        return named;
    }
    if (Status made = db.run_script(history_table); !made) {
        return made;
    }
    auto applied = steps_of(db, library);
    if (!applied) {
        return applied.error();
    }
    if (applied->size() > files.size()) {
        return fail(Code::refused,
                    db.path() + " has the schema " + applied->back().id + ", but this hasp knows " +
                        library + " only up to " + number_text(files.size()),
                    "the database was used by a newer hasp: install that version, or restore a "
                    "backup of this one");
    }
    for (std::size_t i = 0; i < files.size(); ++i) {
        const std::string id = library + "/" + number_text(i + 1);
        if (i >= applied->size()) {
            if (Status done = apply(db, id, files[i]); !done) {
                return done;
            }
        } else if ((*applied)[i].id != id || (*applied)[i].sha256 != sha256_hex(files[i].text)) {
            return fail(Code::refused,
                        db.path() + ": step " + (*applied)[i].id +
                            " was applied with another text than this hasp has",
                        "the database was made by another build of hasp: use that one, or restore "
                        "a backup");
        }
    }
    return {};
}

Result<std::vector<std::string>> applied_migrations(Db& db) {
    if (Status made = db.run_script(history_table); !made) {
        return made.error();
    }
    std::vector<std::string> steps;
    Status read = db.each("SELECT step FROM hasp_migrations ORDER BY step",
                          [&](const Statement& row) { steps.push_back(row.text(0)); });
    if (!read) {
        return read.error();
    }
    return steps;
}

} // namespace hasp::store

-- What the home of accounts knows of their files. Paths and hashes are bytes; times are microseconds since 1970 UTC.

-- A user's folder of an app. Revisions of its files are (epoch, number).
CREATE TABLE files_folders (
    tenant TEXT NOT NULL,
    user   TEXT NOT NULL,
    app    TEXT NOT NULL,
    epoch  INTEGER NOT NULL,         -- given once; another one means that this is not the same history
    number INTEGER NOT NULL,         -- of the last batch that changed something
    PRIMARY KEY (tenant, user, app)
) STRICT;

-- What stands at a path now; kind 0: it was removed.
CREATE TABLE files_rows (
    tenant    TEXT NOT NULL,
    user      TEXT NOT NULL,
    app       TEXT NOT NULL,
    path      BLOB NOT NULL,
    kind      INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 3), -- removed, file, folder, symlink
    mode      INTEGER NOT NULL,
    mtime_us  INTEGER NOT NULL,
    size      INTEGER NOT NULL,
    hash      BLOB NOT NULL,         -- SHA-256 of a file's content, else empty
    target    BLOB NOT NULL,         -- of a symlink, else empty
    revision  INTEGER NOT NULL,
    operation TEXT NOT NULL,         -- BATCH/INDEX that made it
    PRIMARY KEY (tenant, user, app, path)
) STRICT;
CREATE INDEX files_rows_by_revision ON files_rows (tenant, user, app, revision);

-- Everything that ever stood there, the present included.
CREATE TABLE files_versions (
    tenant    TEXT NOT NULL,
    user      TEXT NOT NULL,
    app       TEXT NOT NULL,
    path      BLOB NOT NULL,
    revision  INTEGER NOT NULL,
    kind      INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 3),
    mode      INTEGER NOT NULL,
    mtime_us  INTEGER NOT NULL,
    size      INTEGER NOT NULL,
    hash      BLOB NOT NULL,
    target    BLOB NOT NULL,
    operation TEXT NOT NULL,
    at_us     INTEGER NOT NULL,      -- when the home took it
    who       TEXT NOT NULL,         -- USER@TIER that sent it
    PRIMARY KEY (tenant, user, app, path, revision)
) STRICT;
CREATE INDEX files_versions_by_hash ON files_versions (tenant, user, hash);

-- Batches that were taken: the same one again gets the same verdicts.
CREATE TABLE files_batches (
    tenant   TEXT NOT NULL,
    user     TEXT NOT NULL,
    app      TEXT NOT NULL,
    batch    TEXT NOT NULL,
    number   INTEGER NOT NULL,       -- of the folder afterwards
    verdicts BLOB NOT NULL,          -- as in an answer (PROTOCOL.md)
    at_us    INTEGER NOT NULL,
    PRIMARY KEY (tenant, user, app, batch)
) STRICT;

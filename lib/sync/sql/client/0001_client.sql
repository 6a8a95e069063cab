-- What a tier with working copies knows: what it last agreed on with the home, and what is on its way. Paths and hashes are
-- bytes; times are microseconds since 1970 UTC.

CREATE TABLE sync_folders (
    tenant          TEXT NOT NULL,
    user            TEXT NOT NULL,
    app             TEXT NOT NULL,
    epoch           INTEGER NOT NULL,  -- the home's, 0: it was never met
    number          INTEGER NOT NULL,  -- up to which the home's changes are in the working copy
    whole           INTEGER NOT NULL CHECK (whole IN (0, 1)),    -- differences did not help: contents go whole
    released        INTEGER NOT NULL CHECK (released IN (0, 1)), -- an operator said that the deletions are meant
    held            TEXT NOT NULL,     -- why something is held for an operator; empty: nothing
    held_files      INTEGER NOT NULL,
    unsent_files    INTEGER NOT NULL,
    unsent_bytes    INTEGER NOT NULL,
    unsent_since_us INTEGER NOT NULL,  -- 0: nothing is unsent
    conflicts       INTEGER NOT NULL,  -- copies that conflicts left, since the beginning
    skipped         INTEGER NOT NULL,  -- devices, sockets and the like, not kept
    synced_us       INTEGER NOT NULL,  -- last time that both sides agreed, 0: never
    error           TEXT NOT NULL,     -- of the last round; empty: none
    PRIMARY KEY (tenant, user, app)
) STRICT;

CREATE TABLE sync_base (
    tenant     TEXT NOT NULL,
    user       TEXT NOT NULL,
    app        TEXT NOT NULL,
    path       BLOB NOT NULL,
    kind       INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 3), -- file, folder, symlink
    mode       INTEGER NOT NULL,
    mtime_us   INTEGER NOT NULL,
    size       INTEGER NOT NULL,
    hash       BLOB NOT NULL,
    target     BLOB NOT NULL,
    revision   INTEGER NOT NULL,
    signature  BLOB NOT NULL,      -- librsync's, of the content; empty: it is not worth one
    stat_size  INTEGER NOT NULL,   -- the file as it was seen with this content; seen_us 0: never
    stat_mtime INTEGER NOT NULL,   -- ns
    stat_ctime INTEGER NOT NULL,   -- ns
    stat_inode INTEGER NOT NULL,
    seen_us    INTEGER NOT NULL,
    PRIMARY KEY (tenant, user, app, path)
) STRICT;
CREATE INDEX sync_base_by_hash ON sync_base (tenant, user, app, hash);

-- The batch that is on its way, one a folder; its bytes are a file.
CREATE TABLE sync_batches (
    tenant  TEXT NOT NULL,
    user    TEXT NOT NULL,
    app     TEXT NOT NULL,
    batch   TEXT NOT NULL,
    bytes   INTEGER NOT NULL,
    content INTEGER NOT NULL,      -- bytes of the files in it
    more    INTEGER NOT NULL CHECK (more IN (0, 1)), -- not everything fitted
    made_us INTEGER NOT NULL,
    PRIMARY KEY (tenant, user, app)
) STRICT;

CREATE TABLE sync_operations (
    tenant     TEXT NOT NULL,
    user       TEXT NOT NULL,
    app        TEXT NOT NULL,
    position   INTEGER NOT NULL,   -- in the batch, from 0
    path       BLOB NOT NULL,
    kind       INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 3), -- 0: a removal
    mode       INTEGER NOT NULL,
    mtime_us   INTEGER NOT NULL,
    size       INTEGER NOT NULL,
    hash       BLOB NOT NULL,
    target     BLOB NOT NULL,
    revision   INTEGER NOT NULL,
    signature  BLOB NOT NULL,
    stat_size  INTEGER NOT NULL,
    stat_mtime INTEGER NOT NULL,
    stat_ctime INTEGER NOT NULL,
    stat_inode INTEGER NOT NULL,
    seen_us    INTEGER NOT NULL,
    PRIMARY KEY (tenant, user, app, position)
) STRICT;

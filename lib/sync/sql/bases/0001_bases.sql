-- Contents that a tier with working copies last agreed on with the home, kept so that a change costs its own bytes alone. Nothing here
-- is needed: whatever is missing is sent in another way. Times are microseconds since 1970 UTC.

CREATE TABLE sync_bases (
    kept    INTEGER PRIMARY KEY AUTOINCREMENT, -- in this order they are dropped when there are too many
    tenant  TEXT NOT NULL,
    user    TEXT NOT NULL,
    app     TEXT NOT NULL,
    hash    BLOB NOT NULL,      -- SHA-256
    size    INTEGER NOT NULL,   -- of the content
    taken   INTEGER NOT NULL,   -- bytes on the disk
    content BLOB,               -- a zstd frame with its checksum; NULL: a file of its own holds it
    UNIQUE (tenant, user, app, hash)
) STRICT;

-- What a folder's home understands.
CREATE TABLE sync_homes (
    tenant  TEXT NOT NULL,
    user    TEXT NOT NULL,
    app     TEXT NOT NULL,
    format  INTEGER NOT NULL,   -- of batches
    PRIMARY KEY (tenant, user, app)
) STRICT;

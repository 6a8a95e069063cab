-- What came from the home and is being put in place, from before the first file has its name until the base has it. Whatever of it
-- stands in the working copy after a crash or an error came from the home: it is no file of an app's own that would be new there.
CREATE TABLE sync_placing (
    tenant     TEXT NOT NULL,
    user       TEXT NOT NULL,
    app        TEXT NOT NULL,
    path       BLOB NOT NULL,
    kind       INTEGER NOT NULL CHECK (kind BETWEEN 1 AND 3), -- the columns as in sync_base
    mode       INTEGER NOT NULL,
    mtime_us   INTEGER NOT NULL,
    size       INTEGER NOT NULL,
    hash       BLOB NOT NULL,
    target     BLOB NOT NULL,
    revision   INTEGER NOT NULL,
    signature  BLOB NOT NULL,
    PRIMARY KEY (tenant, user, app, path)
) STRICT;

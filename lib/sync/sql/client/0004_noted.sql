-- Paths that may differ from what was last agreed, as a client that was closed in order knew them: what the watch noticed and what is
-- unsent. While a client is open they are in its memory; after an unclean stop everything is looked at.
CREATE TABLE sync_noted (
    tenant TEXT NOT NULL,
    user   TEXT NOT NULL,
    app    TEXT NOT NULL,
    path   BLOB NOT NULL,
    tree   INTEGER NOT NULL CHECK (tree IN (0, 1)), -- and all beneath it
    PRIMARY KEY (tenant, user, app, path)
) STRICT;
-- 1: closed in order, and sync_noted has all that was known then.
ALTER TABLE sync_folders ADD COLUMN closed INTEGER NOT NULL DEFAULT 0 CHECK (closed IN (0, 1));

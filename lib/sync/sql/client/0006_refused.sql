-- Files that their home does not count, and that are not agreed on therefore: its scanner found something in them, or has not looked at them
-- yet. While the content is this one they are not sent again, but for those that wait, in the cheapest form and now and then.
CREATE TABLE sync_refused (
    tenant   TEXT NOT NULL,
    user     TEXT NOT NULL,
    app      TEXT NOT NULL,
    path     BLOB NOT NULL,
    hash     BLOB NOT NULL,          -- SHA-256 of the content
    size     INTEGER NOT NULL,       -- bytes
    found    TEXT NOT NULL,          -- as the scanner calls it; empty: it waits
    since_us INTEGER NOT NULL,       -- wall clock: the home said so first
    asked_us INTEGER NOT NULL,       -- and last
    PRIMARY KEY (tenant, user, app, path)
) STRICT;

-- Working copies whose user's account was removed, until they are gone. They are neither sent nor brought up to date any more.
CREATE TABLE sync_ended (
    tenant TEXT NOT NULL,
    user   TEXT NOT NULL,
    app    TEXT NOT NULL,
    wholly INTEGER NOT NULL CHECK (wholly IN (0, 1)), -- 1: what is unsent of it goes, too
    PRIMARY KEY (tenant, user, app)
) STRICT;

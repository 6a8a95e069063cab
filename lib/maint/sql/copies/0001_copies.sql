-- Users of whom this tier has working copies. A row goes with the last folder of the user. Times are microseconds since 1970 UTC.
CREATE TABLE maint_copies (
    tenant   TEXT NOT NULL,
    user     TEXT NOT NULL,
    since_us INTEGER NOT NULL,          -- the first folder of his came to be here
    used_us  INTEGER NOT NULL,          -- he last logged in, or was served; not to the minute
    kept     INTEGER NOT NULL CHECK (kept IN (0, 1)), -- a lease has let this tier keep his files
    PRIMARY KEY (tenant, user)
) STRICT;

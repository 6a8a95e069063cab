-- How far this tier is with the release of each app that it was last told to hold (see rollouts.h).
CREATE TABLE maint_rollouts (
    tenant     TEXT NOT NULL,
    app        TEXT NOT NULL,
    release_id TEXT NOT NULL,                    -- the one that was assigned
    state      TEXT NOT NULL CHECK (state IN ('waiting', 'fetching', 'probing', 'serving', 'rolled_back')),
    serves     TEXT NOT NULL,                    -- release that requests go to; empty: none
    why        TEXT NOT NULL,
    last_lines TEXT NOT NULL,                    -- what the app said last, when it was rolled back
    at_us      INTEGER NOT NULL,                 -- when the state began
    PRIMARY KEY (tenant, app)
) STRICT;

-- Releases of an app besides the one in maint_apps.
CREATE TABLE maint_apps_kept (
    tenant     TEXT NOT NULL,
    role       TEXT NOT NULL CHECK (role IN ('before', 'next', 'unproven')), -- see TierStore::app_kept
    name       TEXT NOT NULL,
    release_id TEXT NOT NULL,
    origin     TEXT NOT NULL,
    manifest   TEXT NOT NULL,
    data_home  TEXT NOT NULL,
    since_us   INTEGER NOT NULL,
    PRIMARY KEY (tenant, role, name)
) STRICT;

-- Who published a release, and under which sequence it was assigned last: a rollback gives old content a new one.
ALTER TABLE maint_releases ADD COLUMN epoch     INTEGER NOT NULL DEFAULT 0;
ALTER TABLE maint_releases ADD COLUMN number    INTEGER NOT NULL DEFAULT 0;
ALTER TABLE maint_releases ADD COLUMN signature BLOB NOT NULL DEFAULT x'';  -- envelope `release`
ALTER TABLE maint_releases ADD COLUMN key       BLOB NOT NULL DEFAULT x'';  -- Ed25519 public key of the signature, raw
ALTER TABLE maint_releases ADD COLUMN source    TEXT NOT NULL DEFAULT '';   -- commit of the publisher's repository; empty: none

-- One row an app: whose signatures count, and the newest release that was taken.
CREATE TABLE maint_publishers (
    tenant    TEXT NOT NULL,
    app       TEXT NOT NULL,
    origin    TEXT NOT NULL,                     -- tier that decides about the app
    statement BLOB NOT NULL,                     -- envelope `publishers` of the origin
    epoch     INTEGER NOT NULL,                  -- sequence of the newest release that this tier took for itself, or,
    number    INTEGER NOT NULL,                  -- at the origin, that was published
    release_id TEXT NOT NULL,                    -- that release
    PRIMARY KEY (tenant, app)
) STRICT;

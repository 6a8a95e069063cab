-- Contents of users' files, encrypted: where each lies (content_store.h), and how long versions stood.

-- The key of a user's contents, wrapped by the tier's (STATE/contents.key): nonce, AES-256-GCM of the key.
CREATE TABLE content_keys (
    tenant  TEXT NOT NULL,
    user    TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    PRIMARY KEY (tenant, user)
) STRICT;

-- STATE/contents/NNN/N. Many contents, or one that is large.
CREATE TABLE content_files (
    tenant TEXT NOT NULL,
    number INTEGER NOT NULL,
    bytes  INTEGER NOT NULL,         -- that count; what lies behind them is of no use
    live   INTEGER NOT NULL,         -- of these, of contents that are still there
    PRIMARY KEY (tenant, number)
) STRICT;
CREATE INDEX content_files_sparse ON content_files (tenant, number) WHERE live * 2 < bytes;

CREATE TABLE contents (
    tenant  TEXT NOT NULL,
    user    TEXT NOT NULL,
    hash    BLOB NOT NULL,           -- SHA-256 of the plain content
    file    INTEGER NOT NULL,        -- 0: it is nowhere
    at      INTEGER NOT NULL,        -- byte in the file
    bytes   INTEGER NOT NULL,        -- sealed
    size    INTEGER NOT NULL,        -- plain, bytes
    damaged INTEGER NOT NULL CHECK (damaged IN (0, 1)), -- never given to anybody
    PRIMARY KEY (tenant, user, hash)
) STRICT;
CREATE INDEX contents_by_file ON contents (tenant, file, at);
CREATE INDEX contents_damaged ON contents (tenant, user) WHERE damaged = 1;

-- Files that nothing needs any more and that may still lie on the disk.
CREATE TABLE content_gone (
    tenant TEXT NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (tenant, number)
) STRICT;

-- Where the store and its work in the background are. Times are microseconds.
CREATE TABLE content_state (
    tenant         TEXT NOT NULL PRIMARY KEY,
    next           INTEGER NOT NULL, -- number of the next file
    segment        INTEGER NOT NULL, -- that small contents are appended to; 0: a new one
    legacy         INTEGER NOT NULL CHECK (legacy BETWEEN 0 AND 2), -- blobs/ of before: none, is taken over, goes
    taken_user     TEXT NOT NULL,    -- taken over up to here
    taken_hash     BLOB NOT NULL,
    scrub_user     TEXT NOT NULL,    -- read and compared up to here
    scrub_hash     BLOB NOT NULL,
    scrub_offset   INTEGER NOT NULL, -- in the next one, if it is large
    scrub_began_us INTEGER NOT NULL, -- wall clock; 0: no pass is under way
    scrub_ended_us INTEGER NOT NULL,
    rule_user      TEXT NOT NULL,    -- versions were thinned out up to here
    rule_app       TEXT NOT NULL,
    rule_path      BLOB NOT NULL,
    rule_revision  INTEGER NOT NULL,
    rule_now_us    INTEGER NOT NULL, -- the time that the pass goes by
    rule_ended_us  INTEGER NOT NULL
) STRICT;

-- What a version was replaced by and when; 0: it stands.
ALTER TABLE files_versions ADD COLUMN ended INTEGER NOT NULL DEFAULT 0;    -- revision
ALTER TABLE files_versions ADD COLUMN ended_us INTEGER NOT NULL DEFAULT 0;
ALTER TABLE files_versions ADD COLUMN removed INTEGER NOT NULL DEFAULT 0;  -- 1: it was removed
UPDATE files_versions AS v SET (ended, ended_us, removed) = (
    SELECT w.revision, w.at_us, w.kind = 0 FROM files_versions w WHERE w.tenant = v.tenant AND w.user = v.user AND w.app = v.app
        AND w.path = v.path AND w.revision > v.revision ORDER BY w.revision LIMIT 1)
    WHERE EXISTS (SELECT 1 FROM files_versions w WHERE w.tenant = v.tenant AND w.user = v.user AND w.app = v.app
        AND w.path = v.path AND w.revision > v.revision);

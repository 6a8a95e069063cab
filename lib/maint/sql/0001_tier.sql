-- What a tier knows of itself, its neighbours and its apps. Times are microseconds since 1970 UTC; truth values are 0 or 1.

-- Facts of this tier that are single values (see TierFacts).
CREATE TABLE maint_facts (
    tenant TEXT NOT NULL,            -- the realm
    name   TEXT NOT NULL,
    value  TEXT NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT;

-- Neighbours below. A row is the authority: no row in state 'enrolled', no link.
CREATE TABLE maint_children (
    tenant             TEXT NOT NULL,
    name               TEXT NOT NULL,           -- last element of the tier's name
    state              TEXT NOT NULL CHECK (state IN ('invited', 'enrolled', 'revoked')),
    envelope_key       BLOB NOT NULL,           -- Ed25519 public key, raw 32 bytes; empty while invited
    tls_key_sha256     TEXT NOT NULL,           -- hex, of the SubjectPublicKeyInfo; empty while invited
    certificates       TEXT NOT NULL,           -- PEM: TLS leaf, CA; what enrolment answered (asked again with the same keys: the same answer)
    verifier_key       BLOB NOT NULL,           -- k of the offline verifiers, 32 bytes
    epoch              INTEGER NOT NULL,        -- of every counter of this child
    desired_generation INTEGER NOT NULL,        -- change cursor of its desired state
    reached_generation INTEGER NOT NULL,        -- as last reported
    lease_number       INTEGER NOT NULL,        -- of the last lease that was signed
    reached_lease      INTEGER NOT NULL,
    since_us           INTEGER NOT NULL,        -- when the state changed
    seen_us            INTEGER NOT NULL,        -- last message from it, 0: never
    report             TEXT NOT NULL,           -- last report, JSON; empty: none
    PRIMARY KEY (tenant, name)
) STRICT;

-- Enrolment secrets, hashed. Single use: used_by holds the envelope key that used it.
CREATE TABLE maint_invitations (
    tenant        TEXT NOT NULL,
    id            TEXT NOT NULL,
    child         TEXT NOT NULL,
    secret_sha256 BLOB NOT NULL,
    not_after_us  INTEGER NOT NULL,
    used_by       BLOB NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT;

-- Apps that this tier holds.
CREATE TABLE maint_apps (
    tenant     TEXT NOT NULL,
    name       TEXT NOT NULL,
    release_id TEXT NOT NULL,
    origin     TEXT NOT NULL,                    -- tier that decides about it: our own name, or an ancestor's
    manifest   TEXT NOT NULL,                    -- hasp-app.toml of the release
    data_home  TEXT NOT NULL,                    -- tier that may write its one dataset; empty: no dataset
    since_us   INTEGER NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT;

-- Releases whose packs this tier can hand on.
CREATE TABLE maint_releases (
    tenant      TEXT NOT NULL,
    app         TEXT NOT NULL,
    release_id  TEXT NOT NULL,
    manifest    TEXT NOT NULL,                   -- of its files, canonical (see maint/release.h)
    commit_id   TEXT NOT NULL,
    created_us  INTEGER NOT NULL,
    PRIMARY KEY (tenant, app, release_id)
) STRICT;

-- What tiers below are to hold. A row with wanted = 0 is the explicit order to remove; no row orders nothing.
CREATE TABLE maint_assignments (
    tenant     TEXT NOT NULL,
    child      TEXT NOT NULL,                    -- the neighbour through which the target is reached
    target     TEXT NOT NULL,                    -- tier that is to hold it: hasp://…
    app        TEXT NOT NULL,
    release_id TEXT NOT NULL,
    origin     TEXT NOT NULL,                    -- tier that decided it
    data_home  TEXT NOT NULL,                    -- as in maint_apps
    wanted     INTEGER NOT NULL CHECK (wanted IN (0, 1)),
    generation INTEGER NOT NULL,                 -- of the child's desired state, when this row last changed
    PRIMARY KEY (tenant, child, target, app)
) STRICT;

-- Who may log in at a child while the link is down: users and groups.
CREATE TABLE maint_allowed (
    tenant TEXT NOT NULL,
    child  TEXT NOT NULL,
    kind   TEXT NOT NULL CHECK (kind IN ('user', 'group')),
    name   TEXT NOT NULL,
    PRIMARY KEY (tenant, child, kind, name)
) STRICT;

-- Accounts whose home is below us: account names are unique in a realm, and a child speaks only for its own.
CREATE TABLE maint_directory (
    tenant TEXT NOT NULL,
    user   TEXT NOT NULL,
    child  TEXT NOT NULL,
    PRIMARY KEY (tenant, user)
) STRICT;

-- Leases: what we gave last to each child (to = its name) and what we hold from our parent (to = '').
CREATE TABLE maint_leases (
    tenant     TEXT NOT NULL,
    child      TEXT NOT NULL,
    number     INTEGER NOT NULL,
    envelope   BLOB NOT NULL,
    sections   TEXT NOT NULL,                    -- JSON: name -> sha256
    granted_us INTEGER NOT NULL,
    expires_us INTEGER NOT NULL,
    PRIMARY KEY (tenant, child)
) STRICT;

-- Immutable, named by hash; shared by leases.
CREATE TABLE maint_sections (
    tenant TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    body   BLOB NOT NULL,
    PRIMARY KEY (tenant, sha256)
) STRICT;

-- The newest errors of this tier, for status. A ring: the keeper removes the oldest beyond its limit.
CREATE TABLE maint_errors (
    tenant TEXT NOT NULL,
    at_us  INTEGER NOT NULL,
    nonce  INTEGER NOT NULL,                     -- tells errors of one microsecond apart
    id     TEXT NOT NULL,                        -- stable id of the kind, "app.failed"
    text   TEXT NOT NULL,
    PRIMARY KEY (tenant, at_us, nonce)
) STRICT;

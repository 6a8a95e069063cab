-- The ledger of usage, and what was billed from it. Times are microseconds since 1970 UTC; truth values are 0 or 1.

-- One chain of batches for each tier and epoch: our own, and those that came from below.
CREATE TABLE billing_chains (
    tenant       TEXT NOT NULL,              -- the realm
    tier         TEXT NOT NULL,              -- whose usage it is: hasp://…
    epoch        INTEGER NOT NULL,
    certificates TEXT NOT NULL,              -- PEM: the tier's CA certificate and those above it; its key verifies the batches
    stream       INTEGER NOT NULL,           -- the newest stream; 0: no batch yet
    next         INTEGER NOT NULL,           -- seq of the next event in it
    head         BLOB NOT NULL,              -- hash of the last batch, 32 bytes
    events       INTEGER NOT NULL,           -- of all batches
    bytes        INTEGER NOT NULL,
    dropped      INTEGER NOT NULL,           -- records that full rings lost, as the tier said
    acked_stream INTEGER NOT NULL,           -- what our parent has confirmed
    acked_next   INTEGER NOT NULL,
    acked_events INTEGER NOT NULL,
    acked_bytes  INTEGER NOT NULL,
    ack          BLOB NOT NULL,              -- its last signed word for it; empty: none
    PRIMARY KEY (tenant, tier, epoch)
) STRICT;

-- Immutable. The header is inside the envelope; its numbers stand here again for the keys.
CREATE TABLE billing_batches (
    tenant     TEXT NOT NULL,
    tier       TEXT NOT NULL,
    epoch      INTEGER NOT NULL,
    stream     INTEGER NOT NULL,
    first      INTEGER NOT NULL,
    count      INTEGER NOT NULL,
    from_us    INTEGER NOT NULL,             -- earliest event
    to_us      INTEGER NOT NULL,             -- latest event
    sealed_us  INTEGER NOT NULL,
    arrived_us INTEGER NOT NULL,
    hash       BLOB NOT NULL,
    header     BLOB NOT NULL,
    envelope   BLOB NOT NULL,
    events     BLOB NOT NULL,
    PRIMARY KEY (tenant, tier, epoch, stream, first)
) STRICT;
CREATE INDEX billing_batches_by_time ON billing_batches (tenant, to_us);

-- Events a UTC day, written with each batch: what `verify` holds against the batches themselves.
CREATE TABLE billing_days (
    tenant     TEXT NOT NULL,
    tier       TEXT NOT NULL,
    epoch      INTEGER NOT NULL,
    day        INTEGER NOT NULL,             -- since 1970-01-01
    requests   INTEGER NOT NULL,
    websockets INTEGER NOT NULL,             -- records: opening, minutes, end
    app_starts INTEGER NOT NULL,
    bytes_in   INTEGER NOT NULL,
    bytes_out  INTEGER NOT NULL,
    PRIMARY KEY (tenant, tier, epoch, day)
) STRICT;

-- How far a usage ring was sealed: written with the batch, so that no record is sealed twice.
CREATE TABLE billing_rings (
    tenant   TEXT NOT NULL,
    ring     BLOB NOT NULL,
    lane     INTEGER NOT NULL,
    position INTEGER NOT NULL,
    dropped  INTEGER NOT NULL,               -- of the lane, as counted by then
    PRIMARY KEY (tenant, ring, lane)
) STRICT;

-- A batch that contradicts one that is held: two boxes with one key, or a disk that was rolled back. Refused, and kept to be seen.
CREATE TABLE billing_forks (
    tenant   TEXT NOT NULL,
    tier     TEXT NOT NULL,
    epoch    INTEGER NOT NULL,
    stream   INTEGER NOT NULL,
    first    INTEGER NOT NULL,
    hash     BLOB NOT NULL,                  -- of the refused batch
    header   BLOB NOT NULL,
    envelope BLOB NOT NULL,
    seen_us  INTEGER NOT NULL,
    PRIMARY KEY (tenant, tier, epoch, stream, first, hash)
) STRICT;

CREATE TABLE billing_tariffs (
    tenant            TEXT NOT NULL,
    version           TEXT NOT NULL,
    effective_from_us INTEGER NOT NULL,
    text              TEXT NOT NULL,         -- the file as it was given
    set_us            INTEGER NOT NULL,
    PRIMARY KEY (tenant, version)
) STRICT;

-- Closed periods: half-open, disjoint.
CREATE TABLE billing_periods (
    tenant    TEXT NOT NULL,
    from_us   INTEGER NOT NULL,
    to_us     INTEGER NOT NULL,
    name      TEXT NOT NULL,                 -- as it was asked for
    tariff    TEXT NOT NULL,                 -- version
    number    INTEGER NOT NULL,              -- in the order of closing, from 1
    closed_us INTEGER NOT NULL,
    horizon   TEXT NOT NULL,                 -- JSON: up to where each chain was billed by then
    missing   TEXT NOT NULL,                 -- JSON: what was known to be missing when it was closed all the same
    PRIMARY KEY (tenant, from_us)
) STRICT;

CREATE TABLE billing_invoices (
    tenant  TEXT NOT NULL,
    from_us INTEGER NOT NULL,                -- of the period
    user    TEXT NOT NULL,
    text    TEXT NOT NULL,                   -- canonical JSON
    PRIMARY KEY (tenant, from_us, user)
) STRICT;

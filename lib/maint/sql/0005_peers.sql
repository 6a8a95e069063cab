-- Centers beside this one. A row is the authority: no row, no connection in either direction.
CREATE TABLE maint_peers (
    tenant   TEXT NOT NULL,
    name     TEXT NOT NULL,                      -- as this tier's operator calls it
    card     TEXT NOT NULL,                      -- its line: addresses, tier, root certificate, envelope key
    asks     TEXT NOT NULL,                      -- JSON list: apps that are asked for there
    offers   TEXT NOT NULL,                      -- JSON list: apps of ours that its users may use
    since_us INTEGER NOT NULL,                   -- when the row last changed
    PRIMARY KEY (tenant, name)
) STRICT;

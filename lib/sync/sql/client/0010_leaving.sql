-- Working copies that are being removed: their rows are gone, what is left of them on the disk goes next, also after a crash. Until then
-- nobody looks at the folder: what is missing in it was not deleted by anybody, and what is left is nothing new.
CREATE TABLE sync_leaving (
    tenant    TEXT NOT NULL,
    user      TEXT NOT NULL,
    app       TEXT NOT NULL,
    looked_ns INTEGER NOT NULL, -- what changed since then, by the file system's clock, nobody has seen: it stays
    PRIMARY KEY (tenant, user, app)
) STRICT;

-- Whose files each child may keep, by the leases that were signed for it, and until when. A row stays when the grant has ended:
-- what was written while it was in force is still taken.
CREATE TABLE maint_keeps (
    tenant   TEXT NOT NULL,
    child    TEXT NOT NULL,
    user     TEXT NOT NULL,
    until_us INTEGER NOT NULL,          -- trusted time
    PRIMARY KEY (tenant, child, user)
) STRICT;

-- Times that this home was restored from a backup. Histories that clients know from before go on in a new one.
CREATE TABLE files_restored (
    tenant      TEXT NOT NULL,
    backup_us   INTEGER NOT NULL,    -- wall clock, as an epoch is: when the backup was made
    restored_us INTEGER NOT NULL,
    PRIMARY KEY (tenant, restored_us)
) STRICT;

-- Epochs that a folder had before it was restored.
CREATE TABLE files_epochs (
    tenant TEXT NOT NULL,
    user   TEXT NOT NULL,
    app    TEXT NOT NULL,
    epoch  INTEGER NOT NULL,
    PRIMARY KEY (tenant, user, app, epoch)
) STRICT;

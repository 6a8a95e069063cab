-- Folders that were destroyed with their user's account, by the epochs that whoever has a copy may know them by.
CREATE TABLE files_gone (
    tenant  TEXT NOT NULL,
    user    TEXT NOT NULL,
    app     TEXT NOT NULL,
    epoch   INTEGER NOT NULL,
    gone_us INTEGER NOT NULL,        -- wall clock
    own     INTEGER NOT NULL CHECK (own IN (0, 1)), -- 1: this tier was their home
    PRIMARY KEY (tenant, user, app, epoch)
) STRICT;

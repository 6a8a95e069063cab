-- Of changes that come from the home in parts: how far they are in the working copy, beyond sync_folders.number. What is behind it is
-- asked for next, also after a restart.
ALTER TABLE sync_folders ADD COLUMN part_number INTEGER NOT NULL DEFAULT 0;  -- of the revision that is under way; 0: none
ALTER TABLE sync_folders ADD COLUMN part_place BLOB NOT NULL DEFAULT x'';    -- in it, as the home said
ALTER TABLE sync_folders ADD COLUMN part_complete INTEGER NOT NULL DEFAULT -1; -- up to which nothing was left out; -1: nothing was
ALTER TABLE sync_folders ADD COLUMN met INTEGER NOT NULL DEFAULT 0;            -- the highest number of the home's that an answer had; 0: not noted

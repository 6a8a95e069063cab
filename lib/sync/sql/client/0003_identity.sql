-- Which folder on the disk it was that the working copy was last seen in: one that was removed and made again, by whomever, is
-- empty for another reason than deleted files. Empty: not known yet.
ALTER TABLE sync_folders ADD COLUMN identity TEXT NOT NULL DEFAULT '';

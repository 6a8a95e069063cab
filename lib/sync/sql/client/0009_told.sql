-- 1: the attributes of all that was agreed on are known. 0: some may have been agreed on before this tier's hasp kept any, and the home has
-- not been asked for them to the end: until then nothing is said of them to it, which would look as if they were removed.
ALTER TABLE sync_folders ADD COLUMN attributes_told INTEGER NOT NULL DEFAULT 0 CHECK (attributes_told IN (0, 1));

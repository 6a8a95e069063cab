-- An edit of a large content stands in the file of what it is an edit of, with what is new behind its end.

ALTER TABLE sync_bases ADD COLUMN file TEXT;    -- that holds it, beneath the folder of contents; NULL: it stands here
ALTER TABLE sync_bases ADD COLUMN extents BLOB; -- of which parts of the file it is made (recipe.h); NULL: of its first bytes
UPDATE sync_bases SET file = user || '.' || app || '.' || lower(hex(hash)) WHERE content IS NULL;
CREATE INDEX sync_bases_by_file ON sync_bases (tenant, file) WHERE file IS NOT NULL;

CREATE TRIGGER sync_bases_changed AFTER UPDATE OF taken ON sync_bases BEGIN
    UPDATE sync_bases_taken SET bytes = bytes - OLD.taken + NEW.taken WHERE tenant = NEW.tenant;
END;

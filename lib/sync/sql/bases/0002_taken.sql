-- What all contents of a tenant take, so that it is what the rows say whatever becomes of a transaction.

CREATE TABLE sync_bases_taken (
    tenant  TEXT NOT NULL PRIMARY KEY,
    bytes   INTEGER NOT NULL
) STRICT;

CREATE TRIGGER sync_bases_kept AFTER INSERT ON sync_bases BEGIN
    UPDATE sync_bases_taken SET bytes = bytes + NEW.taken WHERE tenant = NEW.tenant;
END;

CREATE TRIGGER sync_bases_dropped AFTER DELETE ON sync_bases BEGIN
    UPDATE sync_bases_taken SET bytes = bytes - OLD.taken WHERE tenant = OLD.tenant;
END;

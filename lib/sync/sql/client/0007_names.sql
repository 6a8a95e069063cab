-- Large contents that were agreed on before they were called by their chunks (chunks.h): a file that turns out to have one keeps the name.
CREATE INDEX sync_base_large_flat ON sync_base (tenant, user, app, size) WHERE size > 1048576 AND length(hash) = 32;

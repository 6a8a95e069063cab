-- Contents that are called by their chunks (chunks.h). Their lists of chunks are kept in contents, under 0x02 and the hash of the name.

-- The other name of a content, for those who call it so: the home has read it and found both.
CREATE TABLE content_names (
    tenant  TEXT NOT NULL,
    user    TEXT NOT NULL,
    flat    BLOB NOT NULL,           -- SHA-256 of its bytes
    chunked BLOB NOT NULL,           -- by its chunks
    PRIMARY KEY (tenant, user, flat)
) STRICT;
CREATE INDEX content_names_by_chunks ON content_names (tenant, user, chunked);

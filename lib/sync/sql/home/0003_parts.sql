-- Contents that are put together from parts of others (recipe.h).
ALTER TABLE contents ADD COLUMN parts INTEGER NOT NULL DEFAULT 0; -- plain bytes of the list that lies there; 0: it is the content

-- What such a content is made of: it stays as long as one needs it.
CREATE TABLE content_parts (
    tenant TEXT NOT NULL,
    user   TEXT NOT NULL,
    hash   BLOB NOT NULL,
    source BLOB NOT NULL,            -- hash of a content that lies there itself
    PRIMARY KEY (tenant, user, hash, source)
) STRICT;
CREATE INDEX content_parts_by_source ON content_parts (tenant, user, source);

-- Account names that were given up by the child that had them: it knows what became of their files.
CREATE TABLE maint_directory_left (
    tenant TEXT NOT NULL,
    user   TEXT NOT NULL,
    child  TEXT NOT NULL,
    PRIMARY KEY (tenant, user)
) STRICT;

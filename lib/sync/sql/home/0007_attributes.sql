-- Extended attributes that belong to users (attributes.h), with each version of a file or folder; empty: it has none.
ALTER TABLE files_rows ADD COLUMN attributes BLOB NOT NULL DEFAULT x'';
-- NULL: a version from before they were kept.
ALTER TABLE files_versions ADD COLUMN attributes BLOB;
ALTER TABLE files_quarantine ADD COLUMN attributes BLOB NOT NULL DEFAULT x'';

-- Extended attributes that belong to users (attributes.h): those that were agreed on.
ALTER TABLE sync_base ADD COLUMN attributes BLOB NOT NULL DEFAULT x'';
ALTER TABLE sync_operations ADD COLUMN attributes BLOB NOT NULL DEFAULT x'';
ALTER TABLE sync_placing ADD COLUMN attributes BLOB NOT NULL DEFAULT x'';
-- And what stood at the file here when it was seen with them, which is less where its file system has no room for all: 0x01 and they; 0x02:
-- there were more than are kept; 0x03 and they: others stand there since, of which the home was not told. Empty: nobody has looked.
ALTER TABLE sync_base ADD COLUMN seen_attributes BLOB NOT NULL DEFAULT x'';
ALTER TABLE sync_operations ADD COLUMN seen_attributes BLOB NOT NULL DEFAULT x'';
-- Files and folders of which not all attributes are kept, or not all could be put in place.
ALTER TABLE sync_folders ADD COLUMN attributes_left INTEGER NOT NULL DEFAULT 0;
-- Names of one file that has several: what was done by one of them is looked for under all.
CREATE INDEX sync_base_by_inode ON sync_base (tenant, user, app, stat_inode) WHERE kind = 1;

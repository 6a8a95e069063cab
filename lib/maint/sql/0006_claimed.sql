-- When a child got an account's name (wall clock, microseconds); 0: before this was noted.
ALTER TABLE maint_directory ADD COLUMN claimed_us INTEGER NOT NULL DEFAULT 0;

-- What an app said last before the error, so that whoever reads of it two tiers up need not come to the machine.
ALTER TABLE maint_errors ADD COLUMN last_lines TEXT NOT NULL DEFAULT ''; -- at most error_lines_bytes_max

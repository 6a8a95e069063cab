-- When the user was logged in at the child, at the latest; 0: never. A row may be there for that alone (until_us 0). Trusted time.
ALTER TABLE maint_keeps ADD COLUMN visited_us INTEGER NOT NULL DEFAULT 0;

-- A session that was begun while the account's home could not be asked remembers which password opened it, so that it ends
-- when the home has another one.
ALTER TABLE signon_sessions ADD COLUMN password_version INTEGER NOT NULL DEFAULT 0; -- 0: begun with the home's word

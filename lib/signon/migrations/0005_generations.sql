-- News of an account may come late or twice: it says up to which generation of the account it is true, and sessions and grants
-- know theirs. A generation is the account's count of changes, and never below the seconds since 1970 when it changed: so it
-- rises on where the account moves to another tier or its tier's disk comes back from an old copy.
ALTER TABLE signon_account_counters ADD COLUMN sessions_from INTEGER NOT NULL DEFAULT 0; -- sessions begun at a lower generation have ended; 0: not known

ALTER TABLE signon_sessions ADD COLUMN begun_generation INTEGER NOT NULL DEFAULT 0; -- at log-in; 0: not known
ALTER TABLE signon_sessions ADD COLUMN generation       INTEGER NOT NULL DEFAULT 0; -- of `identity`; 0: not known
ALTER TABLE signon_grants ADD COLUMN begun_generation INTEGER NOT NULL DEFAULT 0;   -- as in signon_sessions
ALTER TABLE signon_grants ADD COLUMN generation       INTEGER NOT NULL DEFAULT 0;

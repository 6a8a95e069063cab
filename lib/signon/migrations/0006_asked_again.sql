-- A grant to a token, or by a child's word, is for some minutes and may be for less than the account may do: news of the account
-- end it, and it is asked for anew, instead of giving it what the account has now.
ALTER TABLE signon_grants ADD COLUMN asked_again INTEGER NOT NULL DEFAULT 0 CHECK (asked_again IN (0, 1));

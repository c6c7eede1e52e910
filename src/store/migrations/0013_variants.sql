-- What only some callers of a server are offered, beside its releases.
ALTER TABLE releases ADD COLUMN variant INTEGER NOT NULL DEFAULT 0;

-- The target that keeps a response itself, as `provider/model`; nothing where the gateway keeps it, and in older rows.
ALTER TABLE responses ADD COLUMN target TEXT;

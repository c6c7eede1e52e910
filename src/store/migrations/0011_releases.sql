-- What is known of a release beside its definitions: the era in which its server spoke, who had the server looked at, and until when
-- those who pin it may.
ALTER TABLE releases ADD COLUMN era TEXT;
ALTER TABLE releases ADD COLUMN captured_by TEXT;
ALTER TABLE releases ADD COLUMN deprecated_ms BIGINT;
ALTER TABLE releases ADD COLUMN sunset_ms BIGINT;

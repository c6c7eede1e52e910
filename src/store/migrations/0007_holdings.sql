-- How much each caller has here, so that it is known at once who has too much.
ALTER TABLE responses ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;

UPDATE responses SET bytes = length(CAST(items AS BLOB))
    + COALESCE((SELECT length(CAST(body AS BLOB)) FROM answers WHERE answers.id = responses.id), 0);

CREATE INDEX responses_by_caller ON responses (caller, created_ms);

CREATE TABLE holdings (
    caller TEXT PRIMARY KEY NOT NULL,
    kept INTEGER NOT NULL,
    bytes INTEGER NOT NULL
) STRICT;

INSERT INTO holdings (caller, kept, bytes) SELECT caller, COUNT(*), SUM(bytes) FROM responses GROUP BY caller;

CREATE TRIGGER holdings_grow AFTER INSERT ON responses
BEGIN
    INSERT INTO holdings (caller, kept, bytes) VALUES (NEW.caller, 1, NEW.bytes)
        ON CONFLICT (caller) DO UPDATE SET kept = kept + 1, bytes = bytes + excluded.bytes;
END;

CREATE TRIGGER holdings_shrink AFTER DELETE ON responses
BEGIN
    UPDATE holdings SET kept = kept - 1, bytes = bytes - OLD.bytes WHERE caller = OLD.caller;
    DELETE FROM holdings WHERE caller = OLD.caller AND kept <= 0;
END;

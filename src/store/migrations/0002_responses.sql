-- What was said in responses that clients may go on from by `previous_response_id`: the items that each
-- added, and the response it went on from.
CREATE TABLE responses (
    id TEXT PRIMARY KEY NOT NULL,
    caller TEXT NOT NULL,
    previous TEXT,
    items TEXT NOT NULL,
    created_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX responses_by_age ON responses (created_ms);

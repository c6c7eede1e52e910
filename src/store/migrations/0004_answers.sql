-- Whole answers by the ids of their responses, as the client got them, so that they can be read again. They go with
-- their responses.
CREATE TABLE answers (
    id TEXT PRIMARY KEY NOT NULL,
    body TEXT NOT NULL
) STRICT;

CREATE TRIGGER answers_go_with_responses AFTER DELETE ON responses
BEGIN
    DELETE FROM answers WHERE id = OLD.id;
END;

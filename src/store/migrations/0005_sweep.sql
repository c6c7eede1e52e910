-- What goes on from a response, so that it is known at once whether anything does.
CREATE INDEX responses_by_previous ON responses (previous) WHERE previous IS NOT NULL;

-- What is old is found without reading what was said.
DROP INDEX responses_by_age;
CREATE INDEX responses_by_age ON responses (created_ms, id);

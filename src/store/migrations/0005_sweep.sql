-- What goes on from a response, so that it is known at once whether anything does.
CREATE INDEX responses_by_previous ON responses (previous) WHERE previous IS NOT NULL;

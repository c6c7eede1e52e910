-- Who asked for what, and what came of it.
CREATE TABLE journal (
    id INTEGER PRIMARY KEY,
    at_ms BIGINT NOT NULL,
    kind TEXT NOT NULL,
    principal TEXT NOT NULL,
    request TEXT,
    subject TEXT NOT NULL,
    target TEXT,
    outcome TEXT NOT NULL,
    detail TEXT,
    input BIGINT,
    output BIGINT,
    cached BIGINT,
    cost_nano BIGINT,
    ms BIGINT NOT NULL
);

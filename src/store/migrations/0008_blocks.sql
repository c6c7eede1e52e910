-- What the operator has blocked: `all`, or `KIND:NAME`.
CREATE TABLE blocks (
    target TEXT PRIMARY KEY NOT NULL,
    by_whom TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    reason TEXT NOT NULL
);

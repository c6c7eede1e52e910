-- What the arguments of calls look like, without what they say: names and kinds, once for each tool, caller and shape.
CREATE TABLE shapes (
    tool      TEXT NOT NULL,
    principal TEXT NOT NULL,
    shape     TEXT NOT NULL,
    seen_ms   BIGINT NOT NULL,
    PRIMARY KEY (tool, principal, shape)
) WITHOUT ROWID;

CREATE INDEX shapes_by_age ON shapes (seen_ms);

CREATE TABLE servers (
    name    TEXT PRIMARY KEY NOT NULL,
    spec    TEXT NOT NULL,
    enabled BIGINT NOT NULL
);

CREATE TABLE eras (
    server TEXT PRIMARY KEY NOT NULL,
    era    TEXT NOT NULL
);

CREATE TABLE releases (
    server      TEXT NOT NULL,
    digest      TEXT NOT NULL,
    version     TEXT NOT NULL,
    state       TEXT NOT NULL,
    manifest    TEXT NOT NULL,
    captured_ms BIGINT NOT NULL,
    decided_ms  BIGINT,
    decided_by  TEXT,
    PRIMARY KEY (server, digest)
);

CREATE TABLE keys (
    id         TEXT PRIMARY KEY NOT NULL,
    name       TEXT NOT NULL,
    hash       TEXT NOT NULL,
    grants     TEXT NOT NULL,
    created_ms BIGINT NOT NULL,
    revoked_ms BIGINT
);

-- Logins of the gateway at upstream servers: what it got there by OAuth, sealed.
CREATE TABLE logins (
    server TEXT PRIMARY KEY NOT NULL,
    secret TEXT NOT NULL,
    by_whom TEXT NOT NULL,
    at_ms BIGINT NOT NULL
);


-- Version 13: who may use the API.

-- Browsers that signed in. The secret itself is only in the browser.
CREATE TABLE api_sessions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    secret BLOB NOT NULL UNIQUE,            -- SHA-256 of the cookie's secret
    client TEXT NOT NULL,                   -- what the browser calls itself
    created INTEGER NOT NULL,
    used INTEGER NOT NULL                   -- written now and then, not at each request
) STRICT;

-- Programs with a token of their own. The token itself is only with the program.
CREATE TABLE api_tokens (
    id TEXT PRIMARY KEY,                    -- a UUID
    secret BLOB NOT NULL UNIQUE,            -- SHA-256 of the token
    prefix TEXT NOT NULL,                   -- its first characters, to tell it by
    label TEXT NOT NULL,
    scopes TEXT NOT NULL,                   -- names with spaces between
    accounts TEXT NOT NULL,                 -- local names with spaces between; empty: all
    conversations TEXT NOT NULL,            -- hex with spaces between; empty: all
    parent TEXT REFERENCES api_tokens (id) ON DELETE CASCADE, -- made with this one
    created INTEGER NOT NULL,
    expires INTEGER,
    used INTEGER                            -- written now and then, not at each request
) STRICT;
CREATE INDEX api_tokens_parent ON api_tokens (parent);

-- The password that browsers may sign in with, if there is one.
CREATE TABLE api_password (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    salt BLOB NOT NULL,
    hash BLOB NOT NULL                      -- argon2id
) STRICT;

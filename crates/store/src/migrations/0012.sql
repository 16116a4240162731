
-- Version 12: names that name servers gave to accounts.

-- What was looked up, so that it is there without a network. Only names that the server gave
-- for the id, asked by the name. Never what there was not.
CREATE TABLE names (
    account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    server TEXT NOT NULL,                   -- its URL
    name TEXT NOT NULL,
    id BLOB NOT NULL,                       -- 20 bytes: whose it is
    signed INTEGER NOT NULL,                -- 1: the owner's signature was there, and good
    resolved INTEGER NOT NULL,              -- when the server last said so
    used INTEGER NOT NULL,                  -- when somebody last wanted to know
    PRIMARY KEY (account, server, name),
    UNIQUE (account, server, id)
) STRICT, WITHOUT ROWID;

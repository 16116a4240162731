-- The directory of a name server. user_version is 1.
CREATE TABLE head (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    seq INTEGER NOT NULL,              -- the log's last entry
    hash BLOB NOT NULL,                -- its hash
    names INTEGER NOT NULL,            -- how many names belong to somebody
    admin INTEGER NOT NULL             -- whether names may be changed by whoever runs it
) STRICT;

CREATE TABLE names (
    seq INTEGER PRIMARY KEY,           -- the entry of the log that made it
    name TEXT NOT NULL,
    skeleton TEXT NOT NULL,            -- the widest: what all names that look alike share
    state INTEGER NOT NULL,            -- 0 active, 1 suspended, 2 reserved
    addr BLOB UNIQUE,                  -- whose it is; null if reserved
    owner BLOB,
    form INTEGER NOT NULL,             -- how the key was written: 0 as here, 1 PEM, 2 PEM and NUL
    key BLOB,
    signature BLOB,
    UNIQUE (skeleton, name)            -- a name has one skeleton: so names are unique
) STRICT;

CREATE TABLE log (
    seq INTEGER PRIMARY KEY,
    hash BLOB NOT NULL,
    body BLOB NOT NULL
) STRICT;

CREATE TABLE checkpoints (
    seq INTEGER PRIMARY KEY,
    hash BLOB NOT NULL,
    time INTEGER NOT NULL,
    key BLOB NOT NULL,
    signature BLOB NOT NULL
) STRICT;

CREATE TABLE keys (
    key BLOB PRIMARY KEY
) STRICT;

-- The directory, version 1. Statements that several servers may run at the same time.

CREATE TABLE IF NOT EXISTS head (
    id int8 PRIMARY KEY,
    seq int8 NOT NULL,
    hash bytea NOT NULL,
    names int8 NOT NULL,
    admin bool NOT NULL,
    version int8 NOT NULL
);
CREATE TABLE IF NOT EXISTS log (
    seq int8 PRIMARY KEY,
    hash bytea NOT NULL,
    body bytea NOT NULL
);
-- `seq`: the entry of the log that last gave the name to somebody. `form`: how the key was
-- written. A reserved name has no ID.
CREATE TABLE IF NOT EXISTS names (
    name text COLLATE "C" PRIMARY KEY,
    seq int8 NOT NULL UNIQUE,
    skeleton text COLLATE "C" NOT NULL,
    state int8 NOT NULL,
    addr bytea UNIQUE,
    owner bytea,
    form int8 NOT NULL,
    key bytea,
    signature bytea
);
CREATE INDEX IF NOT EXISTS names_skeleton ON names (skeleton);
CREATE TABLE IF NOT EXISTS keys (
    key bytea PRIMARY KEY
);
CREATE TABLE IF NOT EXISTS checkpoints (
    seq int8 PRIMARY KEY,
    hash bytea NOT NULL,
    time int8 NOT NULL,
    key bytea NOT NULL,
    signature bytea NOT NULL
);
INSERT INTO head (id, seq, hash, names, admin, version)
VALUES (1, 0, decode(repeat('00', 32), 'hex'), 0, false, 1)
ON CONFLICT (id) DO NOTHING;

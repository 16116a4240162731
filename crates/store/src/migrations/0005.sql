
-- Version 5: groups on a new device.

-- Members of whom a conversation that came with the account may be cloned.
CREATE TABLE clone_sources (
    conversation INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    source BLOB NOT NULL,                   -- 20 bytes: account
    PRIMARY KEY (conversation, source)
) STRICT, WITHOUT ROWID;

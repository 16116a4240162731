
-- Version 3: read receipts of other members.

CREATE TABLE reads (
    conversation INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    member BLOB NOT NULL,                   -- 20 bytes: account
    message BLOB NOT NULL,                  -- 20 bytes: the last commit it has read
    time INTEGER NOT NULL,                  -- when it told us
    PRIMARY KEY (conversation, member)
) STRICT, WITHOUT ROWID;

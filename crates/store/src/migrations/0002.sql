
-- Version 2: groups.

ALTER TABLE requests ADD COLUMN
    mode INTEGER NOT NULL DEFAULT 0;        -- of the conversation: 0 is one-to-one

-- Invitations to groups, sent until the invited account joins or is not invited any more.
CREATE TABLE invitations (
    conversation INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    target BLOB NOT NULL,                   -- 20 bytes: account
    created INTEGER NOT NULL,
    PRIMARY KEY (conversation, target)
) STRICT, WITHOUT ROWID;

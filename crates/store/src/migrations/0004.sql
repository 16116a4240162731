
-- Version 4: several devices of one account.

ALTER TABLE requests ADD COLUMN
    issued INTEGER NOT NULL DEFAULT 0;      -- when it was sent, 0: unknown; a declined one
                                            -- is pending again if that was later

-- Names of devices of the account, this one too.
CREATE TABLE own_devices (
    account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    device BLOB NOT NULL,                   -- 32 bytes
    name TEXT NOT NULL,
    own_word INTEGER NOT NULL,              -- whether the device itself says so
    date INTEGER NOT NULL,                  -- of its newest state on the DHT: nanoseconds
    PRIMARY KEY (account, device)
) STRICT, WITHOUT ROWID;

-- Conversations that were removed, so that other devices of the account learn of it.
CREATE TABLE removed_conversations (
    account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    conversation BLOB NOT NULL,
    created INTEGER NOT NULL,
    removed INTEGER NOT NULL,
    PRIMARY KEY (account, conversation)
) STRICT, WITHOUT ROWID;

-- When the last message read was read.
CREATE TABLE read_marks (
    account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    conversation BLOB NOT NULL,
    message BLOB NOT NULL,                  -- 20 bytes
    time INTEGER NOT NULL,                  -- seconds
    PRIMARY KEY (account, conversation)
) STRICT, WITHOUT ROWID;

-- How a conversation is shown, the same on all devices of the account.
CREATE TABLE preferences (
    account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    conversation BLOB NOT NULL,
    modified INTEGER NOT NULL,              -- seconds
    entries TEXT NOT NULL,                  -- JSON object of texts
    PRIMARY KEY (account, conversation)
) STRICT, WITHOUT ROWID;

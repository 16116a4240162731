-- The schema of node.db, as crates/store makes it; compared by a test.

-- Accounts of this data directory. Their keys are files in the account's own directory.
CREATE TABLE accounts (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    local_id TEXT NOT NULL UNIQUE,          -- 16 hex digits, names the directory
    jami_id BLOB NOT NULL UNIQUE,           -- 20 bytes
    device_id BLOB NOT NULL,                -- 32 bytes: this device
    display_name TEXT NOT NULL,
    created INTEGER NOT NULL                -- all times: milliseconds since 1970
) STRICT;

CREATE TABLE settings (
    account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (account, key)
) STRICT, WITHOUT ROWID;

-- Active if added > removed, else blocked if banned, else removed.
CREATE TABLE contacts (
    account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    contact BLOB NOT NULL,                  -- 20 bytes: Jami ID
    added INTEGER NOT NULL,
    removed INTEGER NOT NULL,
    confirmed INTEGER NOT NULL,
    banned INTEGER NOT NULL,
    conversation BLOB,                      -- 20 bytes: the one-to-one conversation
    PRIMARY KEY (account, contact)
) STRICT, WITHOUT ROWID;

-- Requests from others. Declined ones stay, so that they are not shown again.
CREATE TABLE requests (
    account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    conversation BLOB NOT NULL,
    sender BLOB NOT NULL,
    name TEXT NOT NULL,                     -- as the sender gives it
    received INTEGER NOT NULL,
    declined INTEGER NOT NULL,              -- 0: pending
    PRIMARY KEY (account, conversation)
) STRICT, WITHOUT ROWID;

CREATE TABLE conversations (
    id INTEGER PRIMARY KEY,
    account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    conversation BLOB NOT NULL,             -- 20 bytes: id of the first commit
    state INTEGER NOT NULL,                 -- 0 being cloned, 1 ready, 2 removed
    mode INTEGER NOT NULL,
    peer BLOB,                              -- 20 bytes: who invited, or was invited
    created INTEGER NOT NULL,
    removed INTEGER NOT NULL,
    head BLOB,                              -- 20 bytes: head when last indexed
    length INTEGER NOT NULL,                -- commits in the index
    read BLOB,                              -- 20 bytes: last message read here
    UNIQUE (account, conversation)
) STRICT;

-- The message index: every commit once, in the order in which it came here. Ancestors
-- have lower positions.
CREATE TABLE messages (
    conversation INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    id BLOB NOT NULL,                       -- 20 bytes: commit
    author BLOB NOT NULL,                   -- 20 bytes: account
    kind TEXT NOT NULL,
    time INTEGER NOT NULL,                  -- seconds, as the author says
    parents BLOB NOT NULL,                  -- 20 bytes each
    fields TEXT NOT NULL,                   -- the other keys, as JSON object of texts
    PRIMARY KEY (conversation, position)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX messages_by_id ON messages (conversation, id);

-- What each device of other members is known to have.
CREATE TABLE delivery (
    conversation INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    device BLOB NOT NULL,                   -- 32 bytes
    owner BLOB NOT NULL,                    -- 20 bytes: its account
    base INTEGER NOT NULL,                  -- every message below this position
    heads BLOB NOT NULL,                    -- and these commits with their ancestors
    PRIMARY KEY (conversation, device)
) STRICT, WITHOUT ROWID;

-- Requests and confirmations that are sent until they are known to have arrived.
CREATE TABLE outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,                     -- 'request', 'confirmation'
    target BLOB NOT NULL,                   -- 20 bytes: account
    conversation BLOB NOT NULL,
    payload BLOB NOT NULL,
    created INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    next_try INTEGER NOT NULL,
    reason TEXT NOT NULL,                   -- why it has not arrived yet
    UNIQUE (account, kind, target)
) STRICT;

-- Devices of other accounts, and what is known of them.
CREATE TABLE devices (
    account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    device BLOB NOT NULL,                   -- 32 bytes
    owner BLOB NOT NULL,                    -- 20 bytes: its account
    public_key BLOB NOT NULL,               -- DER SubjectPublicKeyInfo
    chain TEXT NOT NULL,                    -- PEM, or empty
    kind INTEGER NOT NULL,                  -- 0 unknown, 1 declines msg: channels, 2 takes them
    seen INTEGER NOT NULL,
    PRIMARY KEY (account, device)
) STRICT, WITHOUT ROWID;

-- Offers and messages handled already, by their random number.
CREATE TABLE treated (
    account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    time INTEGER NOT NULL,
    PRIMARY KEY (account, number)
) STRICT, WITHOUT ROWID;

-- The newest events, for clients that come back. Cursors are never used twice.
CREATE TABLE events (
    cursor INTEGER PRIMARY KEY AUTOINCREMENT,
    account TEXT NOT NULL,                  -- accounts.local_id, also of removed ones
    time INTEGER NOT NULL,
    body TEXT NOT NULL                      -- JSON
) STRICT;

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

-- Version 3: read receipts of other members.

CREATE TABLE reads (
    conversation INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    member BLOB NOT NULL,                   -- 20 bytes: account
    message BLOB NOT NULL,                  -- 20 bytes: the last commit it has read
    time INTEGER NOT NULL,                  -- when it told us
    PRIMARY KEY (conversation, member)
) STRICT, WITHOUT ROWID;

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

-- Version 5: groups on a new device.

-- Members of whom a conversation that came with the account may be cloned.
CREATE TABLE clone_sources (
    conversation INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    source BLOB NOT NULL,                   -- 20 bytes: account
    PRIMARY KEY (conversation, source)
) STRICT, WITHOUT ROWID;

-- Version 6: devices that accounts have revoked, the own one and others.

-- Lists signed by the account; together they name all devices it ever revoked.
CREATE TABLE revocations (
    account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    owner BLOB NOT NULL,                    -- 20 bytes: the account that revoked
    number INTEGER NOT NULL,
    issuer BLOB NOT NULL,                   -- DER certificate of that account
    list BLOB NOT NULL,                     -- DER
    PRIMARY KEY (account, owner, number)
) STRICT, WITHOUT ROWID;

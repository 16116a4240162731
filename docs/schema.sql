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

-- Version 6: files.

-- Every file that was sent to a conversation. Contents are files of their own.
CREATE TABLE files (
    conversation INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    message BLOB NOT NULL,                  -- 20 bytes: the commit that offers it
    author BLOB NOT NULL,                   -- 20 bytes: account
    time INTEGER NOT NULL,                  -- seconds, as the author says
    name TEXT NOT NULL,                     -- as the author says; never a path
    sha3 TEXT NOT NULL,                     -- SHA3-512, 128 hex digits
    tid TEXT NOT NULL,
    size INTEGER NOT NULL,
    state INTEGER NOT NULL,                 -- 0 offered, 1 wanted, 2 here, 3 deleted
    changed INTEGER NOT NULL,               -- here: modification time, nanoseconds, when it
                                            -- was last found to be what the message says
    PRIMARY KEY (conversation, message)
) STRICT, WITHOUT ROWID;
CREATE INDEX files_by_content ON files (conversation, sha3);

-- Those in conversations that were indexed by an earlier version.
INSERT INTO files
    SELECT conversation, id, author, time, fields ->> 'displayName', fields ->> 'sha3sum',
        fields ->> 'tid', max(0, CAST(fields ->> 'totalSize' AS INTEGER)), 0, 0
    FROM messages
    WHERE kind = 'application/data-transfer+json'
        AND length(fields ->> 'sha3sum') = 128
        AND NOT fields ->> 'sha3sum' GLOB '*[^0-9a-f]*'
        AND length(fields ->> 'tid') BETWEEN 1 AND 20
        AND NOT fields ->> 'tid' GLOB '*[^0-9]*'
        AND fields ->> 'displayName' IS NOT NULL
        AND fields ->> 'totalSize' IS NOT NULL;

-- Version 7: what the history shows, and search. Both follow from `messages`; for what an
-- older version wrote they are made in steps, while the program runs.

CREATE TABLE views (
    conversation INTEGER PRIMARY KEY REFERENCES conversations (id) ON DELETE CASCADE,
    length INTEGER NOT NULL,                -- every message below this position is in it
    read INTEGER NOT NULL,                  -- the person has read what is below this position
    unread INTEGER NOT NULL                 -- so many entries of others above
) STRICT;

-- What is shown by itself: everything but merges, edits and reactions.
CREATE TABLE entries (
    id INTEGER PRIMARY KEY,                 -- also that of its text in `search`
    conversation INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    position INTEGER NOT NULL,
    author BLOB NOT NULL,                   -- 20 bytes: account
    class INTEGER NOT NULL,                 -- 1 text, 2 file, 3 media file, 4 call, …
    time INTEGER NOT NULL,                  -- seconds, as the author says
    wording INTEGER,                        -- position of its newest edit
    deleted INTEGER NOT NULL                -- whether that took it back
) STRICT;
CREATE UNIQUE INDEX entries_by_position ON entries (conversation, position);

-- Edits and reactions, by what they refer to, which need not be here.
CREATE TABLE refs (
    conversation INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    target BLOB NOT NULL,                   -- 20 bytes: commit
    kind INTEGER NOT NULL,                  -- 1 edit, 2 reaction
    position INTEGER NOT NULL,
    id BLOB NOT NULL,                       -- 20 bytes: its own commit
    author BLOB NOT NULL,                   -- 20 bytes: account
    emoji TEXT NOT NULL,                    -- of a reaction; empty if it was taken back
    PRIMARY KEY (conversation, target, kind, position)
) STRICT, WITHOUT ROWID;

-- Newest wordings, with what they are filtered by. Texts are prepared before (crates/store,
-- search/fold.rs), and not kept here a second time.
CREATE VIRTUAL TABLE search USING fts5(
    text, scope, content='', contentless_delete=1,
    tokenize="unicode61 remove_diacritics 2 categories 'L* N* Co Mn Mc'"
);
CREATE TRIGGER entries_gone AFTER DELETE ON entries BEGIN
    DELETE FROM search WHERE rowid = old.id;
END;

-- Version 8: commits that were refused, and what is written again after a conversation was
-- cloned anew.

CREATE TABLE refusals (
    conversation INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    message BLOB NOT NULL,                  -- 20 bytes: commit
    author BLOB,                            -- 32 bytes: device that wrote it, as it says
    source BLOB NOT NULL,                   -- 32 bytes: device that first brought it
    rule TEXT NOT NULL,
    detail TEXT NOT NULL,
    time INTEGER NOT NULL,
    PRIMARY KEY (conversation, message)
) STRICT, WITHOUT ROWID;

CREATE TABLE unsent (
    id INTEGER PRIMARY KEY,
    conversation INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    message BLOB NOT NULL,                  -- 20 bytes: commit it was before
    body TEXT NOT NULL,
    reply_to BLOB                           -- 20 bytes: commit
) STRICT;

-- Version 9: devices that accounts have revoked, the own one and others.

-- Lists signed by the account; together they name all devices it ever revoked.
CREATE TABLE revocations (
    account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    owner BLOB NOT NULL,                    -- 20 bytes: the account that revoked
    number INTEGER NOT NULL,
    issuer BLOB NOT NULL,                   -- DER certificate of that account
    list BLOB NOT NULL,                     -- DER
    PRIMARY KEY (account, owner, number)
) STRICT, WITHOUT ROWID;

-- Version 10: profiles.

-- What accounts show of themselves, this one too.
CREATE TABLE profiles (
    account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    owner BLOB NOT NULL,                    -- 20 bytes: whose
    name TEXT NOT NULL,                     -- of this account, see accounts.display_name
    kind TEXT,                              -- of the picture: 'jpeg' or 'png'
    picture BLOB,
    changed INTEGER NOT NULL,               -- when it was set or received
    PRIMARY KEY (account, owner)
) STRICT, WITHOUT ROWID;

-- Which of this account's profiles a device of somebody else has.
CREATE TABLE profiles_sent (
    account INTEGER NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    device BLOB NOT NULL,                   -- 32 bytes
    sha3 TEXT NOT NULL,                     -- SHA3-512 of the vCard, 128 hex digits
    PRIMARY KEY (account, device)
) STRICT, WITHOUT ROWID;

-- Version 11: beginnings of one to three letters have an index of their own in `search`: without
-- it they took 76 ms in a million messages. What is in it is made anew in steps, as in version 7.

DROP TRIGGER entries_gone;
DROP TABLE search;
CREATE VIRTUAL TABLE search USING fts5(
    text, scope, content='', contentless_delete=1, prefix='1 2 3',
    tokenize="unicode61 remove_diacritics 2 categories 'L* N* Co Mn Mc'"
);
DELETE FROM entries;
DELETE FROM refs;
UPDATE views SET length = 0, unread = 0;
CREATE TRIGGER entries_gone AFTER DELETE ON entries BEGIN
    DELETE FROM search WHERE rowid = old.id;
END;

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

-- Version 14: what the API did under an Idempotency-Key, for 24 hours.

CREATE TABLE api_requests (
    holder TEXT NOT NULL,                   -- whose key: the id of a token, or 'owner'
    key TEXT NOT NULL,
    request BLOB NOT NULL,                  -- SHA-256 of method, path, query and content type
    content BLOB,                           -- SHA-256 of the body; null: not answered yet
    status INTEGER,
    answer BLOB,
    created INTEGER NOT NULL,
    PRIMARY KEY (holder, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX api_requests_created ON api_requests (created);

-- Version 15: addresses that are told what happens (webhooks).

CREATE TABLE webhooks (
    id TEXT PRIMARY KEY,
    url TEXT NOT NULL,
    label TEXT NOT NULL,
    secret BLOB NOT NULL,                   -- signs what is sent
    types TEXT NOT NULL,                    -- with spaces between; empty: all
    accounts TEXT NOT NULL,                 -- local names with spaces between; empty: all
    conversations TEXT NOT NULL,            -- hex with spaces between; empty: all
    parent TEXT REFERENCES api_tokens (id) ON DELETE CASCADE,
    created INTEGER NOT NULL,
    cursor INTEGER NOT NULL,                -- of the last event that it has, or that is none of its
    delivered INTEGER,                      -- when it last took one
    failing INTEGER,                        -- since when it takes none
    failures INTEGER NOT NULL DEFAULT 0,    -- how often it was tried since then
    failed INTEGER,                         -- when it last failed
    error TEXT NOT NULL DEFAULT '',         -- how
    disabled TEXT NOT NULL DEFAULT ''       -- why nothing is sent any more; empty: it is
) STRICT, WITHOUT ROWID;
CREATE INDEX webhooks_parent ON webhooks (parent) WHERE parent IS NOT NULL;

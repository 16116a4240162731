
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


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

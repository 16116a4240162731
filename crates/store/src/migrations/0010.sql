
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

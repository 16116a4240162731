
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

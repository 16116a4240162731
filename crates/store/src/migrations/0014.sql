
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

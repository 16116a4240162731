
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

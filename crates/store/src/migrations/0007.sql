
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

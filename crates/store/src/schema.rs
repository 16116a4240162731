//! Migrations: numbered, applied once, each in a transaction of its own.

use rusqlite::Connection;

use crate::database::StoreError;

/// The migrations, in order. Never change one that was released: add another.
const MIGRATIONS: [&str; 15] = [
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
    include_str!("migrations/0005.sql"),
    include_str!("migrations/0006.sql"),
    include_str!("migrations/0007.sql"),
    include_str!("migrations/0008.sql"),
    include_str!("migrations/0009.sql"),
    include_str!("migrations/0010.sql"),
    include_str!("migrations/0011.sql"),
    include_str!("migrations/0012.sql"),
    include_str!("migrations/0013.sql"),
    include_str!("migrations/0014.sql"),
    include_str!("migrations/0015.sql"),
];

/// Brings a database up to date.
pub(crate) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let known = MIGRATIONS.len();
    loop {
        // The version is read inside of the transaction: several connections may start.
        let transaction =
            connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let found: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
        let done = usize::try_from(found).unwrap_or(usize::MAX);
        if done > known {
            return Err(StoreError::Newer { found });
        }
        let Some(migration) = MIGRATIONS.get(done) else {
            return Ok(());
        };
        tracing::info!(
            version = found.saturating_add(1),
            "bringing the database up to date"
        );
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", found.saturating_add(1))?;
        transaction.commit()?;
    }
}

/// The schema as the documentation shows it: `docs/schema.sql` is this text.
pub fn schema_text() -> String {
    let mut text =
        String::from("-- The schema of node.db, as crates/store makes it; compared by a test.\n\n");
    for migration in MIGRATIONS {
        text.push_str(migration);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What version 7 put into the search is made anew, and what was read stays so.
    #[test]
    fn views_of_older_versions_begin_anew() {
        let mut old = Connection::open_in_memory().unwrap();
        for migration in &MIGRATIONS[..10] {
            old.execute_batch(migration).unwrap();
        }
        old.pragma_update(None, "user_version", 10).unwrap();
        // Rows without the accounts and conversations that they belong to.
        old.pragma_update(None, "foreign_keys", false).unwrap();
        old.execute_batch(
            "INSERT INTO views VALUES (1, 9, 5, 2);
             INSERT INTO entries VALUES (1, 1, 3, x'00', 1, 0, NULL, 0);
             INSERT INTO search (rowid, text, scope) VALUES (1, 'hello', 'all');",
        )
        .unwrap();
        migrate(&mut old).unwrap();
        let one = |sql: &str| old.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(one("SELECT count(*) FROM entries"), 0);
        assert_eq!(
            one("SELECT count(*) FROM search WHERE search MATCH 'he*'"),
            0
        );
        assert_eq!(one("SELECT length + unread FROM views"), 0);
        assert_eq!(one("SELECT read FROM views"), 5);
        old.execute_batch(
            "INSERT INTO entries VALUES (1, 1, 3, x'00', 1, 0, NULL, 0);
             INSERT INTO search (rowid, text, scope) VALUES (1, 'hello', 'all');",
        )
        .unwrap();
        assert_eq!(
            one("SELECT count(*) FROM search WHERE search MATCH 'he*'"),
            1
        );
        old.execute_batch("DELETE FROM entries").unwrap();
        assert_eq!(
            one("SELECT count(*) FROM search WHERE search MATCH 'he*'"),
            0
        );
    }
}

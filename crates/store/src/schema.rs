//! Migrations: numbered, applied once, each in a transaction of its own.

use rusqlite::Connection;

use crate::database::StoreError;

/// The migrations, in order. Never change one that was released: add another.
const MIGRATIONS: [&str; 10] = [
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

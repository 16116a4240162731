//! Lists of revoked devices.

use baraza_wire::AccountId;

use crate::database::{Store, StoreError, column};

/// A list of devices that an account has revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationRow {
    /// The account.
    pub owner: AccountId,
    /// Its certificate, as DER.
    pub issuer: Vec<u8>,
    /// The list, as DER.
    pub list: Vec<u8>,
}

impl Store {
    /// All lists known to an account.
    ///
    /// # Errors
    /// If the database fails.
    pub fn revocations(&self, account: i64) -> Result<Vec<RevocationRow>, StoreError> {
        self.query(
            "SELECT owner, issuer, list FROM revocations
             WHERE account = ?1 ORDER BY owner, number",
            [account],
            |row| {
                Ok(RevocationRow {
                    owner: AccountId::new(column::bytes(row, 0)?),
                    issuer: row.get(1)?,
                    list: row.get(2)?,
                })
            },
        )
    }

    /// Replaces the lists of one account.
    ///
    /// # Errors
    /// If the database fails.
    pub fn set_revocations(
        &mut self,
        account: i64,
        owner: &AccountId,
        rows: &[RevocationRow],
    ) -> Result<(), StoreError> {
        self.atomic(|store| {
            store.execute(
                "DELETE FROM revocations WHERE account = ?1 AND owner = ?2",
                (account, owner.as_bytes()),
            )?;
            for (number, row) in (0_i64..).zip(rows) {
                store.execute(
                    "INSERT INTO revocations (account, owner, number, issuer, list)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                    (account, owner.as_bytes(), number, &row.issuer, &row.list),
                )?;
            }
            Ok(())
        })
    }
}

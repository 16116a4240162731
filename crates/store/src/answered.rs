//! Requests to the API that may be repeated, and what was answered.

use baraza_wire::UnixTime;

use crate::database::{Store, StoreError, column};

/// A request with a key of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnsweredRow {
    /// SHA-256 of what it asked for, without its body.
    pub request: [u8; 32],
    /// What was answered; none if that is not known.
    pub answer: Option<Answer>,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// SHA-256 of the request's body.
    pub content: [u8; 32],
    /// The status.
    pub status: u16,
    /// The answer's body.
    pub body: Vec<u8>,
}

impl Store {
    /// Notes that a request begins; what is known of the key if it is not new.
    ///
    /// # Errors
    /// If the database fails.
    pub fn begin_request(
        &mut self,
        holder: &str,
        key: &str,
        request: [u8; 32],
        now: UnixTime,
    ) -> Result<Option<AnsweredRow>, StoreError> {
        let added = self.execute(
            "INSERT OR IGNORE INTO api_requests (holder, key, request, created)
             VALUES (?1, ?2, ?3, ?4)",
            (holder, key, request, column::stored(now.millis())),
        )?;
        if added > 0 {
            return Ok(None);
        }
        self.query_one(
            "SELECT request, content, status, answer FROM api_requests
             WHERE holder = ?1 AND key = ?2",
            (holder, key),
            |row| {
                let content = column::maybe_bytes(row, 1)?;
                let answer = match content {
                    None => None,
                    Some(content) => Some(Answer {
                        content,
                        status: row.get(2)?,
                        body: row.get(3)?,
                    }),
                };
                Ok(AnsweredRow {
                    request: column::bytes(row, 0)?,
                    answer,
                })
            },
        )
    }

    /// Notes what was answered.
    ///
    /// # Errors
    /// If the database fails.
    pub fn answer_request(
        &mut self,
        holder: &str,
        key: &str,
        answer: &Answer,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE api_requests SET content = ?3, status = ?4, answer = ?5
             WHERE holder = ?1 AND key = ?2",
            (holder, key, answer.content, answer.status, &answer.body),
        )
        .map(drop)
    }

    /// Forgets a request that did nothing.
    ///
    /// # Errors
    /// If the database fails.
    pub fn forget_request(&mut self, holder: &str, key: &str) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM api_requests WHERE holder = ?1 AND key = ?2",
            (holder, key),
        )
        .map(drop)
    }

    /// Forgets requests from before `limit`, and the oldest if there are more than `most`.
    ///
    /// # Errors
    /// If the database fails.
    pub fn forget_requests(&mut self, limit: UnixTime, most: u32) -> Result<(), StoreError> {
        self.execute(
            "DELETE FROM api_requests WHERE created < ?1",
            [column::stored(limit.millis())],
        )?;
        self.execute(
            "DELETE FROM api_requests WHERE created < (
                 SELECT created FROM api_requests ORDER BY created DESC LIMIT 1 OFFSET ?1)",
            [most],
        )
        .map(drop)
    }
}

//! Pages of plain lists: `limit` and `after`, and `Link: rel="next"` (RFC 8288).
//!
//! Without them, a list is whole and in its usual order. With them, it is in an order that
//! does not change, by what stays the same about each thing in it, and a page begins after the
//! last place of the one before: what is there all the while is given once, whatever comes and
//! goes meanwhile.

use axum::Json;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use baraza_wire::hex;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::body::Params;
use crate::error::ApiError;
use crate::types::{
    Account, Contact, ContactRequest, Conversation, Device, FileView, Member, Session, TokenInfo,
    Webhook,
};

/// Most things on a page.
const MAX_LIMIT: usize = 1000;
/// Things on a page if only `after` is given.
const DEFAULT_LIMIT: usize = 100;
/// Longest cursor.
const MAX_CURSOR: usize = 512;

/// What is in lists.
pub(crate) trait Listed: Serialize {
    /// Its place among the others: of each another one, and always the same.
    fn place(&self) -> String;
}

#[derive(Debug, Deserialize)]
struct Query {
    limit: Option<usize>,
    after: Option<String>,
}

/// Which page of a list is wanted.
#[derive(Debug)]
pub(crate) struct Page {
    limit: Option<usize>,
    after: Option<Vec<u8>>,
}

impl<S: Send + Sync> FromRequestParts<S> for Page {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Params(query) = Params::<Query>::from_request_parts(parts, state).await?;
        let refused = |text: String| ApiError::bad_request("bad_query", text);
        if query
            .limit
            .is_some_and(|limit| !(1..=MAX_LIMIT).contains(&limit))
        {
            return Err(refused(format!("a page has 1 to {MAX_LIMIT} things on it")));
        }
        let after = query.after.map(|cursor| {
            let short = (1..=MAX_CURSOR).contains(&cursor.len());
            let read = short.then(|| hex::decode(&cursor)).flatten();
            read.ok_or_else(|| refused("`after` is none of the cursors that were given".into()))
        });
        let after = after.transpose()?;
        let limit = query.limit.or(after.as_ref().map(|_| DEFAULT_LIMIT));
        Ok(Self { limit, after })
    }
}

impl Page {
    /// The page of a list.
    pub(crate) fn of<T: Listed>(self, list: Vec<T>) -> Paged<T> {
        let Some(limit) = self.limit else {
            return Paged { list, next: None };
        };
        let mut placed: Vec<(String, T)> = list
            .into_iter()
            .map(|one| (one.place(), one))
            .filter(|(place, _)| {
                self.after
                    .as_ref()
                    .is_none_or(|after| place.as_bytes() > after.as_slice())
            })
            .collect();
        placed.sort_by(|a, b| a.0.cmp(&b.0));
        let more = placed.len() > limit;
        placed.truncate(limit);
        let last = placed.last().filter(|_| more);
        let next = last.map(|(place, _)| {
            let cursor = hex::encode(place.as_bytes());
            format!("<?limit={limit}&after={cursor}>; rel=\"next\"")
        });
        Paged {
            list: placed.into_iter().map(|(_, one)| one).collect(),
            next,
        }
    }
}

/// A list or a page of it, and where the next one is.
#[derive(Debug)]
pub(crate) struct Paged<T> {
    list: Vec<T>,
    next: Option<String>,
}

impl<T: Serialize> IntoResponse for Paged<T> {
    fn into_response(self) -> Response {
        let next = self.next.and_then(|next| HeaderValue::try_from(next).ok());
        let mut response = Json(self.list).into_response();
        if let Some(next) = next {
            response.headers_mut().insert(header::LINK, next);
        }
        response
    }
}

/// For the description: what lists take and say.
pub(crate) fn parameters() -> [Value; 2] {
    [
        json!({
            "name": "limit", "in": "query", "required": false,
            "description": "How many at most; all if left out",
            "schema": { "type": "integer", "minimum": 1, "maximum": MAX_LIMIT },
            "example": DEFAULT_LIMIT,
        }),
        json!({
            "name": "after", "in": "query", "required": false,
            "description": "The page after a cursor, which the header Link of the page before \
                            has",
            "schema": {
                "type": "string", "minLength": 1, "maxLength": MAX_CURSOR,
                "pattern": "^([0-9a-fA-F]{2})+$",
            },
            "example": "38363765",
        }),
    ]
}

macro_rules! listed {
    ($($kind:ty: $one:ident => $place:expr;)*) => {$(
        impl Listed for $kind {
            fn place(&self) -> String {
                let $one = self;
                $place
            }
        }
    )*};
}

listed! {
    Account: one => one.account.to_string();
    Contact: one => one.id.to_string();
    ContactRequest: one => one.conversation.to_string();
    Conversation: one => one.id.to_string();
    Device: one => one.id.to_string();
    Member: one => one.id.to_string();
    FileView: one => format!("{:020}-{}", one.time, one.message);
    Session: one => format!("{:020}", one.session);
    TokenInfo: one => format!("{:020}-{}", one.created.millis(), one.id);
    Webhook: one => format!("{:020}-{}", one.created.millis(), one.id);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
    struct Thing(u32);

    impl Listed for Thing {
        fn place(&self) -> String {
            format!("{:05}", self.0)
        }
    }

    fn cursor(next: &str) -> Vec<u8> {
        let cursor = next.split_once("after=").unwrap().1;
        hex::decode(cursor.split_once('>').unwrap().0).unwrap()
    }

    /// Every page of a list that changes between them.
    fn all(
        mut list: Vec<Thing>,
        limit: usize,
        mut change: impl FnMut(&mut Vec<Thing>),
    ) -> Vec<u32> {
        let mut seen = Vec::new();
        let mut after = None;
        loop {
            let limit = Some(limit);
            let page = Page { limit, after }.of(list.clone());
            seen.extend(page.list.iter().map(|one| one.0));
            let Some(next) = page.next else { return seen };
            after = Some(cursor(&next));
            change(&mut list);
        }
    }

    #[test]
    fn pages_are_the_whole_list() {
        let list: Vec<_> = [5, 3, 9, 1, 7].map(Thing).to_vec();
        for limit in 1..7 {
            assert_eq!(all(list.clone(), limit, |_| {}), [1, 3, 5, 7, 9], "{limit}");
        }
        let whole = Page {
            limit: None,
            after: None,
        }
        .of(list.clone());
        assert_eq!((whole.list, whole.next), (list, None));
    }

    #[test]
    fn what_stays_is_given_once_whatever_comes_and_goes() {
        let list: Vec<_> = (0..20).map(|one| Thing(one * 10)).collect();
        let mut turn = 0;
        let seen = all(list, 3, |list| {
            // Ones before and after the place are removed and added, the last one given, too.
            list.retain(|one| one.0 != 20 && one.0 != 30 && one.0 != 150);
            list.insert(0, Thing(turn * 10 + 1));
            list.push(Thing(turn * 10 + 103));
            turn += 1;
        });
        for stays in (0..20)
            .map(|one| one * 10)
            .filter(|one| ![20, 30, 150].contains(one))
        {
            let times = seen.iter().filter(|one| **one == stays).count();
            assert_eq!(times, 1, "{stays}: {seen:?}");
        }
        assert!(seen.is_sorted(), "{seen:?}");
    }
}

//! The text form of queries, for people: `SELECT id,seq WHERE value_type=3,user_type="x"`.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::{Field, Filter, MAX_FILTERS, MAX_USER_TYPE, Query};

/// Why a text is not a query.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum QueryTextError {
    /// Neither `SELECT` nor `WHERE`, or one of them twice.
    #[error("expected SELECT or WHERE, not {0:?}")]
    Keyword(String),
    /// No such field.
    #[error("no field is called {0:?}")]
    Field(String),
    /// Not `field=value`, or a value that the field cannot have.
    #[error("not a condition: {0:?}")]
    Condition(String),
    /// Too many conditions.
    #[error("more than {MAX_FILTERS} conditions")]
    TooLong,
}

fn name(field: Field) -> &'static str {
    match field {
        Field::Id => "id",
        Field::ValueType => "value_type",
        Field::OwnerPk => "owner_pk",
        Field::SeqNum => "seq",
        Field::UserType => "user_type",
    }
}

fn by_name(text: &str) -> Result<Field, QueryTextError> {
    match text {
        "owner" => Ok(Field::OwnerPk),
        "type" => Ok(Field::ValueType),
        _ => Field::ALL
            .into_iter()
            .find(|field| name(*field) == text)
            .ok_or_else(|| QueryTextError::Field(text.to_owned())),
    }
}

impl FromStr for Query {
    type Err = QueryTextError;

    fn from_str(text: &str) -> Result<Self, QueryTextError> {
        let mut query = Self::all();
        let (mut selected, mut filtered) = (false, false);
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            let (keyword, after) = word(rest);
            let (list, after) = list(after);
            if keyword.eq_ignore_ascii_case("select") && !selected && !filtered {
                selected = true;
                if !matches!(list, "" | "*") {
                    let fields: Result<Vec<_>, _> = list.split(',').map(by_name).collect();
                    query = query.select(fields?);
                }
            } else if keyword.eq_ignore_ascii_case("where") && !filtered {
                filtered = true;
                for condition in split_quoted(list) {
                    if let Some(filter) = parse_condition(condition)? {
                        query = query.filter(filter);
                    }
                }
                if query.filters.len() > MAX_FILTERS {
                    return Err(QueryTextError::TooLong);
                }
            } else {
                return Err(QueryTextError::Keyword(keyword.to_owned()));
            }
            rest = after.trim_start();
        }
        Ok(query)
    }
}

/// The first word and the rest.
fn word(text: &str) -> (&str, &str) {
    text.split_once(char::is_whitespace).unwrap_or((text, ""))
}

/// The list behind a keyword, empty if the next keyword follows at once. Blanks inside
/// quotes belong to it.
fn list(text: &str) -> (&str, &str) {
    let text = text.trim_start();
    let (next, _) = word(text);
    if next.eq_ignore_ascii_case("where") {
        return ("", text);
    }
    let mut quoted = false;
    let end = text.find(|c: char| {
        if c == '"' {
            quoted = !quoted;
        }
        c.is_whitespace() && !quoted
    });
    text.split_at_checked(end.unwrap_or(text.len()))
        .unwrap_or((text, ""))
}

/// Splits at commas outside quotes.
fn split_quoted(list: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    list.split(move |c: char| {
        if c == '"' {
            quoted = !quoted;
        }
        c == ',' && !quoted
    })
    .filter(|part| !part.is_empty())
}

/// `seq` as a condition is accepted and has no effect: it cannot be sent.
fn parse_condition(text: &str) -> Result<Option<Filter>, QueryTextError> {
    let bad = || QueryTextError::Condition(text.to_owned());
    let (field, operand) = text.split_once('=').ok_or_else(bad)?;
    Ok(Some(match by_name(field)? {
        Field::Id => Filter::Id(operand.parse().map_err(|_| bad())?),
        Field::ValueType => Filter::ValueType(operand.parse().map_err(|_| bad())?),
        Field::OwnerPk => Filter::Owner(operand.parse().map_err(|_| bad())?),
        Field::UserType => {
            let inner = operand
                .strip_prefix('"')
                .and_then(|rest| rest.strip_suffix('"'))
                .unwrap_or(operand);
            if inner.contains('"') || inner.len() > MAX_USER_TYPE {
                return Err(bad());
            }
            Filter::UserType(inner.into())
        }
        Field::SeqNum => {
            operand.parse::<u16>().map_err(|_| bad())?;
            return Ok(None);
        }
    }))
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SELECT ")?;
        if self.select.is_empty() {
            f.write_str("*")?;
        }
        for (at, field) in self.select.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{}", name(field))?;
        }
        for (at, filter) in self.filters.iter().enumerate() {
            f.write_str(if at == 0 { " WHERE " } else { "," })?;
            match filter {
                Filter::Id(id) => write!(f, "id={id}"),
                Filter::ValueType(value_type) => write!(f, "value_type={value_type}"),
                Filter::Owner(owner) => write!(f, "owner_pk={owner}"),
                Filter::UserType(text) => write!(f, "user_type=\"{text}\""),
            }?;
        }
        Ok(())
    }
}

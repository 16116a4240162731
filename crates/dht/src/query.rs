//! Queries: which values are wanted, and what of them (docs/protocol/01-dht.md section 7).

mod fields;
#[cfg(test)]
mod tests;
mod text;

use baraza_wire::InfoHash;
use baraza_wire::msgpack::{self, Reader, Writer};
use thiserror::Error;

use crate::value::Value;
pub use fields::{FieldRow, MAX_ROWS, decode_rows, encode_rows};
pub use text::QueryTextError;

/// Most filters of one query; there are four kinds.
pub const MAX_FILTERS: usize = 16;
/// Most fields of one selection, repeated ones included.
pub const MAX_SELECTED: usize = 16;
/// Longest user type in a filter.
pub const MAX_USER_TYPE: usize = 256;

/// What values are filtered by, and what of them may be asked for alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// Value id.
    Id,
    /// Type id.
    ValueType,
    /// Key of the owner.
    OwnerPk,
    /// Sequence number.
    SeqNum,
    /// User type.
    UserType,
}

impl Field {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 5] = [
        Self::Id,
        Self::ValueType,
        Self::OwnerPk,
        Self::SeqNum,
        Self::UserType,
    ];

    /// Number on the wire.
    pub const fn number(self) -> u8 {
        match self {
            Self::Id => 1,
            Self::ValueType => 2,
            Self::OwnerPk => 3,
            Self::SeqNum => 4,
            Self::UserType => 5,
        }
    }

    fn from_number(number: u64) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|field| u64::from(field.number()) == number)
    }
}

/// A set of fields.
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash, PartialOrd, Ord)]
pub struct FieldSet(u8);

impl FieldSet {
    /// With the fields.
    pub fn new(fields: impl IntoIterator<Item = Field>) -> Self {
        let mut set = Self::default();
        for field in fields {
            set.0 |= 1 << field.number();
        }
        set
    }

    /// Whether the field is in it.
    pub fn contains(self, field: Field) -> bool {
        self.0 & (1 << field.number()) != 0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether all are in the other set.
    pub fn is_subset(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// In the order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = Field> {
        Field::ALL
            .into_iter()
            .filter(move |field| self.contains(*field))
    }

    /// How many.
    pub fn len(self) -> usize {
        self.iter().count()
    }
}

impl std::fmt::Debug for FieldSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// A condition on values.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Filter {
    /// Values with this id.
    Id(u64),
    /// Values of this type.
    ValueType(u16),
    /// Values owned by the key with this short id; zero for values without an owner.
    Owner(InfoHash),
    /// Values of this user type.
    UserType(Box<str>),
}

impl Filter {
    /// Whether the value meets it.
    pub fn matches(&self, value: &Value) -> bool {
        match self {
            Self::Id(id) => value.id == *id,
            Self::ValueType(value_type) => value.value_type() == *value_type,
            Self::Owner(owner) => value.owner_id().unwrap_or_default() == *owner,
            Self::UserType(user_type) => value.user_type() == &**user_type,
        }
    }
}

/// What a get or a listen asks for. The default is everything.
#[derive(Debug, Clone, PartialEq, Eq, Default, Hash, PartialOrd, Ord)]
pub struct Query {
    /// What of the values is wanted; all of them if empty.
    pub select: FieldSet,
    /// All must match. In the order they were given, each once.
    filters: Vec<Filter>,
}

/// Why bytes are not a query. The packet is dropped (section 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum QueryError {
    /// A required entry is missing.
    #[error("query has no {0}")]
    Missing(&'static str),
    /// Not msgpack, or not of the type that belongs there.
    #[error(transparent)]
    Msgpack(#[from] msgpack::Error),
    /// More filters, fields or rows than there can sensibly be.
    #[error("query is too long")]
    TooLong,
    /// A field that does not exist or that cannot be filtered by.
    #[error("unknown field in query")]
    UnknownField,
}

impl Query {
    /// Everything.
    pub fn all() -> Self {
        Self::default()
    }

    /// The value with this id.
    pub fn by_id(id: u64) -> Self {
        Self::all().filter(Filter::Id(id))
    }

    /// Values of this type.
    pub fn by_type(value_type: u16) -> Self {
        Self::all().filter(Filter::ValueType(value_type))
    }

    /// With one more condition.
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        if !self.filters.contains(&filter) {
            self.filters.push(filter);
        }
        self
    }

    /// Asking only for some fields.
    #[must_use]
    pub fn select(mut self, fields: impl IntoIterator<Item = Field>) -> Self {
        self.select = FieldSet::new(fields);
        self
    }

    /// The conditions, each once.
    pub fn filters(&self) -> &[Filter] {
        &self.filters
    }

    /// Whether it asks for everything, so that it need not be sent.
    pub fn is_all(&self) -> bool {
        self.select.is_empty() && self.filters.is_empty()
    }

    /// Whether a value meets all conditions.
    pub fn matches(&self, value: &Value) -> bool {
        self.filters.iter().all(|filter| filter.matches(value))
    }

    /// Whether an answer to `other` holds everything this query asks for.
    pub fn is_satisfied_by(&self, other: &Self) -> bool {
        let fewer_conditions = other
            .filters
            .iter()
            .all(|filter| self.filters.contains(filter));
        fewer_conditions
            && (other.select.is_empty() && self.select.is_empty()
                || !self.select.is_empty() && self.select.is_subset(other.select))
    }

    /// Reads the `q` map.
    ///
    /// # Errors
    /// If it is not one; the packet is to be dropped.
    pub fn decode(reader: &mut Reader<'_>) -> Result<Self, QueryError> {
        let (mut select, mut filters) = (None, None);
        for _ in 0..reader.map_len()? {
            if reader.peek()? != msgpack::Kind::Str {
                reader.skip()?;
                reader.skip()?;
                continue;
            }
            match reader.str_bytes()? {
                b"s" if select.is_none() => select = Some(fields::decode_set(reader)?),
                b"w" if filters.is_none() => filters = Some(decode_filters(reader)?),
                _ => {
                    reader.skip()?;
                }
            }
        }
        let query = Self {
            select: select.ok_or(QueryError::Missing("s"))?,
            filters: Vec::new(),
        };
        let filters = filters.ok_or(QueryError::Missing("w"))?;
        Ok(filters.into_iter().fold(query, Self::filter))
    }

    /// Appends the `q` map.
    pub fn encode(&self, writer: &mut Writer) {
        writer.map(2).str("s");
        fields::encode_set(self.select, writer);
        writer.str("w").array(self.filters.len());
        for filter in &self.filters {
            writer.map(2).str("f");
            match filter {
                Filter::Id(id) => writer.uint(1).str("v").uint(*id),
                Filter::ValueType(value_type) => {
                    writer.uint(2).str("v").uint(u64::from(*value_type))
                }
                Filter::Owner(owner) => writer.uint(3).str("v").bin(owner.as_bytes()),
                Filter::UserType(text) => writer.uint(5).str("v").bin(text.as_bytes()),
            };
        }
    }
}

fn decode_filters(reader: &mut Reader<'_>) -> Result<Vec<Filter>, QueryError> {
    let count = reader.array_len()?;
    if count > MAX_FILTERS {
        return Err(QueryError::TooLong);
    }
    let mut filters = Vec::new();
    for _ in 0..count {
        filters.push(decode_filter(reader)?);
    }
    Ok(filters)
}

fn decode_filter(reader: &mut Reader<'_>) -> Result<Filter, QueryError> {
    let (mut field, mut operand) = (None, None);
    for _ in 0..reader.map_len()? {
        if reader.peek()? != msgpack::Kind::Str {
            reader.skip()?;
            reader.skip()?;
            continue;
        }
        match reader.str_bytes()? {
            b"f" if field.is_none() => field = Some(reader.u64()?),
            b"v" if operand.is_none() => operand = Some(Reader::new(reader.skip()?)),
            _ => {
                reader.skip()?;
            }
        }
    }
    let field = Field::from_number(field.ok_or(QueryError::Missing("f"))?);
    let mut operand = operand.ok_or(QueryError::Missing("v"))?;
    Ok(match field.ok_or(QueryError::UnknownField)? {
        Field::Id => Filter::Id(operand.u64()?),
        Field::ValueType => Filter::ValueType(operand.u16()?),
        Field::OwnerPk => Filter::Owner(
            InfoHash::from_slice(operand.bin()?)
                .ok_or(msgpack::Error::Type("an id of 20 bytes"))?,
        ),
        Field::UserType => {
            let text = match operand.peek()? {
                msgpack::Kind::Str => operand.str()?,
                _ => std::str::from_utf8(operand.bin()?).map_err(|_| msgpack::Error::Utf8)?,
            };
            if text.len() > MAX_USER_TYPE {
                return Err(QueryError::TooLong);
            }
            Filter::UserType(text.into())
        }
        Field::SeqNum => return Err(QueryError::UnknownField),
    })
}

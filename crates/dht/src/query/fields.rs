//! Replies to queries with a selection: `fileds: {f, v}`, spelled like that.

use baraza_wire::InfoHash;
use baraza_wire::msgpack::{Error, Kind, Reader, Writer};

use super::{Field, FieldSet, MAX_SELECTED, MAX_USER_TYPE, QueryError};
use crate::hash::infohash;
use crate::value::Value;

/// Most rows of one reply: a datagram has no room for more.
pub const MAX_ROWS: usize = 65_536;

/// The selected fields of one value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldRow {
    /// Value id.
    pub id: Option<u64>,
    /// Type id.
    pub value_type: Option<u16>,
    /// Short id of the owner's key; zero if the value has no owner.
    pub owner: Option<InfoHash>,
    /// Sequence number.
    pub seq: Option<u16>,
    /// User type.
    pub user_type: Option<String>,
}

/// Appends the map for `values` with the fields of `select`, which must not be empty.
pub fn encode_rows<'a>(
    select: FieldSet,
    values: impl IntoIterator<Item = &'a Value>,
    writer: &mut Writer,
) {
    let mut flat = Writer::new();
    let mut count = 0usize;
    for value in values {
        for field in select.iter() {
            count = count.saturating_add(1);
            match field {
                Field::Id => flat.uint(value.id),
                Field::ValueType => flat.uint(u64::from(value.value_type())),
                Field::OwnerPk => match value.owner_der() {
                    Some(owner) => flat.bin(owner),
                    None => flat.bin(InfoHash::default().as_bytes()),
                },
                Field::SeqNum => flat.uint(u64::from(value.seq())),
                Field::UserType => flat.str(value.user_type()),
            };
        }
    }
    writer.map(2).str("f");
    encode_set(select, writer);
    writer.str("v").array(count).raw(flat.as_bytes());
}

/// Reads such a map.
///
/// # Errors
/// If it is not one, or selects nothing.
pub fn decode_rows(reader: &mut Reader<'_>) -> Result<Vec<FieldRow>, QueryError> {
    let (mut select, mut flat) = (None, None);
    for _ in 0..reader.map_len()? {
        if reader.peek()? != Kind::Str {
            reader.skip()?;
            reader.skip()?;
            continue;
        }
        match reader.str_bytes()? {
            b"f" if select.is_none() => select = Some(decode_set(reader)?),
            b"v" if flat.is_none() => flat = Some(Reader::new(reader.skip()?)),
            _ => {
                reader.skip()?;
            }
        }
    }
    let select = select
        .filter(|select| !select.is_empty())
        .ok_or(QueryError::Missing("f"))?;
    let mut flat = flat.ok_or(QueryError::Missing("v"))?;
    let rows = flat
        .array_len()?
        .checked_div(select.len())
        .unwrap_or_default();
    if rows > MAX_ROWS {
        return Err(QueryError::TooLong);
    }
    let mut out = Vec::new();
    for _ in 0..rows {
        out.push(decode_row(select, &mut flat)?);
    }
    Ok(out)
}

fn decode_row(select: FieldSet, flat: &mut Reader<'_>) -> Result<FieldRow, QueryError> {
    let mut row = FieldRow::default();
    for field in select.iter() {
        match field {
            Field::Id => row.id = Some(flat.u64()?),
            Field::ValueType => row.value_type = Some(flat.u16()?),
            Field::OwnerPk => {
                let bytes = flat.bin()?;
                row.owner = Some(match InfoHash::from_slice(bytes) {
                    Some(id) => id,
                    // The whole key, as existing peers send it.
                    None => infohash(bytes),
                });
            }
            Field::SeqNum => row.seq = Some(flat.u16()?),
            Field::UserType => {
                let text = match flat.peek()? {
                    Kind::Bin => std::str::from_utf8(flat.bin()?).map_err(|_| Error::Utf8)?,
                    _ => flat.str()?,
                };
                if text.len() > MAX_USER_TYPE {
                    return Err(QueryError::TooLong);
                }
                row.user_type = Some(text.to_owned());
            }
        }
    }
    Ok(row)
}

pub(super) fn encode_set(set: FieldSet, writer: &mut Writer) {
    writer.array(set.len());
    for field in set.iter() {
        writer.uint(u64::from(field.number()));
    }
}

pub(super) fn decode_set(reader: &mut Reader<'_>) -> Result<FieldSet, QueryError> {
    let count = reader.array_len()?;
    if count > MAX_SELECTED {
        return Err(QueryError::TooLong);
    }
    let mut fields = Vec::new();
    for _ in 0..count {
        fields.push(Field::from_number(reader.u64()?).ok_or(QueryError::UnknownField)?);
    }
    Ok(FieldSet::new(fields))
}

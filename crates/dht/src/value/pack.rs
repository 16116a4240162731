//! The packed form (docs/protocol/01-dht.md section 6.1).

use std::borrow::Cow;
use std::ops::Range;

use baraza_identity::PublicKey;
use baraza_wire::InfoHash;
use baraza_wire::msgpack::{Error, Kind as Item, Reader, Writer};

use super::{MAX_PACKED_LEN, Value, ValueError};

/// The shared part of a value.
#[derive(Clone)]
pub(crate) struct Inner {
    /// The cipher text, or the map `{body, [sig]}` in canonical form.
    packed: Box<[u8]>,
    pub(super) push_type: Option<Box<str>>,
    pub(super) kind: Kind,
}

#[derive(Clone, Copy)]
pub(super) enum Kind {
    Clear {
        value_type: u16,
        seq: u16,
        recipient: bool,
        body: Span,
        data: Span,
        user_type: Span,
        owner: Span,
        signature: Span,
    },
    Encrypted,
}

/// A place in `packed`; empty if absent.
#[derive(Clone, Copy, Default)]
pub(super) struct Span {
    start: u32,
    end: u32,
}

impl Span {
    fn new(range: Range<usize>) -> Self {
        let offset = |at| u32::try_from(at).unwrap_or(u32::MAX);
        Self {
            start: offset(range.start),
            end: offset(range.end),
        }
    }

    /// The last `len` bytes written.
    fn last(writer: &Writer, len: usize) -> Self {
        let end = writer.as_bytes().len();
        Self::new(end.saturating_sub(len)..end)
    }

    fn of(self, packed: &[u8]) -> &[u8] {
        let at = |offset| usize::try_from(offset).unwrap_or(usize::MAX);
        packed.get(at(self.start)..at(self.end)).unwrap_or_default()
    }
}

/// What a value that is not encrypted consists of.
#[derive(Clone, Copy, Default)]
pub(crate) struct Parts<'a> {
    pub(crate) value_type: u16,
    pub(crate) seq: u16,
    pub(crate) owner: Option<&'a [u8]>,
    /// Ignored without an owner.
    pub(crate) recipient: Option<InfoHash>,
    pub(crate) data: &'a [u8],
    pub(crate) user_type: &'a str,
    /// Ignored without an owner, not empty with one.
    pub(crate) signature: &'a [u8],
}

const BODY_KEY: &str = "body";
const SIGNATURE_KEY: &str = "sig";

impl Inner {
    pub(crate) fn clear(parts: &Parts<'_>) -> Self {
        let mut writer = Writer::with_capacity(
            parts
                .data
                .len()
                .saturating_add(parts.owner.map_or(0, <[u8]>::len))
                .saturating_add(parts.signature.len())
                .saturating_add(parts.user_type.len())
                .saturating_add(96),
        );
        writer
            .map(if parts.owner.is_some() { 2 } else { 1 })
            .str(BODY_KEY);
        let start = writer.as_bytes().len();
        let body = write_body(&mut writer, parts);
        let mut signature = Span::default();
        let end = writer.as_bytes().len();
        if parts.owner.is_some() {
            writer.str(SIGNATURE_KEY).bin(parts.signature);
            signature = Span::last(&writer, parts.signature.len());
        }
        Self {
            packed: writer.into_bytes().into_boxed_slice(),
            push_type: None,
            kind: Kind::Clear {
                value_type: parts.value_type,
                seq: parts.seq,
                recipient: parts.owner.is_some() && parts.recipient.is_some(),
                body: Span::new(start..end),
                data: body.data,
                user_type: body.user_type,
                owner: body.owner,
                signature,
            },
        }
    }

    pub(crate) fn encrypted(cypher: Vec<u8>) -> Self {
        Self {
            packed: cypher.into_boxed_slice(),
            push_type: None,
            kind: Kind::Encrypted,
        }
    }

    pub(crate) fn with_push_type(mut self, push_type: &str) -> Self {
        self.push_type = (!push_type.is_empty()).then(|| push_type.into());
        self
    }

    pub(super) fn packed(&self) -> &[u8] {
        &self.packed
    }

    pub(super) fn cypher(&self) -> Option<&[u8]> {
        matches!(self.kind, Kind::Encrypted).then_some(&*self.packed)
    }

    pub(super) fn body(&self) -> &[u8] {
        match self.kind {
            Kind::Clear { body, .. } => body.of(&self.packed),
            Kind::Encrypted => &[],
        }
    }

    pub(super) fn parts(&self) -> Option<Parts<'_>> {
        let Kind::Clear {
            value_type,
            seq,
            recipient,
            body: _,
            data,
            user_type,
            owner,
            signature,
        } = self.kind
        else {
            return None;
        };
        let owner_der = owner.of(&self.packed);
        Some(Parts {
            value_type,
            seq,
            owner: (!owner_der.is_empty()).then_some(owner_der),
            recipient: recipient.then(|| self.recipient(owner)).flatten(),
            data: data.of(&self.packed),
            user_type: std::str::from_utf8(user_type.of(&self.packed)).unwrap_or_default(),
            signature: signature.of(&self.packed),
        })
    }

    /// The recipient's id stands right behind the owner: `a2 "to" c4 14 id`.
    fn recipient(&self, owner: Span) -> Option<InfoHash> {
        let start = usize::try_from(owner.end).ok()?;
        let mut reader = Reader::new(self.packed.get(start..)?);
        reader.str().ok()?;
        InfoHash::from_slice(reader.bin().ok()?)
    }

    pub(super) fn memory(&self) -> usize {
        let counts = size_of::<usize>().saturating_mul(2);
        size_of::<Self>()
            .saturating_add(counts)
            .saturating_add(self.packed.len())
            .saturating_add(self.push_type.as_ref().map_or(0, |text| text.len()))
    }
}

#[derive(Default)]
struct BodySpans {
    data: Span,
    user_type: Span,
    owner: Span,
}

/// The body map, which is also what a signature covers (section 6.2).
fn write_body(writer: &mut Writer, parts: &Parts<'_>) -> BodySpans {
    let mut spans = BodySpans::default();
    let recipient = parts.recipient.filter(|_| parts.owner.is_some());
    let entries = 2usize
        .saturating_add(if parts.owner.is_some() { 2 } else { 0 })
        .saturating_add(usize::from(recipient.is_some()))
        .saturating_add(usize::from(!parts.user_type.is_empty()));
    writer.map(entries);
    if let Some(owner) = parts.owner {
        writer.str("seq").uint(u64::from(parts.seq));
        writer.str("owner").bin(owner);
        spans.owner = Span::last(writer, owner.len());
        if let Some(recipient) = recipient {
            writer.str("to").bin(recipient.as_bytes());
        }
    }
    writer.str("type").uint(u64::from(parts.value_type));
    writer.str("data").bin(parts.data);
    spans.data = Span::last(writer, parts.data.len());
    if !parts.user_type.is_empty() {
        writer.str("utype").str(parts.user_type);
        spans.user_type = Span::last(writer, parts.user_type.len());
    }
    spans
}

/// The body map of such a value, for signing it.
pub(crate) fn signed_body(parts: &Parts<'_>) -> Vec<u8> {
    let mut writer = Writer::new();
    write_body(&mut writer, parts);
    writer.into_bytes()
}

pub(super) fn encode(value: &Value, writer: &mut Writer) {
    let push_type = value.push_type();
    let entries = 2usize
        .saturating_add(usize::from(value.priority != 0))
        .saturating_add(usize::from(!push_type.is_empty()));
    writer.map(entries).str("id").uint(value.id).str("dat");
    match value.cypher() {
        Some(cypher) => writer.bin(cypher),
        None => writer.raw(value.packed_content()),
    };
    if value.priority != 0 {
        writer.str("p").uint(u64::from(value.priority));
    }
    if !push_type.is_empty() {
        writer.str("pt").str(push_type);
    }
}

pub(super) fn packed_len(value: &Value) -> usize {
    // Everything but the content is short: write that, and count the content.
    let mut writer = Writer::new();
    writer.map(4).str("id").uint(value.id).str("dat");
    if let Some(cypher) = value.cypher() {
        writer.bin_len(cypher.len());
    }
    if value.priority != 0 {
        writer.str("p").uint(u64::from(value.priority));
    }
    if !value.push_type().is_empty() {
        writer.str("pt").str(value.push_type());
    }
    writer
        .as_bytes()
        .len()
        .saturating_add(value.packed_content().len())
}

/// Calls `found` for each text key with its value. Other keys are skipped, and of equal
/// keys only the first may count: `found` decides.
fn each_entry<'a>(
    map: &mut Reader<'a>,
    mut found: impl FnMut(&'a [u8], Reader<'a>) -> Result<(), ValueError>,
) -> Result<(), ValueError> {
    for _ in 0..map.map_len()? {
        if map.peek()? == Item::Str {
            let key = map.str_bytes()?;
            found(key, Reader::new(map.skip()?))?;
        } else {
            map.skip()?;
            map.skip()?;
        }
    }
    Ok(())
}

/// Keeps the first of several entries with one key, as existing peers do.
fn first<'a>(slot: &mut Option<Reader<'a>>, reader: Reader<'a>) {
    slot.get_or_insert(reader);
}

pub(super) fn decode(item: &[u8]) -> Result<Value, ValueError> {
    if item.len() > MAX_PACKED_LEN {
        return Err(ValueError::TooLarge(item.len()));
    }
    let (mut id, mut content, mut priority, mut push_type) = (None, None, None, None);
    each_entry(&mut Reader::new(item), |key, value| {
        match key {
            b"id" => first(&mut id, value),
            b"dat" => first(&mut content, value),
            b"p" => first(&mut priority, value),
            b"pt" => first(&mut push_type, value),
            _ => {}
        }
        Ok(())
    })?;
    let id = id.ok_or(ValueError::Missing("id"))?.u64()?;
    let mut content = content.ok_or(ValueError::Missing("dat"))?;
    let mut inner = match content.peek()? {
        Item::Bin => match content.bin()? {
            [] => return Err(ValueError::Missing("dat")),
            cypher => Inner::encrypted(cypher.to_vec()),
        },
        _ => decode_content(content)?,
    };
    if let Some(mut push_type) = push_type {
        inner = inner.with_push_type(push_type.str()?);
    }
    let mut value = Value::from_inner(id, inner);
    value.priority = priority.map_or(Ok(0), |mut priority| priority.u32())?;
    Ok(value)
}

/// The map `{body, [sig]}`, of a plain or signed value or out of an encrypted one.
pub(crate) fn decode_content(mut content: Reader<'_>) -> Result<Inner, ValueError> {
    let (mut body, mut signature) = (None, None);
    each_entry(&mut content, |key, value| {
        match key {
            b"body" => first(&mut body, value),
            b"sig" => first(&mut signature, value),
            _ => {}
        }
        Ok(())
    })?;
    let mut body = body.ok_or(ValueError::Missing("body"))?;
    let (mut value_type, mut data, mut user_type) = (None, None, None);
    let (mut seq, mut owner, mut recipient) = (None, None, None);
    each_entry(&mut body, |key, value| {
        match key {
            b"type" => first(&mut value_type, value),
            b"data" => first(&mut data, value),
            b"utype" => first(&mut user_type, value),
            b"seq" => first(&mut seq, value),
            b"owner" => first(&mut owner, value),
            b"to" => first(&mut recipient, value),
            _ => {}
        }
        Ok(())
    })?;
    let data = blob(data.ok_or(ValueError::Missing("data"))?)?;
    let mut parts = Parts {
        value_type: value_type.ok_or(ValueError::Missing("type"))?.u16()?,
        data: &data,
        user_type: match &mut user_type {
            Some(user_type) => user_type.str()?,
            None => "",
        },
        ..Parts::default()
    };
    let Some(owner) = owner else {
        return Ok(Inner::clear(&parts));
    };
    let owner = parse_owner(&blob(owner)?)?;
    let signature = blob(signature.ok_or(ValueError::Missing("sig"))?)?;
    if signature.is_empty() {
        return Err(ValueError::Missing("sig"));
    }
    parts.seq = seq.ok_or(ValueError::Missing("seq"))?.u16()?;
    parts.owner = Some(owner.spki_der());
    parts.signature = &signature;
    parts.recipient = recipient
        .map(|mut id| InfoHash::from_slice(id.bin()?).ok_or(Error::Type("an id of 20 bytes")))
        .transpose()?;
    Ok(Inner::clear(&parts))
}

/// A public key in DER, or in PEM as old peers may write it.
fn parse_owner(bytes: &[u8]) -> Result<PublicKey, ValueError> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.contains("-----BEGIN") => Ok(PublicKey::from_pem(text)?),
        _ => Ok(PublicKey::from_spki_der(bytes)?),
    }
}

/// Bytes as `bin`, `str` or an array of small integers: existing decoders take all three.
fn blob(mut reader: Reader<'_>) -> Result<Cow<'_, [u8]>, Error> {
    match reader.peek()? {
        Item::Bin => reader.bin().map(Cow::Borrowed),
        Item::Str => reader.str_bytes().map(Cow::Borrowed),
        Item::Array => {
            let mut bytes = Vec::new();
            for _ in 0..reader.array_len()? {
                bytes.push(u8::try_from(reader.int()?).map_err(|_| Error::Range)?);
            }
            Ok(Cow::Owned(bytes))
        }
        _ => Err(Error::Type("bytes")),
    }
}

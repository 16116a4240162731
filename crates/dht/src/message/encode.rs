//! Writing packets, in the key order of the C++ peers (docs/protocol/01-dht.md section 2.4).

use std::net::IpAddr;

use baraza_wire::InfoHash;
use baraza_wire::msgpack::Writer;
use bytes::Bytes;

use super::{FRAGMENT_LEN, MAX_INLINE_BYTES, MAX_INLINE_VALUES, Want};
use crate::query::Query;

/// What all packets of a node have in common.
#[derive(Debug, Clone, Copy)]
pub struct Envelope {
    /// Our node id.
    pub id: InfoHash,
    /// Network id, left out if 0.
    pub network: u32,
    /// Ask others not to route to us.
    pub client: bool,
    /// Name of the program.
    pub agent: &'static str,
}

/// A message ready to send: a datagram, and fragments if its values are large.
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The message.
    pub head: Bytes,
    /// What follows, in this order.
    pub fragments: Vec<Bytes>,
}

impl Outgoing {
    /// All datagrams in order.
    pub fn iter(&self) -> impl Iterator<Item = &Bytes> {
        std::iter::once(&self.head).chain(&self.fragments)
    }

    /// Bytes in all.
    pub fn len(&self) -> usize {
        self.iter()
            .fold(0, |sum, bytes| sum.saturating_add(bytes.len()))
    }

    /// Never: a message has at least a head.
    pub fn is_empty(&self) -> bool {
        false
    }
}

/// What a `listen` says.
#[derive(Debug, Clone, Copy)]
pub struct ListenRequest<'a> {
    /// Where to listen.
    pub key: &'a InfoHash,
    /// Write token.
    pub token: &'a [u8],
    /// How updates will name this subscription.
    pub socket: u32,
    /// For what; `None` for everything.
    pub query: Option<&'a Query>,
}

/// What a `put` says.
#[derive(Debug, Clone, Copy)]
pub struct PutRequest<'a> {
    /// Where to store.
    pub key: &'a InfoHash,
    /// Packed values.
    pub values: &'a [&'a [u8]],
    /// Creation time in Unix seconds; left out for permanent values.
    pub created: Option<u64>,
    /// Write token.
    pub token: &'a [u8],
}

/// What a listener is told.
#[derive(Debug, Clone, Copy)]
pub enum UpdateBody<'a> {
    /// Ids of values that are gone.
    Expired(&'a [u64]),
    /// Ids of values that live longer.
    Refreshed(&'a [u64]),
    /// Packed new values, and the key they are under.
    Values(&'a InfoHash, &'a [&'a [u8]]),
}

/// The body of a reply; what is `None` or empty is left out.
#[derive(Debug, Clone, Copy, Default)]
pub struct NodeReply<'a> {
    /// Id of the value stored or refreshed.
    pub value_id: Option<u64>,
    /// Nearest IPv4 nodes, compact.
    pub nodes4: &'a [u8],
    /// Nearest IPv6 nodes, compact.
    pub nodes6: &'a [u8],
    /// Write token for the requester.
    pub token: Option<&'a [u8]>,
    /// Packed values.
    pub values: &'a [&'a [u8]],
    /// Packed selected fields.
    pub fields: Option<&'a [u8]>,
}

impl Envelope {
    /// `ping`.
    pub fn ping(&self, tid: u32) -> Bytes {
        let mut writer = self.request(64, 1);
        self.end_request(&mut writer, "ping", tid);
        writer.into_bytes().into()
    }

    /// `find`.
    pub fn find(&self, tid: u32, target: &InfoHash, want: Option<Want>) -> Bytes {
        let mut writer = self.request(112, plus(2, want.is_some()));
        writer.str("target").bin(target.as_bytes());
        write_want(&mut writer, want);
        self.end_request(&mut writer, "find", tid);
        writer.into_bytes().into()
    }

    /// `get`.
    pub fn get(
        &self,
        tid: u32,
        key: &InfoHash,
        query: Option<&Query>,
        want: Option<Want>,
    ) -> Bytes {
        let entries = plus(plus(2, query.is_some()), want.is_some());
        let mut writer = self.request(128, entries);
        writer.str("h").bin(key.as_bytes());
        write_query(&mut writer, query);
        write_want(&mut writer, want);
        self.end_request(&mut writer, "get", tid);
        writer.into_bytes().into()
    }

    /// `put`.
    pub fn put(&self, tid: u32, put: &PutRequest<'_>) -> Outgoing {
        let size = inline_size(put.values).unwrap_or_default();
        let mut writer = self.request(size.saturating_add(192), plus(4, put.created.is_some()));
        writer.str("h").bin(put.key.as_bytes());
        write_values(&mut writer, put.values);
        if let Some(created) = put.created {
            writer.str("c").uint(created);
        }
        writer.str("token").bin(put.token);
        self.end_request(&mut writer, "put", tid);
        self.outgoing(writer, tid, put.values)
    }

    /// `refresh`.
    pub fn refresh(&self, tid: u32, key: &InfoHash, value_id: u64, token: &[u8]) -> Bytes {
        let mut writer = self.request(160, 4);
        writer
            .str("h")
            .bin(key.as_bytes())
            .str("vid")
            .uint(value_id)
            .str("token")
            .bin(token);
        self.end_request(&mut writer, "refresh", tid);
        writer.into_bytes().into()
    }

    /// `listen`.
    pub fn listen(&self, tid: u32, listen: &ListenRequest<'_>) -> Bytes {
        let mut writer = self.request(192, plus(5, listen.query.is_some()));
        writer
            .str("ve")
            .uint(1)
            .str("h")
            .bin(listen.key.as_bytes())
            .str("token")
            .bin(listen.token)
            .str("sid")
            .uint(u64::from(listen.socket));
        write_query(&mut writer, listen.query);
        self.end_request(&mut writer, "listen", tid);
        writer.into_bytes().into()
    }

    /// `update`.
    pub fn update(&self, tid: u32, socket: u32, token: &[u8], body: UpdateBody<'_>) -> Outgoing {
        let (name, ids) = match body {
            UpdateBody::Values(key, values) => {
                let size = inline_size(values).unwrap_or_default();
                let mut writer = self.request(size.saturating_add(192), 6);
                writer
                    .str("ve")
                    .uint(1)
                    .str("h")
                    .bin(key.as_bytes())
                    .str("sid")
                    .uint(u64::from(socket));
                write_values(&mut writer, values);
                writer.str("token").bin(token);
                self.end_request(&mut writer, "update", tid);
                return self.outgoing(writer, tid, values);
            }
            UpdateBody::Refreshed(ids) => ("re", ids),
            UpdateBody::Expired(ids) => ("exp", ids),
        };
        let mut writer = self.request(160, 4);
        writer
            .str("sid")
            .uint(u64::from(socket))
            .str("token")
            .bin(token)
            .str(name)
            .array(ids.len());
        for id in ids {
            writer.uint(*id);
        }
        writer.str("y").str("q").str("v").str(self.agent);
        self.end(&mut writer);
        writer.str("q").str("update").str("t").uint(u64::from(tid));
        Outgoing {
            head: writer.into_bytes().into(),
            fragments: Vec::new(),
        }
    }

    /// The positive answer to a request that came from `to`.
    pub fn reply(&self, tid: u32, to: IpAddr, reply: &NodeReply<'_>) -> Outgoing {
        let entries = [
            reply.value_id.is_some(),
            !reply.nodes4.is_empty(),
            !reply.nodes6.is_empty(),
            reply.token.is_some(),
            !reply.values.is_empty(),
            reply.fields.is_some(),
        ]
        .into_iter()
        .fold(2, plus);
        let room = reply
            .nodes4
            .len()
            .saturating_add(reply.nodes6.len())
            .saturating_add(inline_size(reply.values).unwrap_or(512))
            .saturating_add(reply.fields.map_or(0, <[u8]>::len))
            .saturating_add(160);
        let mut writer = Writer::with_capacity(room);
        writer
            .map(self.entries(4))
            .str("r")
            .map(entries)
            .str("id")
            .bin(self.id.as_bytes());
        if let Some(id) = reply.value_id {
            writer.str("vid").uint(id);
        }
        writer.str("sa");
        match to {
            IpAddr::V4(ip) => writer.bin(&ip.octets()),
            IpAddr::V6(ip) => writer.bin(&ip.octets()),
        };
        if !reply.nodes4.is_empty() {
            writer.str("n4").bin(reply.nodes4);
        }
        if !reply.nodes6.is_empty() {
            writer.str("n6").bin(reply.nodes6);
        }
        if let Some(token) = reply.token {
            writer.str("token").bin(token);
        }
        if !reply.values.is_empty() {
            write_values(&mut writer, reply.values);
        }
        if let Some(fields) = reply.fields {
            writer.str("fileds").raw(fields);
        }
        self.trailer(&mut writer, "r", tid);
        self.outgoing(writer, tid, reply.values)
    }

    /// An error.
    pub fn error(&self, tid: u32, code: u16, text: &str) -> Bytes {
        let mut writer = Writer::with_capacity(128);
        writer
            .map(self.entries(5))
            .str("e")
            .array(2)
            .uint(u64::from(code))
            .str(text)
            .str("r")
            .map(1)
            .str("id")
            .bin(self.id.as_bytes());
        self.trailer(&mut writer, "e", tid);
        writer.into_bytes().into()
    }

    fn entries(&self, fixed: usize) -> usize {
        plus(plus(fixed, self.network != 0), self.client)
    }

    fn request(&self, room: usize, entries: usize) -> Writer {
        let mut writer = Writer::with_capacity(room);
        writer
            .map(self.entries(5))
            .str("a")
            .map(entries)
            .str("id")
            .bin(self.id.as_bytes());
        writer
    }

    fn end_request(&self, writer: &mut Writer, name: &str, tid: u32) {
        writer.str("q").str(name);
        self.trailer(writer, "q", tid);
    }

    fn trailer(&self, writer: &mut Writer, kind: &str, tid: u32) {
        writer
            .str("t")
            .uint(u64::from(tid))
            .str("y")
            .str(kind)
            .str("v")
            .str(self.agent);
        self.end(writer);
    }

    fn end(&self, writer: &mut Writer) {
        if self.network != 0 {
            writer.str("n").uint(u64::from(self.network));
        }
        if self.client {
            writer.str("s").bool(true);
        }
    }

    fn outgoing(&self, writer: Writer, tid: u32, values: &[&[u8]]) -> Outgoing {
        let mut fragments = Vec::new();
        if !values.is_empty() && inline_size(values).is_none() {
            for (index, value) in (0u64..).zip(values) {
                for (offset, piece) in (0u64..)
                    .step_by(FRAGMENT_LEN)
                    .zip(value.chunks(FRAGMENT_LEN))
                {
                    fragments.push(self.fragment(tid, index, offset, piece));
                }
            }
        }
        Outgoing {
            head: writer.into_bytes().into(),
            fragments,
        }
    }

    pub(super) fn fragment(&self, tid: u32, index: u64, offset: u64, piece: &[u8]) -> Bytes {
        let mut writer = Writer::with_capacity(piece.len().saturating_add(48));
        writer.map(self.entries(3));
        self.end(&mut writer);
        writer
            .str("y")
            .str("p")
            .str("t")
            .uint(u64::from(tid))
            .str("p")
            .map(1)
            .uint(index)
            .map(2)
            .str("o")
            .uint(offset)
            .str("d")
            .bin(piece);
        writer.into_bytes().into()
    }
}

fn plus(count: usize, one: bool) -> usize {
    count.saturating_add(usize::from(one))
}

/// Bytes of values that go inline; `None` if they go in fragments (section 2.5).
pub(super) fn inline_size(values: &[&[u8]]) -> Option<usize> {
    let size = values
        .iter()
        .fold(0usize, |sum, value| sum.saturating_add(value.len()));
    (values.len() < MAX_INLINE_VALUES && size < MAX_INLINE_BYTES).then_some(size)
}

fn write_values(writer: &mut Writer, values: &[&[u8]]) {
    let inline = inline_size(values).is_some();
    writer.str("values").array(values.len());
    for value in values {
        if inline {
            writer.raw(value);
        } else {
            writer.uint(u64::try_from(value.len()).unwrap_or(u64::MAX));
        }
    }
}

fn write_query(writer: &mut Writer, query: Option<&Query>) {
    if let Some(query) = query {
        writer.str("q");
        query.encode(writer);
    }
}

fn write_want(writer: &mut Writer, want: Option<Want>) {
    if let Some(want) = want {
        writer
            .str("w")
            .array(plus(usize::from(want.ipv4), want.ipv6));
        if want.ipv4 {
            writer.uint(2);
        }
        if want.ipv6 {
            writer.uint(10);
        }
    }
}

//! Messages over `swarm://` channels, by which the members of a conversation find out to
//! which of them to connect (docs/protocol/05-swarm.md section 9.2).

use baraza_wire::msgpack::{Error, Kind, Reader, Writer};
use baraza_wire::{ConversationId, DeviceId};

use super::each_entry;
use super::mobile_lease::MobileLease;
use super::msgpack_stream::{MsgpackStream, StreamError};

/// The version spoken here.
pub const VERSION: u64 = 3;
/// Longest packed message that is read: an answer with certificates.
pub const MAX_ITEM: usize = 320 << 10;
/// Nodes of one answer that are looked at.
pub const MAX_NODES: usize = 128;
/// Certificates that may be asked for at a time.
pub const MAX_ASKED: usize = 16;
/// Longest certificate chain passed on.
pub const MAX_CERTIFICATE: usize = 64 << 10;
/// Most bytes of certificates in one answer.
pub const MAX_CERTIFICATES: usize = 256 << 10;

const FIND: u64 = 1;
const FOUND: u64 = 2;

/// Name of the channel.
pub fn name(conversation: &ConversationId) -> String {
    format!("swarm://{conversation}")
}

/// A device that is woken rather than connected, with its right to that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MobileNode {
    /// Which.
    pub id: DeviceId,
    /// What its account says of it.
    pub lease: Option<MobileLease>,
}

/// What a message wants.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Content {
    /// Nothing that is understood.
    #[default]
    Nothing,
    /// The connected devices nearest to one.
    Find {
        /// To which.
        node: DeviceId,
        /// How many.
        count: u64,
    },
    /// The answer to that.
    Found {
        /// Connected devices.
        nodes: Vec<DeviceId>,
        /// Mobile ones, without proof.
        mobile: Vec<DeviceId>,
        /// Mobile ones with their leases.
        leases: Vec<MobileNode>,
    },
    /// The certificates of mobile devices.
    AskCertificates(Vec<DeviceId>),
    /// The answer to that: chains, as DER.
    Certificates(Vec<Vec<u8>>),
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrtMessage {
    /// The version its sender speaks.
    pub version: u64,
    /// Whether the sender is a mobile device.
    pub mobile: bool,
    /// Its lease, if it is.
    pub own_lease: Option<MobileNode>,
    /// What it wants.
    pub content: Content,
}

impl DrtMessage {
    /// A message of this device, which is not mobile.
    pub fn new(content: Content) -> Self {
        Self {
            version: VERSION,
            mobile: false,
            own_lease: None,
            content,
        }
    }

    /// What to write to the channel: all keys, as existing peers do.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::with_capacity(256);
        writer.map(7).str("v").uint(self.version);
        writer.str("is_mobile").bool(self.mobile);
        writer.str("self_mobile_info");
        match &self.own_lease {
            Some(node) => write_mobile(&mut writer, node),
            None => _ = writer.nil(),
        }
        writer.str("request");
        match &self.content {
            Content::Find { node, count } => {
                writer.map(3).str("q").uint(FIND).str("num").uint(*count);
                writer.str("nodeId").bin(node.as_bytes());
            }
            _ => _ = writer.nil(),
        }
        writer.str("response");
        match &self.content {
            Content::Found {
                nodes,
                mobile,
                leases,
            } => {
                writer.map(4).str("q").uint(FOUND);
                writer.str("nodes");
                write_ids(&mut writer, nodes);
                writer.str("mobile_nodes");
                write_ids(&mut writer, mobile);
                writer.str("mobile_node_infos").array(leases.len());
                leases
                    .iter()
                    .for_each(|node| write_mobile(&mut writer, node));
            }
            _ => _ = writer.nil(),
        }
        writer.str("cert_request");
        match &self.content {
            Content::AskCertificates(ids) => {
                writer.map(1).str("ids");
                write_ids(&mut writer, ids);
            }
            _ => _ = writer.nil(),
        }
        writer.str("cert_response");
        match &self.content {
            Content::Certificates(chains) => {
                writer.map(1).str("certificates").array(chains.len());
                chains.iter().for_each(|chain| _ = writer.bin(chain));
            }
            _ => _ = writer.nil(),
        }
        writer.into_bytes()
    }

    /// Reads one item of the stream. Keys that are missing keep their defaults, unknown
    /// ones are skipped; of what is more than allowed only the first is kept.
    ///
    /// # Errors
    /// If it is not a message: the channel is to be closed.
    pub fn decode(item: &[u8]) -> Result<Self, Error> {
        let mut message = Self {
            version: 0,
            ..Self::new(Content::Nothing)
        };
        let mut contents = [const { None }; 4];
        each_entry(&mut Reader::new(item), |key, entry| {
            match key {
                b"v" => message.version = entry.u64()?,
                b"is_mobile" => message.mobile = entry.bool()?,
                b"self_mobile_info" => message.own_lease = optional(entry, read_mobile)?,
                b"cert_request" => contents[0] = optional(entry, read_ask)?,
                b"cert_response" => contents[1] = optional(entry, read_certificates)?,
                b"request" => contents[2] = optional(entry, read_request)?,
                b"response" => contents[3] = optional(entry, read_response)?,
                _ => {}
            }
            Ok(())
        })?;
        message.content = contents.into_iter().flatten().next().unwrap_or_default();
        Ok(message)
    }
}

/// Reads messages as the bytes of a channel come.
#[derive(Debug, Clone)]
pub struct DrtStream(MsgpackStream);

impl DrtStream {
    /// At the start of a channel.
    pub fn new() -> Self {
        Self(MsgpackStream::new(MAX_ITEM))
    }

    /// Takes bytes in and returns the messages they complete.
    ///
    /// # Errors
    /// If the channel is to be closed.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<DrtMessage>, StreamError> {
        self.0.push(bytes);
        let mut messages = Vec::new();
        while let Some(item) = self.0.next_item()? {
            messages.push(DrtMessage::decode(&item)?);
        }
        Ok(messages)
    }
}

impl Default for DrtStream {
    fn default() -> Self {
        Self::new()
    }
}

fn write_ids(writer: &mut Writer, ids: &[DeviceId]) {
    writer.array(ids.len());
    ids.iter().for_each(|id| _ = writer.bin(id.as_bytes()));
}

fn write_mobile(writer: &mut Writer, node: &MobileNode) {
    writer.map(2).str("id").bin(node.id.as_bytes()).str("lease");
    match &node.lease {
        Some(lease) => lease.write(writer),
        None => _ = writer.nil(),
    }
}

fn optional<T>(
    reader: &mut Reader<'_>,
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    match reader.peek()? {
        Kind::Nil => Ok(None),
        _ => read(reader).map(Some),
    }
}

/// At most `most` items of an array; the rest is skipped.
fn list<T>(
    reader: &mut Reader<'_>,
    most: usize,
    mut read: impl FnMut(&mut Reader<'_>) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    let mut items = Vec::new();
    for _ in 0..reader.array_len()? {
        if items.len() < most {
            items.push(read(reader)?);
        } else {
            reader.skip()?;
        }
    }
    Ok(items)
}

fn read_id(reader: &mut Reader<'_>) -> Result<DeviceId, Error> {
    DeviceId::from_slice(reader.bin()?).ok_or(Error::Type("a device id"))
}

fn read_mobile(reader: &mut Reader<'_>) -> Result<MobileNode, Error> {
    let (mut id, mut lease) = (None, None);
    each_entry(reader, |key, entry| {
        match key {
            b"id" => id = Some(read_id(entry)?),
            b"lease" => lease = optional(entry, MobileLease::read)?,
            _ => {}
        }
        Ok(())
    })?;
    let id = id.ok_or(Error::Type("a mobile node"))?;
    Ok(MobileNode { id, lease })
}

fn read_ask(reader: &mut Reader<'_>) -> Result<Content, Error> {
    let mut ids = Vec::new();
    each_entry(reader, |key, entry| {
        if key == b"ids" {
            ids = list(entry, MAX_ASKED, read_id)?;
        }
        Ok(())
    })?;
    Ok(Content::AskCertificates(ids))
}

fn read_certificates(reader: &mut Reader<'_>) -> Result<Content, Error> {
    let mut chains = Vec::new();
    each_entry(reader, |key, entry| {
        if key == b"certificates" {
            chains = list(entry, MAX_ASKED, |entry| Ok(entry.bin()?.to_vec()))?;
        }
        Ok(())
    })?;
    Ok(Content::Certificates(chains))
}

fn read_request(reader: &mut Reader<'_>) -> Result<Content, Error> {
    let (mut query, mut node, mut count) = (FIND, None, 0);
    each_entry(reader, |key, entry| {
        match key {
            b"q" => query = entry.u64()?,
            b"num" => count = u64::try_from(entry.int()?).unwrap_or(0),
            b"nodeId" => node = Some(read_id(entry)?),
            _ => {}
        }
        Ok(())
    })?;
    Ok(match node {
        Some(node) if query == FIND => Content::Find { node, count },
        _ => Content::Nothing,
    })
}

fn read_response(reader: &mut Reader<'_>) -> Result<Content, Error> {
    let (mut nodes, mut mobile, mut leases) = (Vec::new(), Vec::new(), Vec::new());
    each_entry(reader, |key, entry| {
        match key {
            b"nodes" => nodes = list(entry, MAX_NODES, read_id)?,
            b"mobile_nodes" => mobile = list(entry, MAX_NODES, read_id)?,
            b"mobile_node_infos" => leases = list(entry, MAX_NODES, read_mobile)?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(Content::Found {
        nodes,
        mobile,
        leases,
    })
}

#[cfg(test)]
mod tests {
    use baraza_wire::{AccountId, UnixTime};
    use proptest::prelude::*;

    use super::*;

    fn device() -> impl Strategy<Value = DeviceId> {
        any::<[u8; 32]>().prop_map(DeviceId::new)
    }

    fn mobile() -> impl Strategy<Value = MobileNode> {
        let lease = (".{0,40}", any::<[u8; 20]>(), device(), any::<u32>()).prop_map(
            |(conversation, issuer, device, at)| MobileLease {
                version: 1,
                conversation,
                issuer: AccountId::new(issuer),
                device,
                issued: UnixTime::from_secs(u64::from(at)),
                expires: UnixTime::from_secs(u64::from(at) + 9),
                signature: vec![7; 12],
            },
        );
        (device(), proptest::option::of(lease)).prop_map(|(id, lease)| MobileNode { id, lease })
    }

    fn content() -> impl Strategy<Value = Content> {
        let ids = || proptest::collection::vec(device(), 0..6);
        prop_oneof![
            Just(Content::Nothing),
            (device(), any::<u64>()).prop_map(|(node, count)| Content::Find { node, count }),
            (ids(), ids(), proptest::collection::vec(mobile(), 0..4)).prop_map(
                |(nodes, mobile, leases)| Content::Found {
                    nodes,
                    mobile,
                    leases
                }
            ),
            ids().prop_map(Content::AskCertificates),
            proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..90), 0..4)
                .prop_map(Content::Certificates),
        ]
    }

    proptest! {
        #[test]
        fn messages_read_back(
            version in 0_u64..9, mobile_flag: bool,
            own_lease in proptest::option::of(mobile()), content in content(),
        ) {
            let message = DrtMessage { version, mobile: mobile_flag, own_lease, content };
            let mut stream = DrtStream::new();
            prop_assert_eq!(stream.push(&message.encode()).unwrap(), vec![message]);
        }

        #[test]
        fn no_bytes_do_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            _ = DrtMessage::decode(&bytes);
            _ = DrtStream::new().push(&bytes);
        }

        #[test]
        fn damage_does_no_harm(content in content(), at: proptest::sample::Index, byte: u8) {
            let mut bytes = DrtMessage::new(content).encode();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            _ = DrtMessage::decode(&bytes);
        }
    }

    #[test]
    fn what_a_peer_leaves_out_has_defaults_and_the_first_of_several_wishes_counts() {
        let node = DeviceId::new([5; 32]);
        let mut writer = Writer::new();
        writer.map(4).str("v").uint(1).str("new").array(1).nil();
        writer.str("request").map(2).str("num").uint(2);
        writer.str("nodeId").bin(node.as_bytes());
        writer.str("cert_request").map(1).str("ids").array(0);
        let message = DrtMessage::decode(writer.as_bytes()).unwrap();
        assert_eq!(message.version, 1);
        assert_eq!(message.content, Content::AskCertificates(vec![]));
        let empty = DrtMessage::decode(&[0x80]).unwrap();
        assert_eq!(empty.content, Content::Nothing);
        // Other queries are not acted upon.
        let mut writer = Writer::new();
        writer.map(1).str("request").map(2).str("q").uint(3);
        writer.str("nodeId").bin(node.as_bytes());
        let message = DrtMessage::decode(writer.as_bytes()).unwrap();
        assert_eq!(message.content, Content::Nothing);
    }

    #[test]
    fn ids_of_another_length_end_the_channel_and_long_lists_are_cut() {
        let mut writer = Writer::new();
        writer.map(1).str("response").map(1).str("nodes");
        writer.array(1).bin(&[1; 20]);
        assert!(DrtMessage::decode(writer.as_bytes()).is_err());
        let many: Vec<DeviceId> = (0..=200).map(|byte| DeviceId::new([byte; 32])).collect();
        let message = DrtMessage::new(Content::Found {
            nodes: many.clone(),
            mobile: vec![],
            leases: vec![],
        });
        let Content::Found { nodes, .. } = DrtMessage::decode(&message.encode()).unwrap().content
        else {
            panic!("an answer");
        };
        assert_eq!(nodes, many[..MAX_NODES]);
        let mut stream = DrtStream::new();
        let long = DrtMessage::new(Content::Certificates(vec![vec![0; MAX_ITEM]]));
        assert!(stream.push(&long.encode()).is_err());
    }
}

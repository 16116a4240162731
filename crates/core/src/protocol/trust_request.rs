//! Contact requests (docs/protocol/02-account.md section 8).

use baraza_dht::secure::{self, SealError};
use baraza_dht::{Value, value_type};
use baraza_identity::{PrivateKey, PublicKey};
use baraza_wire::msgpack::{Error, Reader, Writer};
use baraza_wire::{ConversationId, Rng, UnixTime};

use super::each_entry;

/// The only service that requests are for.
const SERVICE: &str = "cx.ring";
/// From this length on a payload is left out.
pub const MAX_PAYLOAD: usize = 64_000;

/// A request to become a contact, or the answer "yes" to one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustRequest {
    /// The one-to-one conversation that the sender of the request made.
    pub conversation: Option<ConversationId>,
    /// vCard of the sender; empty in answers.
    pub payload: Vec<u8>,
    /// Whether it is the answer.
    pub confirm: bool,
    /// When the contact was first invited; old peers do not say.
    pub invited: Option<UnixTime>,
}

impl TrustRequest {
    /// A request.
    pub fn request(conversation: ConversationId, payload: Vec<u8>, invited: UnixTime) -> Self {
        Self {
            conversation: Some(conversation),
            payload,
            confirm: false,
            invited: Some(invited),
        }
    }

    /// The answer to a request.
    pub fn confirmation(conversation: Option<ConversationId>) -> Self {
        Self {
            conversation,
            payload: Vec::new(),
            confirm: true,
            invited: None,
        }
    }

    /// Reads the content of a value.
    ///
    /// # Errors
    /// If it is not a request for this service.
    pub fn decode(data: &[u8]) -> Result<Self, Error> {
        let mut request = Self::default();
        let (mut service, mut confirm) = (None, None);
        each_entry(&mut Reader::new(data), |key, entry| {
            match key {
                b"service" => service = Some(entry.str()?),
                b"conversationId" => request.conversation = conversation(entry.str()?)?,
                b"payload" => request.payload = entry.bin()?.to_vec(),
                b"confirm" => confirm = Some(entry.bool()?),
                b"invitedMs" => {
                    let millis = u64::try_from(entry.i64()?).unwrap_or_default();
                    request.invited = (millis > 0).then(|| UnixTime::from_millis(millis));
                }
                _ => {}
            }
            Ok(())
        })?;
        if service != Some(SERVICE) {
            return Err(Error::Type("a request for contact"));
        }
        request.confirm = confirm.unwrap_or_default();
        if request.payload.len() >= MAX_PAYLOAD {
            request.payload = Vec::new();
        }
        Ok(request)
    }

    /// The content of a value.
    pub fn encode(&self) -> Vec<u8> {
        let payload = match self.payload.len() {
            0..MAX_PAYLOAD => &*self.payload,
            _ => &[],
        };
        let conversation = self.conversation.map(|id| id.to_hex());
        let entries = if self.invited.is_some() { 5 } else { 4 };
        let mut writer = Writer::new();
        writer.map(entries).str("service").str(SERVICE);
        writer.str("conversationId");
        writer.str(&conversation.unwrap_or_default());
        writer.str("payload").bin(payload);
        writer.str("confirm").bool(self.confirm);
        if let Some(invited) = self.invited {
            writer.str("invitedMs").uint(invited.millis());
        }
        writer.into_bytes()
    }

    /// The value to put once under the inbox key of the device whose key is `to`.
    ///
    /// # Errors
    /// If the key cannot be encrypted for.
    pub fn seal(
        &self,
        sender: &PrivateKey,
        to: &PublicKey,
        rng: &mut Rng,
    ) -> Result<Value, SealError> {
        let plain = Value::new(value_type::TRUST_REQUEST, self.encode()).with_random_id(rng);
        secure::encrypt(&plain, sender, to)
    }
}

/// Empty for none.
fn conversation(text: &str) -> Result<Option<ConversationId>, Error> {
    if text.is_empty() {
        return Ok(None);
    }
    let id = text.parse().map_err(|_| Error::Type("a conversation id"))?;
    Ok(Some(id))
}

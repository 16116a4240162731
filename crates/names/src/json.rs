//! Requests and answers of a name server as JSON (docs/protocol/03-nameserver.md section 3).

use std::collections::BTreeMap;
use std::fmt;

use baraza_identity::PrivateKey;
use baraza_identity::key::KeyError;
use baraza_wire::AccountId;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use thiserror::Error;

use crate::name::{LookupText, Name};
use crate::record::{Owner, Proof, ProofError, Registration, parse_addr};

/// Longest body of a registration.
pub const MAX_REQUEST: usize = 64 * 1024;
/// Longest answer.
pub const MAX_ANSWER: usize = 1024 * 1024;
/// Most members of an object: there are four.
const MAX_MEMBERS: usize = 32;

/// Why a registration is not understood.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RequestError {
    /// More than [`MAX_REQUEST`] bytes.
    #[error("the body has more than {MAX_REQUEST} bytes")]
    TooLarge,
    /// Not one JSON object, or one with a member twice.
    #[error("the body is not what is expected: {0}")]
    Json(String),
    /// A member that must be there.
    #[error("{0:?} is missing")]
    Missing(&'static str),
    /// Not 40 hexadecimal digits.
    #[error("{0:?} is not 40 hexadecimal digits")]
    NotHex(&'static str),
    /// The key or the signature cannot be read.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

impl Registration {
    /// Signs `name` with the account's key.
    ///
    /// # Errors
    /// If the library cannot sign.
    pub fn sign(name: &Name, key: &PrivateKey, owner: Option<Owner>) -> Result<Self, KeyError> {
        let public = key.public_key();
        let signature = key.sign(name.as_str().as_bytes())?;
        let proof = Proof::from_bytes(public.to_pem().into_bytes(), signature).map_err(
            |error| match error {
                ProofError::Key(error) => error,
                _ => KeyError::Sign,
            },
        )?;
        Ok(Self {
            addr: public.short_id().into(),
            owner,
            proof,
        })
    }

    /// The body of a request, in the order in which daemons write it.
    pub fn to_json(&self) -> String {
        let owner = self
            .owner
            .map(|owner| format!(r#""owner":"{}","#, owner.to_hex()))
            .unwrap_or_default();
        // No member needs escaping: hexadecimal digits and base64.
        format!(
            r#"{{"addr":"{}",{owner}"signature":"{}","publickey":"{}"}}"#,
            self.addr.to_hex(),
            self.proof.signature_base64(),
            self.proof.key_base64(),
        )
    }

    /// Reads the body of a request; nothing is verified yet.
    ///
    /// Members of other names are left alone, but none may be there twice: who checks one of
    /// them and uses the other is deceived.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_json(body: &[u8]) -> Result<Self, RequestError> {
        if body.len() > MAX_REQUEST {
            return Err(RequestError::TooLarge);
        }
        let mut members = members(body).map_err(RequestError::Json)?;
        let mut take = |key: &'static str| match members.remove(key) {
            None | Some(Member::Null) => Ok(None),
            Some(Member::Text(text)) if text.is_empty() => Ok(None),
            Some(Member::Text(text)) => Ok(Some(text)),
            Some(Member::Other) => Err(RequestError::Json(format!("{key:?} is not a text"))),
        };
        let addr = take("addr")?.ok_or(RequestError::Missing("addr"))?;
        let owner = take("owner")?;
        let signature = take("signature")?;
        let public_key = take("publickey")?;
        let addr = parse_addr(&addr).ok_or(RequestError::NotHex("addr"))?;
        let owner = owner
            .map(|owner| Owner::parse(&owner).ok_or(RequestError::NotHex("owner")))
            .transpose()?;
        let signature = signature.ok_or(RequestError::Missing("signature"))?;
        let public_key = public_key.ok_or(RequestError::Missing("publickey"))?;
        Ok(Self {
            addr,
            owner,
            proof: Proof::from_base64(&public_key, &signature)?,
        })
    }
}

/// Why an answer is not believed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AnswerError {
    /// More than [`MAX_ANSWER`] bytes.
    #[error("the answer has more than {MAX_ANSWER} bytes")]
    TooLarge,
    /// Not one JSON object of the right shape.
    #[error("the answer is not what is expected: {0}")]
    Json(String),
    /// Not a Jami ID.
    #[error("the answer's address is not a Jami ID")]
    NotAnId,
    /// Another name than the one that was asked.
    #[error("the answer is about another name")]
    OtherName,
    /// A key without a signature, or the reverse.
    #[error("the answer has only one of key and signature")]
    HalfSigned,
    /// There is no proof, and one is wanted.
    #[error("the answer is not signed")]
    Unsigned,
    /// The proof is wrong.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

/// The answer to a question for a name, as it came: believe it after [`Found::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The name that the answer is about, if it says so.
    pub name: Option<String>,
    /// The Jami ID.
    pub addr: AccountId,
    /// What shows that the account asked for the name, if the server has it.
    pub proof: Option<Proof>,
}

impl Found {
    /// Reads an answer; `None` if it says that there is no such name.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn from_json(body: &[u8]) -> Result<Option<Self>, AnswerError> {
        let mut members = answer(body)?;
        let mut take = |key: &str| text(&mut members, key);
        let Some(addr) = take("addr")? else {
            return Ok(None);
        };
        let addr = match addr.strip_prefix("0x").unwrap_or(&addr) {
            // A contract's way to say that there is nothing.
            zeros if zeros.bytes().all(|byte| byte == b'0') => return Ok(None),
            _ => parse_addr(&addr).ok_or(AnswerError::NotAnId)?,
        };
        let name = take("name")?;
        let proof = match (take("publickey")?, take("signature")?) {
            (Some(key), Some(signature)) => Some(Proof::from_base64(&key, &signature)?),
            (None, None) => None,
            _ => return Err(AnswerError::HalfSigned),
        };
        Ok(Some(Self { name, addr, proof }))
    }

    /// Checks that it is an answer to the question for `asked`, and its proof if it has one.
    /// Says whether it has.
    ///
    /// # Errors
    /// Why it is not to be believed.
    pub fn verify(&self, asked: &LookupText) -> Result<bool, AnswerError> {
        if self.name.as_ref().is_some_and(|name| !asked.is(name)) {
            return Err(AnswerError::OtherName);
        }
        let Some(proof) = &self.proof else {
            return Ok(false);
        };
        proof.verify(asked, self.addr)?;
        Ok(true)
    }

    /// As a server writes it.
    pub fn to_json(&self) -> String {
        let mut out = String::from("{");
        if let Some(name) = &self.name {
            out.push_str("\"name\":");
            out.push_str(&quoted(name));
            out.push(',');
        }
        out.push_str("\"addr\":\"0x");
        out.push_str(&self.addr.to_hex());
        out.push('"');
        if let Some(proof) = &self.proof {
            out.push_str(",\"publickey\":\"");
            out.push_str(&proof.key_base64());
            out.push_str("\",\"signature\":\"");
            out.push_str(&proof.signature_base64());
            out.push('"');
        }
        out.push('}');
        out
    }
}

/// Reads the answer to a question for a Jami ID: its name, or `None`.
///
/// # Errors
/// What is wrong with it.
pub fn reverse_from_json(body: &[u8]) -> Result<Option<String>, AnswerError> {
    text(&mut answer(body)?, "name")
}

/// Reads the answer to a registration: whether it says `success`, and the reason it gives.
///
/// # Errors
/// What is wrong with it.
pub fn registered_from_json(body: &[u8]) -> Result<(bool, Option<String>), AnswerError> {
    #[derive(serde::Deserialize)]
    struct Registered {
        #[serde(default)]
        success: bool,
        #[serde(default)]
        error: Option<String>,
    }
    if body.len() > MAX_ANSWER {
        return Err(AnswerError::TooLarge);
    }
    let answer: Registered =
        serde_json::from_slice(body).map_err(|error| AnswerError::Json(error.to_string()))?;
    Ok((answer.success, answer.error))
}

/// A text as JSON.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn answer(body: &[u8]) -> Result<BTreeMap<String, Member>, AnswerError> {
    if body.len() > MAX_ANSWER {
        return Err(AnswerError::TooLarge);
    }
    members(body).map_err(AnswerError::Json)
}

/// A member with some text; empty is the same as none.
fn text(members: &mut BTreeMap<String, Member>, key: &str) -> Result<Option<String>, AnswerError> {
    match members.remove(key) {
        None | Some(Member::Null) => Ok(None),
        Some(Member::Text(text)) if text.is_empty() => Ok(None),
        Some(Member::Text(text)) => Ok(Some(text)),
        Some(Member::Other) => Err(AnswerError::Json(format!("{key:?} is not a text"))),
    }
}

/// The members of the one object in `body`, none twice.
fn members(body: &[u8]) -> Result<BTreeMap<String, Member>, String> {
    serde_json::from_slice::<Members>(body)
        .map(|members| members.0)
        .map_err(|error| error.to_string())
}

/// A member's value: only texts are of interest.
enum Member {
    Text(String),
    Null,
    Other,
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MemberVisitor)
    }
}

struct MemberVisitor;

impl<'de> Visitor<'de> for MemberVisitor {
    type Value = Member;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Member, E> {
        Ok(Member::Text(text.to_owned()))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Member, E> {
        Ok(Member::Null)
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Member, E> {
        Ok(Member::Other)
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Member, E> {
        Ok(Member::Other)
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Member, E> {
        Ok(Member::Other)
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Member, E> {
        Ok(Member::Other)
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut values: A) -> Result<Member, A::Error> {
        while values.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Member::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Member, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Member::Other)
    }
}

struct Members(BTreeMap<String, Member>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = BTreeMap::new();
        while let Some((key, value)) = map.next_entry::<String, Member>()? {
            if members.len() >= MAX_MEMBERS {
                return Err(de::Error::custom("too many members"));
            }
            if let Some(_first) = members.insert(key, value) {
                return Err(de::Error::custom("a member is there twice"));
            }
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests;

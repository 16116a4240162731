//! Signing, encrypting and opening values (docs/protocol/01-dht.md sections 6.2 to 6.5).
//!
//! RSA takes milliseconds: call these off the thread that runs the DHT.

use baraza_identity::key::KeyError;
use baraza_identity::{PrivateKey, PublicKey};
use baraza_wire::InfoHash;
use baraza_wire::msgpack::Reader;
use thiserror::Error;

use crate::value::{Inner, Parts, Value, decode_content, signed_body};

/// Why a value cannot be signed or encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SealError {
    /// It is encrypted already.
    #[error("the value is encrypted already")]
    Encrypted,
    /// The key cannot do it.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Why a value must not be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Not encrypted with this key, or damaged: the reasons are not told apart.
    #[error("value cannot be decrypted")]
    Decrypt,
    /// Encrypted with this key by somebody who meant it for another.
    #[error("value is meant for somebody else")]
    Recipient,
    /// Its signature is missing or wrong.
    #[error("signature of the value is wrong")]
    Signature,
}

/// A value that may be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The value in clear.
    pub value: Value,
    /// Who signed it; always present if it was encrypted.
    pub signer: Option<PublicKey>,
    /// Whether it was encrypted for us.
    pub encrypted: bool,
}

/// Signs with the value's sequence number, optionally naming a recipient.
///
/// # Errors
/// If the value is encrypted or the library fails.
pub fn sign(
    value: &Value,
    key: &PrivateKey,
    recipient: Option<InfoHash>,
) -> Result<Value, SealError> {
    if value.is_encrypted() {
        return Err(SealError::Encrypted);
    }
    let mut parts = Parts {
        value_type: value.value_type(),
        seq: value.seq(),
        owner: Some(key.public_key().spki_der()),
        recipient,
        data: value.data(),
        user_type: value.user_type(),
        signature: &[],
    };
    let signature = key.sign(&signed_body(&parts))?;
    parts.signature = &signature;
    let inner = Inner::clear(&parts);
    Ok(like(value, inner))
}

/// Signs with `sender` and encrypts for `recipient`. Id, priority and push type stay in
/// clear.
///
/// # Errors
/// If the value is encrypted, the recipient's key is not RSA, or the library fails.
pub fn encrypt(
    value: &Value,
    sender: &PrivateKey,
    recipient: &PublicKey,
) -> Result<Value, SealError> {
    let signed = sign(value, sender, Some(recipient.short_id()))?;
    let cypher = recipient.encrypt(signed.packed_content())?;
    Ok(like(value, Inner::encrypted(cypher)))
}

/// Decrypts the value if it is encrypted, and verifies the signature if there is one
/// (section 6.4).
///
/// # Errors
/// If the value must not be delivered.
pub fn open(value: &Value, key: &PrivateKey) -> Result<Opened, OpenError> {
    let Some(cypher) = value.cypher() else {
        return Ok(Opened {
            value: value.clone(),
            signer: verify(value)?,
            encrypted: false,
        });
    };
    let plain = key.decrypt(cypher).map_err(|_| OpenError::Decrypt)?;
    let inner = decode_content(Reader::new(&plain)).map_err(|_| OpenError::Decrypt)?;
    let opened = like(value, inner);
    if opened.recipient() != Some(key.public_key().short_id()) {
        return Err(OpenError::Recipient);
    }
    let signer = verify(&opened)?.ok_or(OpenError::Signature)?;
    Ok(Opened {
        value: opened,
        signer: Some(signer),
        encrypted: true,
    })
}

/// Verifies the signature and returns whose it is; `None` for a value that is not signed.
///
/// # Errors
/// If the signature is wrong.
pub fn verify(value: &Value) -> Result<Option<PublicKey>, OpenError> {
    if !value.is_signed() {
        return Ok(None);
    }
    let owner = value.owner().ok_or(OpenError::Signature)?;
    owner
        .verify(value.signed_bytes(), value.signature())
        .map_err(|_| OpenError::Signature)?;
    Ok(Some(owner))
}

fn like(value: &Value, inner: Inner) -> Value {
    Value::from_inner(value.id, inner.with_push_type(value.push_type()))
        .with_priority(value.priority)
}

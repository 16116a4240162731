//! The receipt: the account's signed word that a device is its own
//! (docs/protocol/02-account.md section 5.2).

use std::fmt;

use baraza_wire::{AccountId, InfoHash};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use thiserror::Error;

use crate::device::DeviceIdentity;
use crate::key::{BadSignature, KeyError, PrivateKey, PublicKey};

/// Longest receipt text that is read; real ones have 2.4 kB.
pub const MAX_RECEIPT_LEN: usize = 64 * 1024;

/// A receipt with its signature. The text is kept as it came, since it was not made by a
/// JSON library and only these bytes are signed.
#[derive(Clone, PartialEq, Eq)]
pub struct Receipt {
    text: String,
    signature: Vec<u8>,
    account_id: AccountId,
    device: InfoHash,
    eth_address: String,
    announcement: Vec<u8>,
}

/// Why a receipt is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// The text is not a receipt.
    #[error("not a receipt: {0}")]
    Malformed(&'static str),
    /// For another account.
    #[error("the receipt is for another account")]
    OtherAccount,
    /// For another device.
    #[error("the receipt is for another device")]
    OtherDevice,
    /// Not signed by the account.
    #[error("the account did not sign the receipt")]
    Signature,
}

#[derive(Deserialize)]
struct Fields {
    id: String,
    dev: String,
    #[serde(default)]
    eth: String,
    announce: String,
}

impl Receipt {
    /// Makes and signs a receipt. `device` is the short id of the device key, `eth_address`
    /// 40 hex digits (or empty), `announcement` the packed announcement value.
    ///
    /// # Errors
    /// If signing fails.
    pub fn issue(
        account_key: &PrivateKey,
        device: InfoHash,
        eth_address: &str,
        announcement: &[u8],
    ) -> Result<Self, KeyError> {
        let account_id: AccountId = account_key.public_key().short_id().into();
        // Only hex digits get into the text, nothing that needs quoting.
        let eth_address: String = eth_address
            .chars()
            .filter(char::is_ascii_hexdigit)
            .collect();
        let announce = STANDARD.encode(announcement);
        let text = format!(
            r#"{{"id":"{account_id}","dev":"{device}","eth":"{eth_address}","announce":"{announce}"}}"#
        );
        let signature = account_key.sign(text.as_bytes())?;
        Ok(Self {
            text,
            signature,
            account_id,
            device,
            eth_address,
            announcement: announcement.to_vec(),
        })
    }

    /// Reads a stored receipt. Says nothing about its signature: see [`Self::verify`].
    ///
    /// # Errors
    /// If the text is not a receipt.
    pub fn parse(text: &str, signature: &[u8]) -> Result<Self, ReceiptError> {
        if text.len() > MAX_RECEIPT_LEN || signature.len() > MAX_RECEIPT_LEN {
            return Err(ReceiptError::Malformed("too long"));
        }
        let fields: Fields = serde_json::from_str(text)
            .map_err(|_| ReceiptError::Malformed("not the expected JSON object"))?;
        let announcement = STANDARD
            .decode(&fields.announce)
            .map_err(|_| ReceiptError::Malformed("announcement is not base64"))?;
        Ok(Self {
            text: text.to_owned(),
            signature: signature.to_vec(),
            account_id: fields
                .id
                .parse()
                .map_err(|_| ReceiptError::Malformed("id is not a Jami ID"))?,
            device: fields
                .dev
                .parse()
                .map_err(|_| ReceiptError::Malformed("dev is not a device id"))?,
            eth_address: fields.eth,
            announcement,
        })
    }

    /// Checks signature, account and device. The announcement inside is the caller's to
    /// check: it must be signed by the account and name the same device.
    ///
    /// # Errors
    /// The first reason against it.
    pub fn verify(&self, device: &DeviceIdentity) -> Result<(), ReceiptError> {
        if self.account_id != device.account_id() {
            return Err(ReceiptError::OtherAccount);
        }
        if self.device != device.short_id() {
            return Err(ReceiptError::OtherDevice);
        }
        let issuer = device.chain().certificates().get(1);
        let issuer = issuer.ok_or(ReceiptError::OtherAccount)?;
        self.verify_signature(issuer.public_key())
    }

    /// Checks the signature only.
    ///
    /// # Errors
    /// If `account` did not sign it.
    pub fn verify_signature(&self, account: &PublicKey) -> Result<(), ReceiptError> {
        account
            .verify(self.text.as_bytes(), &self.signature)
            .map_err(|BadSignature| ReceiptError::Signature)
    }

    /// The exact text that is signed, `ringAccountReceipt` in `config.yml`.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signature, `ringAccountReceiptSignature` in `config.yml`.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// Whose receipt it claims to be.
    pub fn account_id(&self) -> AccountId {
        self.account_id
    }

    /// The short id of the device it claims to be for.
    pub fn device(&self) -> InfoHash {
        self.device
    }

    /// The Ethereum address of the account; may be empty.
    pub fn eth_address(&self) -> &str {
        &self.eth_address
    }

    /// The packed announcement value, to be put on the DHT again and again.
    pub fn announcement(&self) -> &[u8] {
        &self.announcement
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt")
            .field("account_id", &self.account_id)
            .field("device", &self.device)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::CertificateChain;

    fn vector(name: &str) -> Vec<u8> {
        let root = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../testing/vectors/account-nopassword/"
        );
        std::fs::read(format!("{root}{name}")).unwrap()
    }

    fn text() -> String {
        String::from_utf8(vector("receipt.json")).unwrap()
    }

    fn identity() -> DeviceIdentity {
        let key = String::from_utf8(vector("ring_device.key")).unwrap();
        let chain = CertificateChain::from_pem(vector("ring_device.crt")).unwrap();
        DeviceIdentity::new(PrivateKey::from_pem(&key).unwrap(), chain).unwrap()
    }

    #[test]
    fn a_real_receipt_verifies() {
        let receipt = Receipt::parse(&text(), &vector("receipt.sig")).unwrap();
        assert_eq!(receipt.verify(&identity()), Ok(()));
        assert_eq!(receipt.announcement(), vector("announce.msgpack"));
        assert_eq!(
            receipt.eth_address(),
            "a3564a494b624d51869469c1322621f294bf33b4"
        );
    }

    #[test]
    fn every_mismatch_is_named() {
        let (text, signature) = (text(), vector("receipt.sig"));
        let device = identity();
        let dev = device.short_id().to_hex();
        let other = Receipt::parse(&text.replace(&dev, &"0".repeat(40)), &signature).unwrap();
        assert_eq!(other.verify(&device), Err(ReceiptError::OtherDevice));
        let id = device.account_id().to_hex();
        let other = Receipt::parse(&text.replace(&id, &"0".repeat(40)), &signature).unwrap();
        assert_eq!(other.verify(&device), Err(ReceiptError::OtherAccount));
        let other = Receipt::parse(&text.replace("\"eth\":\"a", "\"eth\":\"b"), &signature);
        assert_eq!(other.unwrap().verify(&device), Err(ReceiptError::Signature));
        assert!(Receipt::parse("{}", &signature).is_err());
        assert!(Receipt::parse(&" ".repeat(MAX_RECEIPT_LEN + 1), &[]).is_err());
    }

    #[test]
    fn issuing_gives_the_bytes_of_a_real_one() {
        let archive = vector("archive.gz");
        let archive = crate::archive::Archive::read(&archive, None).unwrap();
        let receipt = Receipt::issue(
            &archive.account_key,
            identity().short_id(),
            archive.eth_key.as_ref().unwrap().address(),
            &vector("announce.msgpack"),
        )
        .unwrap();
        assert_eq!(receipt.text(), text());
        assert_eq!(receipt.signature(), vector("receipt.sig"));
        assert_eq!(
            Receipt::parse(receipt.text(), receipt.signature()).unwrap(),
            receipt
        );
    }
}

//! A name as the directory keeps it.

use aws_lc_rs::digest::{Context, SHA256};
use baraza_wire::AccountId;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::name::{LookupText, Name};
use crate::record::{Owner, Proof, ProofError, Registration};

/// Columns of a line of PEM.
const COLUMNS: usize = 64;
const BEGIN: &str = "-----BEGIN PUBLIC KEY-----\n";
const END: &str = "-----END PUBLIC KEY-----\n";

/// A name and whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The name.
    pub name: Name,
    /// The Jami ID.
    pub addr: AccountId,
    /// As in [`Registration`].
    pub owner: Option<Owner>,
    /// The account's signature over the name. Records of older directories and of moves may
    /// lack it.
    pub signed: Option<Signed>,
}

/// A key and a signature as they were received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// What the base64 of the public key held.
    pub key: Vec<u8>,
    /// What the base64 of the signature held.
    pub signature: Vec<u8>,
}

impl Record {
    /// The record that a registration asks for. It must have been verified.
    pub fn new(name: Name, registration: &Registration) -> Self {
        Self {
            name,
            addr: registration.addr,
            owner: registration.owner,
            signed: Some(Signed {
                key: registration.proof.key_bytes().to_vec(),
                signature: registration.proof.signature().to_vec(),
            }),
        }
    }

    /// Checks key and signature; says whether there are any.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn verify(&self) -> Result<bool, ProofError> {
        let Some(signed) = &self.signed else {
            return Ok(false);
        };
        Proof::from_bytes(signed.key.clone(), signed.signature.clone())?
            .verify(&LookupText::from(self.name.clone()), self.addr)?;
        Ok(true)
    }

    /// A hash of all of it, which the log holds.
    pub fn digest(&self) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        context.update(b"baraza names record 1\0");
        let mut part = |bytes: Option<&[u8]>| match bytes {
            None => context.update(&[0]),
            Some(bytes) => {
                context.update(&[1]);
                context.update(&u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
                context.update(bytes);
            }
        };
        part(Some(self.name.as_str().as_bytes()));
        part(Some(self.addr.as_bytes()));
        part(self.owner.as_ref().map(|owner| owner.as_bytes().as_slice()));
        part(self.signed.as_ref().map(|signed| signed.key.as_slice()));
        part(
            self.signed
                .as_ref()
                .map(|signed| signed.signature.as_slice()),
        );
        let mut out = [0; 32];
        out.copy_from_slice(context.finish().as_ref());
        out
    }

    /// The answer to a question for the name.
    pub fn to_json(&self) -> String {
        let mut out = String::with_capacity(2048);
        out.push_str("{\"name\":\"");
        // A name needs no escaping.
        out.push_str(self.name.as_str());
        out.push_str("\",\"addr\":\"0x");
        out.push_str(&self.addr.to_hex());
        out.push('"');
        if let Some(signed) = &self.signed {
            out.push_str(",\"publickey\":\"");
            STANDARD.encode_string(&signed.key, &mut out);
            out.push_str("\",\"signature\":\"");
            STANDARD.encode_string(&signed.signature, &mut out);
            out.push('"');
        }
        out.push('}');
        out
    }
}

/// How a key was written, so that databases keep its DER and can give back what came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyForm {
    /// As it is kept.
    Raw = 0,
    /// PEM of what is kept.
    Pem = 1,
    /// PEM and a NUL.
    PemNul = 2,
}

impl KeyForm {
    /// From the number in a database.
    pub fn from_number(number: i64) -> Option<Self> {
        match number {
            0 => Some(Self::Raw),
            1 => Some(Self::Pem),
            2 => Some(Self::PemNul),
            _ => None,
        }
    }

    /// The number for a database.
    pub fn number(self) -> i64 {
        match self {
            Self::Raw => 0,
            Self::Pem => 1,
            Self::PemNul => 2,
        }
    }
}

/// The shortest form of a key, and how it was written.
pub fn pack_key(key: &[u8]) -> (KeyForm, Vec<u8>) {
    let (form, text) = match key.split_last() {
        Some((0, text)) => (KeyForm::PemNul, text),
        _ => (KeyForm::Pem, key),
    };
    // Whether it is a key does not matter here: what gives the same text again is kept short.
    let der = text
        .strip_prefix(BEGIN.as_bytes())
        .and_then(|text| text.strip_suffix(END.as_bytes()))
        .and_then(|lines| {
            let body: Vec<u8> = lines
                .iter()
                .copied()
                .filter(|byte| *byte != b'\n')
                .collect();
            STANDARD.decode(body).ok()
        });
    match der {
        Some(der) if pem(&der) == text => (form, der),
        _ => (KeyForm::Raw, key.to_vec()),
    }
}

/// What [`pack_key`] was given.
pub fn unpack_key(form: KeyForm, kept: Vec<u8>) -> Vec<u8> {
    match form {
        KeyForm::Raw => kept,
        KeyForm::Pem => pem(&kept),
        KeyForm::PemNul => {
            let mut out = pem(&kept);
            out.push(0);
            out
        }
    }
}

fn pem(der: &[u8]) -> Vec<u8> {
    let body = STANDARD.encode(der);
    let room = body
        .len()
        .saturating_add(body.len() / COLUMNS)
        .saturating_add(64);
    let mut out = Vec::with_capacity(room);
    out.extend(BEGIN.as_bytes());
    for line in body.as_bytes().chunks(COLUMNS) {
        out.extend(line);
        out.push(b'\n');
    }
    out.extend(END.as_bytes());
    out
}

#[cfg(test)]
mod tests {
    use baraza_identity::testing;
    use proptest::prelude::*;

    use super::*;
    use crate::json::Found;

    fn record(name: &str) -> Record {
        let archive = testing::archive("alice");
        let name = Name::new(name).unwrap();
        let made = Registration::sign(&name, &archive.account_key, None).unwrap();
        Record::new(name, &made)
    }

    #[test]
    fn keys_are_given_back_as_they_came() {
        let record = record("alice");
        let pem = record.signed.as_ref().unwrap().key.clone();
        let (form, kept) = pack_key(&pem);
        assert_eq!(form, KeyForm::Pem);
        assert!(kept.len() < pem.len() * 3 / 4);
        assert_eq!(unpack_key(form, kept.clone()), pem);
        let nul = [pem.as_slice(), &[0]].concat();
        assert_eq!(pack_key(&nul).0, KeyForm::PemNul);
        for odd in [
            kept.clone(),
            [pem.as_slice(), &[0, 0]].concat(),
            [pem.as_slice(), b"\n"].concat(),
            Vec::new(),
        ] {
            let (form, kept) = pack_key(&odd);
            assert_eq!(form, KeyForm::Raw);
            assert_eq!(unpack_key(form, kept), odd);
        }
        assert_eq!(unpack_key(KeyForm::PemNul, kept), nul);
    }

    #[test]
    fn the_answer_is_what_clients_read_and_verify() {
        let record = record("alice");
        let found = Found::from_json(record.to_json().as_bytes())
            .unwrap()
            .unwrap();
        assert_eq!(found.verify(&LookupText::new("Alice").unwrap()), Ok(true));
        assert_eq!(found.to_json(), record.to_json());
        assert_eq!(record.verify(), Ok(true));
        let mut other = record.clone();
        other.name = Name::new("bob").unwrap();
        assert_eq!(other.verify(), Err(ProofError::Signature));
        assert_ne!(other.digest(), record.digest());
        other.signed = None;
        assert_eq!(other.verify(), Ok(false));
        assert_eq!(other.to_json().matches(':').count(), 2);
    }

    proptest! {
        #[test]
        fn any_key_is_given_back(key in proptest::collection::vec(any::<u8>(), 0..100)) {
            let (form, kept) = pack_key(&key);
            prop_assert_eq!(unpack_key(form, kept), key);
        }

        #[test]
        fn any_text_in_pem_is_given_back(body in "[A-Za-z0-9+/=\n]{0,200}", nul in any::<bool>()) {
            let end = if nul { "\0" } else { "" };
            let key = format!("{BEGIN}{body}{END}{end}").into_bytes();
            let (form, kept) = pack_key(&key);
            prop_assert_eq!(unpack_key(form, kept), key);
        }
    }
}

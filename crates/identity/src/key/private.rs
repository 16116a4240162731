use std::fmt;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::{self, SystemRandom};
use aws_lc_rs::rsa::{KeySize, Pkcs1PrivateDecryptingKey, PrivateDecryptingKey};
use aws_lc_rs::signature::{
    KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaEncoding, RsaKeyPair,
};
use zeroize::Zeroizing;

use super::{DecryptError, KeyError, PublicKey, SignatureScheme};
use crate::{encrypt, pem};

/// An RSA private key, shared by all clones and wiped when the last one goes.
#[derive(Clone)]
pub struct PrivateKey(Arc<Inner>);

struct Inner {
    pair: RsaKeyPair,
    public: PublicKey,
    decrypter: OnceLock<Option<Pkcs1PrivateDecryptingKey>>,
}

impl PrivateKey {
    /// Makes a key of 2048, 3072, 4096 or 8192 bits from the operating system's
    /// randomness. 4096 bits take a second or so: call it off the async threads.
    ///
    /// # Errors
    /// For other sizes, or if the library fails.
    pub fn generate_rsa(bits: u32) -> Result<Self, KeyError> {
        let size = match bits {
            2048 => KeySize::Rsa2048,
            3072 => KeySize::Rsa3072,
            4096 => KeySize::Rsa4096,
            8192 => KeySize::Rsa8192,
            bits => return Err(KeyError::Size { bits }),
        };
        Self::from_pair(RsaKeyPair::generate(size).map_err(|_| KeyError::Generate)?)
    }

    /// Reads PEM: PKCS#8 (`PRIVATE KEY`) or PKCS#1 (`RSA PRIVATE KEY`).
    ///
    /// # Errors
    /// If there is no key inside, or one that is encrypted, not RSA or of a size not used.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        for label in ["PRIVATE KEY", "RSA PRIVATE KEY"] {
            match pem::next(label, text.as_bytes()) {
                pem::Block::Found(der, _) => return Self::from_der(&der),
                pem::Block::Bad => return Err(KeyError::Malformed("damaged PEM")),
                pem::Block::None => {}
            }
        }
        Err(if text.contains("BEGIN ENCRYPTED PRIVATE KEY") {
            KeyError::Encrypted
        } else if text.contains("BEGIN EC PRIVATE KEY") {
            KeyError::Unsupported
        } else {
            KeyError::Malformed("no private key in the text")
        })
    }

    /// Reads DER, PKCS#8 or PKCS#1.
    ///
    /// # Errors
    /// If it is not an RSA private key of a size in use.
    pub fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        let pair = RsaKeyPair::from_pkcs8(der)
            .or_else(|_| RsaKeyPair::from_der(der))
            .map_err(|_| KeyError::Malformed("not an RSA private key of 2048 to 8192 bits"))?;
        Self::from_pair(pair)
    }

    fn from_pair(pair: RsaKeyPair) -> Result<Self, KeyError> {
        let spki: PublicKeyX509Der<'_> = pair
            .public_key()
            .as_der()
            .map_err(|_| KeyError::Malformed("no public key"))?;
        let public = PublicKey::from_spki_der(spki.as_ref())?;
        Ok(Self(Arc::new(Inner {
            pair,
            public,
            decrypter: OnceLock::new(),
        })))
    }

    /// PKCS#8 PEM, unencrypted, as the identity files and the archive hold it.
    pub fn to_pkcs8_pem(&self) -> Zeroizing<String> {
        pem::encode("PRIVATE KEY", &self.to_pkcs8_der())
    }

    /// PKCS#8 DER, unencrypted.
    pub fn to_pkcs8_der(&self) -> Zeroizing<Vec<u8>> {
        let der: Result<Pkcs8V1Der<'_>, _> = self.0.pair.as_der();
        // Marshalling a key that was parsed or generated only fails without memory.
        Zeroizing::new(der.map(|der| der.as_ref().to_vec()).unwrap_or_default())
    }

    /// The public half.
    pub fn public_key(&self) -> &PublicKey {
        &self.0.public
    }

    /// Signs with RSA PKCS#1 v1.5 and SHA-512 (docs/protocol/01-dht.md section 6.2).
    ///
    /// # Errors
    /// If the library fails.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.sign_with(SignatureScheme::RsaSha512, message)
    }

    pub(crate) fn sign_with(
        &self,
        scheme: SignatureScheme,
        message: &[u8],
    ) -> Result<Vec<u8>, KeyError> {
        let encoding: &'static dyn RsaEncoding = match scheme {
            SignatureScheme::RsaSha256 => &RSA_PKCS1_SHA256,
            SignatureScheme::RsaSha384 => &RSA_PKCS1_SHA384,
            SignatureScheme::RsaSha512 => &RSA_PKCS1_SHA512,
            SignatureScheme::EcdsaSha256
            | SignatureScheme::EcdsaSha384
            | SignatureScheme::EcdsaSha512 => return Err(KeyError::Unsupported),
        };
        let mut signature = vec![0; self.0.pair.public_modulus_len()];
        self.0
            .pair
            .sign(encoding, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| KeyError::Sign)?;
        Ok(signature)
    }

    /// Decrypts what [`PublicKey::encrypt`] made (docs/protocol/01-dht.md section 8.3).
    ///
    /// # Errors
    /// One error for every reason. A bad RSA block is not reported before the AES part was
    /// tried too, with a random key.
    pub fn decrypt(&self, data: &[u8]) -> Result<Vec<u8>, DecryptError> {
        let key = self.decrypter().ok_or(DecryptError)?;
        let (block, sealed) = data
            .split_at_checked(key.key_size_bytes())
            .ok_or(DecryptError)?;
        let mut buffer = Zeroizing::new(vec![0; key.min_output_size()]);
        let opened = key.decrypt(block, &mut buffer).ok();
        if sealed.is_empty() {
            return opened.map(|plain| plain.to_vec()).ok_or(DecryptError);
        }
        let mut decoy = Zeroizing::new([0; 32]);
        rand::fill(decoy.as_mut_slice()).map_err(|_| DecryptError)?;
        let aes: &[u8] = match &opened {
            Some(aes) if matches!(aes.len(), 16 | 24 | 32) => aes,
            _ => decoy.as_slice(),
        };
        encrypt::open(aes, sealed).map_err(|_| DecryptError)
    }

    fn decrypter(&self) -> Option<&Pkcs1PrivateDecryptingKey> {
        self.0
            .decrypter
            .get_or_init(|| {
                let key = PrivateDecryptingKey::from_pkcs8(&self.to_pkcs8_der()).ok()?;
                Pkcs1PrivateDecryptingKey::new(key).ok()
            })
            .as_ref()
    }
}

impl PartialEq for PrivateKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.public == other.0.public
    }
}

impl Eq for PrivateKey {}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey(of {})", self.0.public.long_id().short())
    }
}

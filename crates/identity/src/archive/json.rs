use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{Archive, ArchiveError, Contact, Conversation, Request};
use crate::certificate::{CertificateChain, ChainParseError};
use crate::crl::RevocationList;
use crate::eth::EthKey;
use crate::key::{KeyError, PrivateKey};

const ACCOUNT_CERT: &str = "ringAccountCert";
const ACCOUNT_KEY: &str = "ringAccountKey";
const CA_KEY: &str = "ringCaKey";
const CONTACTS: &str = "ringAccountContacts";
const CONVERSATIONS: &str = "conversations";
const CRL: &str = "ringAccountCRL";
const ETH_KEY: &str = "ethKey";
const HAS_PASSWORD: &str = "Account.archiveHasPassword";
const REQUESTS: &str = "conversationsRequests";

/// Entries an archive can do without.
const OPTIONAL: [&str; 3] = [CA_KEY, CRL, ETH_KEY];

/// Entries of one device or one machine, and the key material of the exporting device that
/// daemons of 2023 leak. Neither read nor written (docs/protocol/02-account.md section 4.1).
const NEVER: [&str; 17] = [
    "Account.archivePassword",
    "Account.archivePath",
    "Account.archivePIN",
    "Account.autoAnswer",
    "Account.deviceID",
    "Account.deviceName",
    "Account.dhtPort",
    "Account.dhtProxyListUrl",
    "Account.proxyEnabled",
    "Account.proxyPushToken",
    "Account.proxyServer",
    "Account.ringtonePath",
    "DHT.port",
    "TLS.certificateFile",
    "TLS.certificateListFile",
    "TLS.password",
    "TLS.privateKeyFile",
];

pub(super) fn read(json: &[u8]) -> Result<Archive, ArchiveError> {
    let mut object: Map<String, Value> =
        serde_json::from_slice(json).map_err(|error| ArchiveError::Json {
            line: error.line(),
            column: error.column(),
        })?;
    for name in NEVER {
        if let Some(Value::String(secret)) = object.remove(name) {
            drop(Zeroizing::new(secret));
        }
    }
    let account_key = take_bytes(&mut object, ACCOUNT_KEY).ok_or(ArchiveError::NoAccountKey)?;
    let account_key = private_key(&account_key)?;
    let chain = take_bytes(&mut object, ACCOUNT_CERT).ok_or(ChainParseError::Empty)?;
    let account_chain = CertificateChain::from_pem(&*chain)?;
    // What follows is worth having but not worth losing an account for: what does not
    // parse (an authority may have an elliptic curve key) stays among the unknown entries.
    let ca_key = take_parsed(&mut object, CA_KEY, |key| private_key(key).ok());
    let eth_key = take_parsed(&mut object, ETH_KEY, |key| EthKey::from_bytes(key).ok());
    let crl = take_parsed(&mut object, CRL, |crl| RevocationList::from_der(crl).ok());
    let mut archive = Archive {
        account_key,
        account_chain,
        ca_key,
        eth_key,
        crl,
        contacts: take_map(&mut object, CONTACTS, Contact::from_json),
        conversations: take_map(&mut object, CONVERSATIONS, Conversation::from_json),
        requests: take_map(&mut object, REQUESTS, Request::from_json),
        settings: BTreeMap::new(),
        unknown: BTreeMap::new(),
    };
    for (name, value) in object {
        match value {
            Value::String(value) if !OPTIONAL.contains(&name.as_str()) => {
                archive.settings.insert(name, value);
            }
            value => {
                archive.unknown.insert(name, value);
            }
        }
    }
    Ok(archive)
}

fn private_key(bytes: &[u8]) -> Result<PrivateKey, KeyError> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.contains("-----BEGIN") => PrivateKey::from_pem(text),
        _ => PrivateKey::from_der(bytes),
    }
}

fn take_bytes(object: &mut Map<String, Value>, name: &str) -> Option<Zeroizing<Vec<u8>>> {
    let Some(Value::String(text)) = object.remove(name) else {
        return None;
    };
    let text = Zeroizing::new(text);
    STANDARD.decode(text.trim()).ok().map(Zeroizing::new)
}

fn take_parsed<T>(
    object: &mut Map<String, Value>,
    name: &str,
    parse: impl Fn(&[u8]) -> Option<T>,
) -> Option<T> {
    let text = Zeroizing::new(object.get(name)?.as_str()?.to_owned());
    let bytes = Zeroizing::new(STANDARD.decode(text.trim()).ok()?);
    let parsed = parse(&bytes)?;
    take_bytes(object, name);
    Some(parsed)
}

fn take_map<K: std::str::FromStr + Ord, V>(
    object: &mut Map<String, Value>,
    name: &str,
    parse: impl Fn(Map<String, Value>) -> Option<V>,
) -> BTreeMap<K, V> {
    let Some(Value::Object(entries)) = object.remove(name) else {
        return BTreeMap::new();
    };
    entries
        .into_iter()
        .filter_map(|(key, value)| match value {
            Value::Object(value) => Some((key.parse().ok()?, parse(value)?)),
            _ => None,
        })
        .collect()
}

pub(super) fn write(archive: &Archive, has_password: bool) -> Zeroizing<Vec<u8>> {
    let mut writer = ObjectWriter::new();
    let mut plain: BTreeMap<&str, Value> = BTreeMap::new();
    for (name, value) in &archive.unknown {
        plain.insert(name, value.clone());
    }
    for (name, value) in &archive.settings {
        plain.insert(name, Value::String(value.clone()));
    }
    if let Some(value) = plain.get_mut(HAS_PASSWORD) {
        *value = Value::String(has_password.to_string());
    }
    for name in NEVER {
        plain.remove(name);
    }
    let chain = archive.account_chain.to_pem();
    plain.insert(ACCOUNT_CERT, STANDARD.encode(chain).into());
    if let Some(crl) = &archive.crl {
        plain.insert(CRL, STANDARD.encode(crl.der()).into());
    }
    insert_map(&mut plain, CONTACTS, &archive.contacts, Contact::to_json);
    insert_map(
        &mut plain,
        CONVERSATIONS,
        &archive.conversations,
        Conversation::to_json,
    );
    insert_map(&mut plain, REQUESTS, &archive.requests, Request::to_json);

    let mut secrets: BTreeMap<&str, Zeroizing<String>> = BTreeMap::new();
    let mut secret = |name, bytes: &[u8]| {
        plain.remove(name);
        secrets.insert(name, Zeroizing::new(STANDARD.encode(bytes)));
    };
    secret(ACCOUNT_KEY, archive.account_key.to_pkcs8_pem().as_bytes());
    if let Some(key) = &archive.ca_key {
        secret(CA_KEY, key.to_pkcs8_pem().as_bytes());
    }
    if let Some(key) = &archive.eth_key {
        secret(ETH_KEY, key.as_bytes());
    }
    // Both are sorted; merge them so that the whole is.
    let mut secrets = secrets.into_iter().peekable();
    for (name, value) in plain {
        while let Some((name, text)) = secrets.next_if(|(secret, _)| *secret < name) {
            writer.base64(name, &text);
        }
        writer.value(name, &value);
    }
    for (name, text) in secrets {
        writer.base64(name, &text);
    }
    writer.finish()
}

fn insert_map<'a, K: ToString, V>(
    plain: &mut BTreeMap<&'a str, Value>,
    name: &'a str,
    entries: &BTreeMap<K, V>,
    write: impl Fn(&V, &K) -> Map<String, Value>,
) {
    if entries.is_empty() {
        plain.remove(name);
        return;
    }
    let object: Map<String, Value> = entries
        .iter()
        .map(|(key, entry)| (key.to_string(), sorted(write(entry, key)).into()))
        .collect();
    plain.insert(name, object.into());
}

/// Sorts the keys, also of objects inside.
fn sorted(object: Map<String, Value>) -> Map<String, Value> {
    let sorted: BTreeMap<String, Value> = object
        .into_iter()
        .map(|(name, value)| match value {
            Value::Object(inner) => (name, sorted(inner).into()),
            value => (name, value),
        })
        .collect();
    sorted.into_iter().collect()
}

/// Writes one object member by member into memory that is wiped, without leaving copies of
/// secrets in a tree of values.
struct ObjectWriter(Zeroizing<Vec<u8>>);

impl ObjectWriter {
    /// Room for the keys, so that growing does not leave copies of them behind.
    const ROOM: usize = 64 * 1024;

    fn new() -> Self {
        let mut out = Zeroizing::new(Vec::with_capacity(Self::ROOM));
        out.push(b'{');
        Self(out)
    }

    fn name(&mut self, name: &str) {
        if self.0.len() > 1 {
            self.append(b",");
        }
        let name = Value::from(name).to_string();
        self.append(name.as_bytes());
        self.append(b":");
    }

    fn value(&mut self, name: &str, value: &Value) {
        self.name(name);
        self.append(value.to_string().as_bytes());
    }

    fn base64(&mut self, name: &str, text: &str) {
        self.name(name);
        self.append(b"\"");
        self.append(text.as_bytes());
        self.append(b"\"");
    }

    fn append(&mut self, bytes: &[u8]) {
        if self.0.capacity().saturating_sub(self.0.len()) < bytes.len() {
            let room = self.0.len().saturating_add(bytes.len()).saturating_mul(2);
            let mut larger = Zeroizing::new(Vec::with_capacity(room));
            larger.extend_from_slice(&self.0);
            self.0 = larger;
        }
        self.0.extend_from_slice(bytes);
    }

    fn finish(mut self) -> Zeroizing<Vec<u8>> {
        self.append(b"}");
        self.0
    }
}

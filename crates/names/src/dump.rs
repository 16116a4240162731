//! Names of the existing server (docs/protocol/03-nameserver.md section 7): the JSON that its
//! tools write and read. Either an object with a name as each key, or a list of objects with
//! a member `name`; in both, `addr`, `owner`, and perhaps `publickey` and `signature`.

use std::fmt;
use std::io::Read;

use baraza_wire::AccountId;
use serde::de::{self, Deserializer as _, MapAccess, SeqAccess, Visitor};

use crate::directory::{Record, Signed};
use crate::name::Name;
use crate::record::{Owner, Proof, parse_addr};

/// One entry of a dump as it is there.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct DumpEntry {
    /// The name, if it is not the key.
    #[serde(default)]
    pub name: Option<String>,
    /// The Jami ID.
    #[serde(default)]
    pub addr: String,
    /// The owner.
    #[serde(default)]
    pub owner: Option<String>,
    /// The public key in base64.
    #[serde(default)]
    pub publickey: Option<String>,
    /// The signature in base64.
    #[serde(default)]
    pub signature: Option<String>,
}

impl DumpEntry {
    /// The record it stands for, if that may be taken over: key and signature must be right;
    /// without them only if `unsigned` allows it.
    ///
    /// # Errors
    /// Why it is not taken over.
    pub fn record(&self, unsigned: bool) -> Result<Record, String> {
        let name = self.name.as_deref().ok_or("it has no name")?;
        let name = Name::new(name).map_err(|error| error.to_string())?;
        let addr: AccountId = parse_addr(self.addr.trim()).ok_or("its address is no Jami ID")?;
        let owner = self.owner.as_deref().and_then(Owner::parse);
        let filled = |text: &Option<String>| {
            let text = text
                .as_deref()
                .filter(|text| !text.is_empty() && *text != "0x");
            text.map(str::to_owned)
        };
        let signed = match (filled(&self.publickey), filled(&self.signature)) {
            (Some(key), Some(signature)) => {
                let proof =
                    Proof::from_base64(&key, &signature).map_err(|error| error.to_string())?;
                Some(Signed {
                    key: proof.key_bytes().to_vec(),
                    signature: proof.signature().to_vec(),
                })
            }
            (None, None) if unsigned => None,
            (None, None) => return Err("it is not signed".into()),
            _ => return Err("it has only one of key and signature".into()),
        };
        let record = Record {
            name,
            addr,
            owner,
            signed,
        };
        record.verify().map_err(|error| error.to_string())?;
        Ok(record)
    }
}

/// Reads a dump and hands on one entry after the other, until `each` says that it is enough.
///
/// # Errors
/// If it is no dump, or with what `each` says.
pub fn read(
    input: impl Read,
    each: &mut dyn FnMut(DumpEntry) -> Result<(), String>,
) -> Result<(), String> {
    let mut json = serde_json::Deserializer::from_reader(input);
    json.deserialize_any(Dump(each))
        .and_then(|()| json.end())
        .map_err(|error| error.to_string())
}

struct Dump<'a>(&'a mut dyn FnMut(DumpEntry) -> Result<(), String>);

impl<'de> Visitor<'de> for Dump<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of names, or a list of objects with a name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            let mut entry = map.next_value::<DumpEntry>()?;
            entry.name = Some(name);
            (self.0)(entry).map_err(de::Error::custom)?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(entry) = list.next_element::<DumpEntry>()? {
            (self.0)(entry).map_err(de::Error::custom)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str =
        include_str!("../../../testing/vectors/account-nameservice/register-body.json");

    fn all(text: &str) -> Result<Vec<DumpEntry>, String> {
        let mut out = Vec::new();
        read(text.as_bytes(), &mut |entry| {
            out.push(entry);
            Ok(())
        })?;
        Ok(out)
    }

    #[test]
    fn both_forms_of_a_dump_are_read_and_verified() {
        let body = BODY.trim_end();
        let object = format!(
            r#"{{"alicetest":{body},"bob":{{"addr":"0x7D730a03d9f5b3f8e5bcebf1409e89abcc9545a4","owner":"0x1"}}}}"#
        );
        let list = format!("[{}]", body.replacen('{', r#"{"name":"alicetest","#, 1));
        for (text, count) in [(object.as_str(), 2), (&list, 1)] {
            let entries = all(text).unwrap();
            assert_eq!(entries.len(), count);
            let record = entries[0].record(false).unwrap();
            assert_eq!(record.name.as_str(), "alicetest");
            assert_eq!(record.verify(), Ok(true));
        }
        let bob = &all(&object).unwrap()[1];
        assert_eq!(bob.record(false), Err("it is not signed".into()));
        let record = bob.record(true).unwrap();
        assert_eq!((record.owner, record.signed), (None, None));
        // The signature of another name.
        let other = object.replacen("alicetest", "mallory", 1);
        assert!(
            all(&other).unwrap()[0]
                .record(true)
                .unwrap_err()
                .contains("signature")
        );
        assert!(all("17").is_err());
        assert!(all("{} {}").is_err());
        assert!(
            read(object.as_bytes(), &mut |_| Err("enough".into()))
                .unwrap_err()
                .contains("enough")
        );
    }
}

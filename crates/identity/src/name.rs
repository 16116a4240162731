//! Distinguished names: common name and user id, one attribute each.

use baraza_wire::InfoHash;

use crate::der::{self, DerError, Item};

/// 2.5.4.3
const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];
/// 0.9.2342.19200300.100.1.1
const USER_ID: [u8; 10] = [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x01];

/// What is used of a name. Absent and unreadable attributes are `None`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Name {
    pub(crate) common_name: Option<String>,
    pub(crate) uid: Option<String>,
    /// The whole name: issuer and subject are compared as bytes.
    pub(crate) der: Vec<u8>,
}

/// Reads a Name. Of repeated attributes the first counts.
pub(crate) fn read(item: Item<'_>) -> Result<Name, DerError> {
    let mut name = Name {
        der: item.whole.to_vec(),
        ..Name::default()
    };
    let mut sets = item.open();
    while !sets.is_empty() {
        let mut set = sets.expect(der::SET, "name is not made of sets")?.open();
        while !set.is_empty() {
            let mut attribute = set
                .expect(der::SEQUENCE, "name attribute is not a sequence")?
                .open();
            let id = attribute.expect(der::OID, "name attribute has no id")?;
            let value = attribute.any()?;
            attribute.finish()?;
            let field = if id.content == COMMON_NAME {
                &mut name.common_name
            } else if id.content == USER_ID {
                &mut name.uid
            } else {
                continue;
            };
            if field.is_none() {
                *field = text(value);
            }
        }
    }
    Ok(name)
}

fn text(value: Item<'_>) -> Option<String> {
    match value.tag {
        der::UTF8_STRING | der::PRINTABLE_STRING | der::IA5_STRING => {
            String::from_utf8(value.content.to_vec()).ok()
        }
        _ => None,
    }
}

/// `CN=common_name, UID=uid` as PrintableStrings where the characters allow it.
pub(crate) fn write(common_name: &str, uid: InfoHash) -> Vec<u8> {
    let uid = uid.to_hex();
    der::write(
        der::SEQUENCE,
        &[
            &attribute(&COMMON_NAME, common_name),
            &attribute(&USER_ID, &uid),
        ],
    )
}

fn attribute(id: &[u8], value: &str) -> Vec<u8> {
    let printable =
        |character: char| character.is_ascii_alphanumeric() || " '()+,-./:=?".contains(character);
    let tag = if value.chars().all(printable) {
        der::PRINTABLE_STRING
    } else {
        der::UTF8_STRING
    };
    let id = der::write(der::OID, &[id]);
    let value = der::write(tag, &[value.as_bytes()]);
    let pair = der::write(der::SEQUENCE, &[&id, &value]);
    der::write(der::SET, &[&pair])
}

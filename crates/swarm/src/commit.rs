//! Commit objects, byte for byte as existing peers write them (docs/protocol/05-swarm.md
//! sections 3.1 to 3.4).

use baraza_identity::PrivateKey;
use baraza_identity::key::KeyError;
use baraza_wire::{CommitId, DeviceId};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use gix::ObjectId;

use crate::refusal::Rule;
use crate::upload_pack::object_id;

/// Most bytes of an author's name that are written.
pub const MAX_NAME: usize = 256;
/// The first second of the year 10000: no commit is from then.
const MAX_TIME: u64 = 253_402_300_800;
/// Longest base64 of a signature that is looked at: that of RSA-16384.
const MAX_SIGNATURE: usize = 4096;

/// The parts of a commit as its bytes say them; nothing is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed<'a> {
    /// The tree.
    pub tree: ObjectId,
    /// At most two.
    pub parents: Vec<CommitId>,
    /// The author's name, as written.
    pub name: &'a [u8],
    /// The author's device.
    pub device: DeviceId,
    /// Seconds since 1970.
    pub time: u64,
    /// The message.
    pub message: &'a [u8],
    /// The base64 of the signature, if there is one.
    pub signature: Option<&'a [u8]>,
    /// What was signed: everything before and after the signature's line.
    signed: (&'a [u8], &'a [u8]),
}

/// Which rule the bytes break, and how.
pub type Broken = (Rule, String);

pub(crate) fn broken<T>(rule: Rule, text: impl Into<String>) -> Result<T, Broken> {
    Err((rule, text.into()))
}

impl<'a> Parsed<'a> {
    /// Reads a commit object. Strict: there are no headers but those of section 3.1, in
    /// their order.
    ///
    /// # Errors
    /// What is wrong with the form.
    pub fn new(data: &'a [u8]) -> Result<Self, Broken> {
        let mut rest = data;
        let Some(tree) = take_id(&mut rest, b"tree ") else {
            return broken(Rule::Format, "no tree");
        };
        let mut parents = Vec::new();
        while let Some(parent) = take_id(&mut rest, b"parent ") {
            if parents.len() >= 2 {
                return broken(Rule::Format, "more than two parents");
            }
            parents.extend(CommitId::from_slice(parent.as_bytes()));
        }
        let Some(author) = take_line(&mut rest, b"author ") else {
            return broken(Rule::Format, "no author");
        };
        let Some(committer) = take_line(&mut rest, b"committer ") else {
            return broken(Rule::Format, "no committer");
        };
        if author != committer {
            return broken(Rule::Author, "author and committer differ");
        }
        let (name, device, time) = person(author)?;
        let before = data.len().saturating_sub(rest.len());
        let signature = take_line(&mut rest, b"signature ");
        let Some(message) = rest.strip_prefix(b"\n") else {
            return broken(Rule::Format, "a header that commits do not have");
        };
        let signed = (data.get(..before).unwrap_or_default(), rest);
        Ok(Self {
            tree,
            parents,
            name,
            device,
            time,
            message,
            signature,
            signed,
        })
    }

    /// The bytes that were signed, and the signature.
    ///
    /// # Errors
    /// If there is no signature, or it is not base64.
    pub fn signed(&self) -> Result<(Vec<u8>, Vec<u8>), Broken> {
        let Some(text) = self.signature else {
            return broken(Rule::Signature, "not signed");
        };
        if text.len() > MAX_SIGNATURE {
            return broken(Rule::Signature, "the signature is too long");
        }
        let signature = BASE64
            .decode(text)
            .map_err(|_| (Rule::Signature, "the signature is not base64".to_owned()))?;
        Ok(([self.signed.0, self.signed.1].concat(), signature))
    }
}

/// `name <device> seconds zone`
fn person(line: &[u8]) -> Result<(&[u8], DeviceId, u64), Broken> {
    let parts = || {
        let open = line.iter().position(|byte| *byte == b'<')?;
        let (name, rest) = line.split_at_checked(open)?;
        let name = name.strip_suffix(b" ").unwrap_or(name);
        let (device, rest) = rest.strip_prefix(b"<")?.split_at_checked(64)?;
        let rest = std::str::from_utf8(rest.strip_prefix(b"> ")?).ok()?;
        let (seconds, zone) = rest.split_once(' ')?;
        let digits = zone.strip_prefix(['+', '-'])?;
        let zone_good = digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_digit());
        let time_good = seconds.bytes().all(|digit| digit.is_ascii_digit());
        let name_good = !name.iter().any(|byte| matches!(byte, b'>' | 0));
        let device: DeviceId = lower_hex(device)?;
        let time = seconds.parse().ok().filter(|time| *time < MAX_TIME)?;
        (zone_good && time_good && name_good).then_some((name, device, time))
    };
    parts().ok_or_else(|| (Rule::Author, "the author is no device at a time".to_owned()))
}

/// An id of lower-case digits: it is compared with names of files, of which there must be
/// only one spelling.
pub(crate) fn lower_hex<T: std::str::FromStr>(text: &[u8]) -> Option<T> {
    if text.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The rest of the next line if it begins with `key`.
fn take_line<'a>(rest: &mut &'a [u8], key: &[u8]) -> Option<&'a [u8]> {
    let line = rest.strip_prefix(key)?;
    let end = line.iter().position(|byte| *byte == b'\n')?;
    let (line, after) = line.split_at_checked(end)?;
    *rest = after.strip_prefix(b"\n")?;
    Some(line)
}

fn take_id(rest: &mut &[u8], key: &[u8]) -> Option<ObjectId> {
    let mut after = *rest;
    let line = take_line(&mut after, key)?;
    let id: CommitId = lower_hex(line)?;
    *rest = after;
    Some(object_id(&id))
}

/// A commit to be written.
#[derive(Debug, Clone, Copy)]
pub struct Draft<'a> {
    /// The tree.
    pub tree: ObjectId,
    /// None, one or two.
    pub parents: &'a [CommitId],
    /// The display name; may be anything.
    pub name: &'a str,
    /// The own device.
    pub device: DeviceId,
    /// Seconds since 1970.
    pub time: u64,
    /// The message.
    pub message: &'a [u8],
}

impl Draft<'_> {
    /// What is signed.
    pub fn unsigned(&self) -> Vec<u8> {
        let mut text = self.headers();
        text.push(b'\n');
        text.extend_from_slice(self.message);
        text
    }

    /// The commit object, signed with the device's key. The same draft always gives the
    /// same bytes.
    ///
    /// # Errors
    /// If the key fails.
    pub fn sign(&self, key: &PrivateKey) -> Result<Vec<u8>, KeyError> {
        let signature = BASE64.encode(key.sign(&self.unsigned())?);
        let mut object = self.headers();
        object.extend_from_slice(b"signature ");
        object.extend_from_slice(signature.as_bytes());
        object.extend_from_slice(b"\n\n");
        object.extend_from_slice(self.message);
        Ok(object)
    }

    fn headers(&self) -> Vec<u8> {
        let mut text = format!("tree {}\n", self.tree);
        for parent in self.parents {
            text.push_str(&format!("parent {parent}\n"));
        }
        let device = self.device;
        let mut name = clean_name(self.name);
        if name.is_empty() {
            name = device.to_hex();
        }
        let person = format!("{name} <{device}> {} +0000\n", self.time);
        text.push_str(&format!("author {person}committer {person}"));
        text.into_bytes()
    }
}

/// The message of a merge commit.
pub fn merge_message(second_parent: &CommitId) -> String {
    format!("Merge commit '{second_parent}'")
}

/// A name as libgit2 lets it into a commit: nothing that ends the name, and no blanks or
/// punctuation around it.
fn clean_name(name: &str) -> String {
    let mut clean = String::new();
    for letter in name.chars().filter(|letter| !matches!(letter, '<' | '>')) {
        let letter = if letter.is_control() { ' ' } else { letter };
        if clean.len().saturating_add(letter.len_utf8()) > MAX_NAME {
            break;
        }
        clean.push(letter);
    }
    let crud =
        |letter: char| letter <= ' ' || matches!(letter, '.' | ',' | ':' | ';' | '"' | '\\' | '\'');
    clean.trim_matches(crud).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: &str = "ca5d467d7d79d1c23c7899bb64d1e8921ae4eb826993f570c74fd577d744d5e1";

    fn draft<'a>(name: &'a str, parents: &'a [CommitId]) -> Draft<'a> {
        Draft {
            tree: ObjectId::Sha1([7; 20]),
            parents,
            name,
            device: DEVICE.parse().unwrap(),
            time: 1_675_700_000,
            message: br#"{"body":"x","type":"text/plain"}"#,
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let key = baraza_identity::testing::identity("alice").key().clone();
        let parents = [CommitId::new([1; 20]), CommitId::new([2; 20])];
        for count in 0..=2 {
            let draft = draft("Ali ce", &parents[..count]);
            let object = draft.sign(&key).unwrap();
            assert_eq!(object, draft.sign(&key).unwrap(), "deterministic");
            let read = Parsed::new(&object).unwrap();
            assert_eq!(read.tree, draft.tree);
            assert_eq!(read.parents, draft.parents);
            assert_eq!(read.name, b"Ali ce");
            assert_eq!((read.device, read.time), (draft.device, draft.time));
            assert_eq!(read.message, draft.message);
            let (payload, signature) = read.signed().unwrap();
            assert_eq!(payload, draft.unsigned());
            key.public_key().verify(&payload, &signature).unwrap();
        }
    }

    #[test]
    fn names_are_cleaned_as_libgit2_does() {
        for (name, clean) in [
            ("alice", "alice"),
            ("  <al>ice. ", "alice"),
            ("a\nb", "a b"),
            ("\"O'Hara\"", "O'Hara"),
            ("...", ""),
            ("ünï", "ünï"),
        ] {
            assert_eq!(clean_name(name), clean);
        }
        assert_eq!(clean_name(&"é".repeat(1000)).len(), MAX_NAME);
        let empty = draft(" ; ", &[]).unsigned();
        let text = String::from_utf8(empty).unwrap();
        assert!(text.contains(&format!("author {DEVICE} <{DEVICE}> 1675700000 +0000\n")));
    }

    #[test]
    fn other_forms_are_refused_by_rule() {
        let good = String::from_utf8(draft("a", &[]).unsigned()).unwrap();
        let rule = |text: String| Parsed::new(text.as_bytes()).map(|_| ()).unwrap_err().0;
        assert!(Parsed::new(good.as_bytes()).unwrap().signed().is_err());
        let replaced = |from: &str, to: &str| rule(good.replace(from, to));
        assert_eq!(replaced("tree ", "tre "), Rule::Format);
        assert_eq!(replaced("committer a", "committer b"), Rule::Author);
        assert_eq!(replaced("+0000", "+000"), Rule::Author);
        assert_eq!(replaced("1675700000", "-1"), Rule::Author);
        assert_eq!(replaced("1675700000", "253402300800"), Rule::Author);
        assert_eq!(replaced(DEVICE, &DEVICE.to_uppercase()), Rule::Author);
        assert_eq!(replaced(DEVICE, "a@b"), Rule::Author);
        assert_eq!(replaced("\n\n", "\nencoding UTF-8\n\n"), Rule::Format);
        assert_eq!(
            replaced("\n\n", "\nsignature a\nsignature b\n\n"),
            Rule::Format
        );
        assert_eq!(replaced("\n\n", "\nsignature a\n b\n\n"), Rule::Format);
        let parent = format!("parent {}\n", CommitId::new([1; 20]));
        assert_eq!(
            replaced("author", &(parent.repeat(3) + "author")),
            Rule::Format
        );
    }

    proptest::proptest! {
        #[test]
        fn any_name_and_message_read_back(name: String, message: Vec<u8>) {
            let draft = Draft { message: &message, ..draft(&name, &[]) };
            let object = draft.unsigned();
            let read = Parsed::new(&object).unwrap();
            proptest::prop_assert_eq!(read.message, message.as_slice());
            proptest::prop_assert!(!read.name.is_empty());
        }
    }
}

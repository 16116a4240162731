//! Profiles as vCards (docs/protocol/02-account.md section 8 and 06 section 7): a name and
//! a picture; everything else is skipped.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

use super::trust_request;

/// Longest vCard that is read.
pub const MAX_LEN: usize = 8 * 1024 * 1024;
/// Longest name that is kept, in bytes.
pub const MAX_NAME: usize = 1024;

/// Format of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PhotoKind {
    /// JPEG.
    Jpeg,
    /// PNG.
    Png,
}

/// A picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Photo {
    /// What it claims to be.
    pub kind: PhotoKind,
    /// The bytes of the file.
    pub bytes: Vec<u8>,
}

/// What a vCard says about somebody.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Profile {
    /// Name to show; may be empty.
    pub name: String,
    /// Picture.
    pub photo: Option<Photo>,
}

/// Why bytes are not a vCard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VcardError {
    /// It does not begin like one.
    #[error("not a vCard")]
    NotOne,
    /// Longer than [`MAX_LEN`].
    #[error("vCard is too long")]
    TooLong,
}

impl Profile {
    /// Reads a vCard of any version and with any line ends. A picture that cannot be read
    /// is left out.
    ///
    /// # Errors
    /// If it is not a vCard.
    pub fn parse(bytes: &[u8]) -> Result<Self, VcardError> {
        if bytes.len() > MAX_LEN {
            return Err(VcardError::TooLong);
        }
        let text = String::from_utf8_lossy(bytes);
        let text = text.trim_start_matches('\u{feff}').trim_start();
        if !text
            .get(..11)
            .is_some_and(|start| start.eq_ignore_ascii_case("BEGIN:VCARD"))
        {
            return Err(VcardError::NotOne);
        }
        let mut profile = Self::default();
        for line in unfold(text) {
            let Some((property, value)) = line.split_once(':') else {
                continue;
            };
            let mut parameters = property.split(';');
            let name = parameters.next().unwrap_or_default();
            if name.eq_ignore_ascii_case("FN") && profile.name.is_empty() {
                profile.name = clean_name(value);
            } else if name.eq_ignore_ascii_case("PHOTO") && profile.photo.is_none() {
                profile.photo = photo(parameters, value);
            }
        }
        Ok(profile)
    }

    /// Writes a vCard 2.1 with LF, as existing peers read it best.
    pub fn write(&self) -> String {
        let name = clean_name(&self.name);
        let mut text = format!("BEGIN:VCARD\nVERSION:2.1\nFN:{name}\n");
        if let Some(photo) = &self.photo {
            let kind = match photo.kind {
                PhotoKind::Jpeg => "JPEG",
                PhotoKind::Png => "PNG",
            };
            let base64 = STANDARD.encode(&photo.bytes);
            text.push_str(&format!("PHOTO;ENCODING=BASE64;TYPE={kind}:{base64}\n"));
        }
        text.push_str("END:VCARD");
        text
    }

    /// The vCard for a contact request: without the picture if it would be too long.
    pub fn payload(&self) -> Vec<u8> {
        let whole = self.write();
        if whole.len() < trust_request::MAX_PAYLOAD {
            return whole.into_bytes();
        }
        let named = Self {
            name: self.name.clone(),
            photo: None,
        };
        named.write().into_bytes()
    }
}

/// Lines, with those that go on (a blank begins the next) joined.
fn unfold(text: &str) -> impl Iterator<Item = String> {
    let mut lines = text.split(['\r', '\n']).filter(|line| !line.is_empty());
    let mut next = lines.next();
    std::iter::from_fn(move || {
        let mut line = next.take()?.to_owned();
        for more in lines.by_ref() {
            match more.strip_prefix([' ', '\t']) {
                Some(rest) => line.push_str(rest),
                None => {
                    next = Some(more);
                    break;
                }
            }
        }
        Some(line)
    })
}

/// On one line and not too long.
pub(crate) fn clean_name(name: &str) -> String {
    let mut clean = String::new();
    for char in name.chars().filter(|char| !char.is_control()) {
        if clean.len().saturating_add(char.len_utf8()) > MAX_NAME {
            break;
        }
        clean.push(char);
    }
    clean.trim().to_owned()
}

fn photo<'a>(parameters: impl Iterator<Item = &'a str>, value: &str) -> Option<Photo> {
    let mut kind = None;
    for parameter in parameters {
        let (_, named) = parameter.split_once('=').unwrap_or(("", parameter));
        kind = kind.or(photo_kind(named));
    }
    // Version 4: a `data:` URI.
    let base64 = match value.trim().strip_prefix("data:") {
        Some(uri) => {
            let (media, base64) = uri.split_once(";base64,")?;
            kind = kind.or(photo_kind(media.strip_prefix("image/")?));
            base64
        }
        None => value.trim(),
    };
    let bytes = STANDARD.decode(base64).ok()?;
    let guessed = match &*bytes {
        [0xff, 0xd8, ..] => PhotoKind::Jpeg,
        _ => PhotoKind::Png,
    };
    (!bytes.is_empty()).then(|| Photo {
        kind: kind.unwrap_or(guessed),
        bytes,
    })
}

fn photo_kind(name: &str) -> Option<PhotoKind> {
    if name.eq_ignore_ascii_case("png") {
        Some(PhotoKind::Png)
    } else if name.eq_ignore_ascii_case("jpeg") || name.eq_ignore_ascii_case("jpg") {
        Some(PhotoKind::Jpeg)
    } else {
        None
    }
}

#[cfg(test)]
mod tests;

//! `config.yml` of an account: flat YAML, as yaml-cpp writes it. Only that is understood.

use std::collections::BTreeMap;

use baraza_identity::Receipt;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Longest file.
const MAX_LEN: usize = 1 << 20;
/// Most settings.
const MAX_KEYS: usize = 1000;

/// What `config.yml` says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config(BTreeMap<String, String>);

impl Config {
    /// Reads the settings at the outermost level that have one value. What is not understood
    /// is left out.
    pub fn parse(bytes: &[u8]) -> Self {
        let bytes = bytes.get(..MAX_LEN).unwrap_or(bytes);
        let text = String::from_utf8_lossy(bytes);
        let mut settings = BTreeMap::new();
        for line in text
            .lines()
            .filter(|line| !line.starts_with([' ', '\t', '#', '-']))
        {
            let Some((key, value)) = line.split_once(':') else {
                continue;
            };
            // A value that is a map begins on the next line.
            if let Some(value) = scalar(value.trim())
                && settings.len() < MAX_KEYS
            {
                settings.insert(key.trim().to_owned(), value);
            }
        }
        Self(settings)
    }

    /// A setting.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// The account's word for this device.
    pub fn receipt(&self) -> Option<Receipt> {
        let signature = STANDARD
            .decode(self.get("ringAccountReceiptSignature")?)
            .ok()?;
        Receipt::parse(self.get("ringAccountReceipt")?, &signature).ok()
    }
}

/// One value: plain, in quotes, or bytes in base64, which stay in base64.
fn scalar(text: &str) -> Option<String> {
    let text = text.strip_prefix("!!binary").map_or(text, str::trim_start);
    match text.as_bytes().first()? {
        // The escapes of JSON, and those of YAML that are written by the writer in question.
        b'"' => serde_json::from_str(text).ok(),
        b'\'' => {
            let inside = text.strip_prefix('\'')?.strip_suffix('\'')?;
            Some(inside.replace("''", "'"))
        }
        b'|' | b'>' | b'&' | b'*' | b'{' | b'[' | b'!' => None,
        _ => Some(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_however_they_are_quoted() {
        let config = Config::parse(
            b"alias: dave\ndisplayName: \"Da\\\"ve \\u00e9\"\nhostname: 10.99.0.1:4222\nempty: \"\"\n\
              it: 'isn''t'\ntls:\n  certificate: ring_device.crt\nsig: !!binary \"QUJD\"\n# no: thing\n",
        );
        assert_eq!(config.get("displayName"), Some("Da\"ve \u{e9}"));
        assert_eq!(config.get("hostname"), Some("10.99.0.1:4222"));
        assert_eq!(config.get("empty"), Some(""));
        assert_eq!(config.get("it"), Some("isn't"));
        assert_eq!(config.get("sig"), Some("QUJD"));
        assert_eq!(config.get("certificate"), None);
        assert_eq!(config.get("tls"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_do_not_panic(bytes: Vec<u8>) {
            let _ = Config::parse(&bytes).receipt();
        }
    }
}

//! The token that the user carries from the new device to the one that has the account.

use std::fmt;
use std::str::FromStr;

use baraza_wire::{DeviceId, Rng};
use thiserror::Error;

const PREFIX: &str = "jami-auth://";
/// Digits of a code.
const CODE_LEN: usize = 6;
const CODES: std::ops::Range<u64> = 100_000..1_000_000;
const CHANNEL: &str = "auth:";

/// The temporary device, and the code with which it is asked.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkToken {
    device: DeviceId,
    code: String,
}

/// Text that is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not the token of a new device: it looks like jami-auth://64 digits/6 digits")]
pub struct TokenError;

impl LinkToken {
    /// A token with a random code.
    pub fn new(device: DeviceId, rng: &mut Rng) -> Self {
        let code = rng.range(CODES).to_string();
        Self { device, code }
    }

    /// The temporary device.
    pub fn device(&self) -> DeviceId {
        self.device
    }

    /// What the temporary device is asked for.
    pub fn channel_name(&self) -> String {
        format!("{CHANNEL}{}", self.code)
    }
}

impl FromStr for LinkToken {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let rest = text.trim().strip_prefix(PREFIX).ok_or(TokenError)?;
        let (device, rest) = rest.split_once('/').ok_or(TokenError)?;
        // What comes behind a further slash is left to later versions.
        let code = rest.split_once('/').map_or(rest, |parts| parts.0);
        let digits = code.len() == CODE_LEN && code.bytes().all(|byte| byte.is_ascii_digit());
        if !digits {
            return Err(TokenError);
        }
        Ok(Self {
            device: device.parse().map_err(|_not_an_id| TokenError)?,
            code: code.to_owned(),
        })
    }
}

impl fmt::Display for LinkToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}/{}", self.device, self.code)
    }
}

impl fmt::Debug for LinkToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinkToken({})", self.device.short())
    }
}

#[cfg(test)]
mod tests {
    use baraza_wire::Rng;
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::*;

    #[test]
    fn tokens_are_read_as_they_are_written() {
        let token = LinkToken::new(DeviceId::new([0xab; 32]), &mut Rng::from_seed(1));
        let text = token.to_string();
        assert_eq!(text.len(), 12 + 64 + 1 + 6);
        assert_eq!(text.parse(), Ok(token.clone()));
        assert_eq!(format!(" {text}/more\n").parse(), Ok(token.clone()));
        assert_eq!(token.channel_name(), format!("auth:{}", &text[77..]));
        let id = "ab".repeat(32);
        for bad in [
            String::new(),
            format!("jami-auth://{id}"),
            format!("jami-auth://{id}/12345"),
            format!("jami-auth://{id}/1234567"),
            format!("jami-auth://{id}/12345a"),
            format!("jami-auth://{}/123456", &id[1..]),
            format!("jami-auth://{}g/123456", &id[1..]),
            format!("http://{id}/123456"),
        ] {
            assert_eq!(bad.parse::<LinkToken>(), Err(TokenError), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_token_or_not(text in ".{0,100}") {
            if let Ok(token) = text.parse::<LinkToken>() {
                prop_assert_eq!(token.to_string().parse::<LinkToken>(), Ok(token));
            }
        }
    }
}

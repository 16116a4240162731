//! Signatures of what is sent, after the Standard Webhooks specification (version 1).

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What secrets begin with.
const SECRET_PREFIX: &str = "whsec_";

/// A secret as its receiver gets it.
pub(super) fn secret_text(secret: &[u8; 32]) -> String {
    format!("{SECRET_PREFIX}{}", STANDARD.encode(secret))
}

/// The signature of a message: HMAC-SHA-256 of its id, its time and its body.
pub(super) fn signature(secret: &[u8; 32], message: &str, seconds: u64, body: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let mut context = hmac::Context::with_key(&key);
    for part in [message, ".", &seconds.to_string(), ".", body] {
        context.update(part.as_bytes());
    }
    format!("v1,{}", STANDARD.encode(context.sign()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Python's `hmac.new(b"\x07" * 32, b"h-1.1674087231.{}", "sha256")` says.
    #[test]
    fn signatures_are_those_of_other_programs() {
        let made = signature(&[7; 32], "h-1", 1_674_087_231, "{}");
        assert_eq!(made, "v1,eel5pmNw7bYbCmuWYyWhM9eDKsNFloZv0okXdcMcRCU=");
        let text = secret_text(&[7; 32]);
        assert_eq!(text, "whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=");
    }
}

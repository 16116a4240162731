//! Write tokens (docs/protocol/01-dht.md section 4.1): proof that whoever stores, listens or
//! refreshes can receive at its address.

use std::net::{IpAddr, SocketAddr};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Context, SHA256};
use baraza_wire::Rng;

/// Length of our tokens.
pub(crate) const TOKEN_LEN: usize = 32;

/// The secrets from which tokens are made: the current one and the one before.
#[derive(Clone)]
pub(crate) struct Tokens {
    secret: [u8; 16],
    previous: [u8; 16],
}

impl Tokens {
    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self {
            secret: rng.bytes(),
            previous: rng.bytes(),
        }
    }

    /// Makes tokens older than the last call void.
    pub(crate) fn rotate(&mut self, rng: &mut Rng) {
        self.previous = self.secret;
        self.secret = rng.bytes();
    }

    /// A token for the address and port.
    pub(crate) fn issue(&self, to: SocketAddr) -> [u8; TOKEN_LEN] {
        make(&self.secret, to)
    }

    /// Whether we issued the token to this address and port, lately enough.
    pub(crate) fn check(&self, token: &[u8], from: SocketAddr) -> bool {
        token.len() == TOKEN_LEN
            && [&self.secret, &self.previous]
                .iter()
                .any(|secret| verify_slices_are_equal(&make(secret, from), token).is_ok())
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens")
    }
}

fn make(secret: &[u8; 16], to: SocketAddr) -> [u8; TOKEN_LEN] {
    let mut hash = Context::new(&SHA256);
    hash.update(secret);
    match to.ip() {
        IpAddr::V4(ip) => hash.update(&ip.octets()),
        IpAddr::V6(ip) => hash.update(&ip.octets()),
    }
    hash.update(&to.port().to_be_bytes());
    hash.finish().as_ref().try_into().unwrap_or([0; TOKEN_LEN])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_holds_for_one_address_and_two_periods() {
        let mut rng = Rng::from_seed(1);
        let mut tokens = Tokens::new(&mut rng);
        let address: SocketAddr = "192.0.2.1:4222".parse().unwrap();
        let token = tokens.issue(address);
        assert!(tokens.check(&token, address));
        assert!(!tokens.check(&token, "192.0.2.1:4223".parse().unwrap()));
        assert!(!tokens.check(&token, "192.0.2.2:4222".parse().unwrap()));
        assert!(!tokens.check(&token[..31], address));
        assert!(!tokens.check(&[], address));
        tokens.rotate(&mut rng);
        assert!(tokens.check(&token, address));
        tokens.rotate(&mut rng);
        assert!(!tokens.check(&token, address));
    }
}

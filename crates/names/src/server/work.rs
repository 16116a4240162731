//! Proof of work: who registers has to have calculated for a while.
//!
//! The header [`HEADER`] holds any text of at most 64 characters so that
//! SHA-256("baraza names work 1\n" NAME "\n" ID "\n" TEXT), with the ID in lower case,
//! begins with so many zero bits. It is bound to name and ID, so it is of use for nothing else.

use aws_lc_rs::digest::{Context, SHA256};
use baraza_wire::AccountId;

use crate::name::Name;

/// The header of a request.
pub const HEADER: &str = "x-baraza-work";
/// The header of a refusal that says how many bits are wanted.
pub const BITS_HEADER: &str = "x-baraza-work-bits";
/// Longest text in it.
const MAX_TEXT: usize = 64;

/// How many zero bits the hash of this text begins with.
pub fn bits(name: &Name, addr: AccountId, text: &str) -> u32 {
    if text.len() > MAX_TEXT {
        return 0;
    }
    let mut context = Context::new(&SHA256);
    for part in ["baraza names work 1", name.as_str(), &addr.to_hex()] {
        context.update(part.as_bytes());
        context.update(b"\n");
    }
    context.update(text.as_bytes());
    let mut zeros = 0u32;
    for byte in context.finish().as_ref() {
        zeros = zeros.saturating_add(byte.leading_zeros());
        if *byte != 0 {
            break;
        }
    }
    zeros
}

/// Looks for a text with so many bits: half a million hashes for 20 of them.
pub fn find(name: &Name, addr: AccountId, wanted: u32) -> String {
    (0u64..)
        .map(|number| number.to_string())
        .find(|text| bits(name, addr, text) >= wanted)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_bound_to_name_and_id() {
        let (name, addr) = (Name::new("alice").unwrap(), AccountId::new([3; 20]));
        let text = find(&name, addr, 12);
        assert!(bits(&name, addr, &text) >= 12);
        let others = (0..4).filter(|number| {
            let mut id = [3; 20];
            id[19] = 4 + number;
            bits(&name, AccountId::new(id), &text) >= 12
        });
        assert!(others.count() < 4);
        assert_eq!(bits(&name, addr, &"0".repeat(65)), 0);
    }
}

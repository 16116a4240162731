//! PEM as GnuTLS writes it: 64 columns, LF, no headers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Columns of base64 per line.
const COLUMNS: usize = 64;

/// Armours `der`.
pub(crate) fn encode(label: &str, der: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(STANDARD.encode(der));
    let room = body
        .len()
        .saturating_add(body.len() / COLUMNS)
        .saturating_add(label.len().saturating_mul(2))
        .saturating_add(40);
    // Reserved up front: growing would leave copies of a secret behind.
    let mut out = Zeroizing::new(String::with_capacity(room));
    out.push_str("-----BEGIN ");
    out.push_str(label);
    out.push_str("-----\n");
    for (index, character) in body.chars().enumerate() {
        if index > 0 && index % COLUMNS == 0 {
            out.push('\n');
        }
        out.push(character);
    }
    out.push_str("\n-----END ");
    out.push_str(label);
    out.push_str("-----\n");
    out
}

/// What a search for the next armoured block found.
pub(crate) enum Block<'a> {
    /// No further begin line.
    None,
    /// A begin line without a proper block behind it.
    Bad,
    /// The decoded content, and the input behind the block.
    Found(Zeroizing<Vec<u8>>, &'a [u8]),
}

/// Finds the next block with `label`, wherever in `bytes` it begins: certificate values of
/// the DHT have a msgpack header right in front of the armour.
pub(crate) fn next<'a>(label: &str, bytes: &'a [u8]) -> Block<'a> {
    let begin = format!("-----BEGIN {label}-----");
    let end = format!("-----END {label}-----");
    let Some(inside) = find(bytes, begin.as_bytes()) else {
        return Block::None;
    };
    let inside = inside.1;
    let Some((body, rest)) = find(inside, end.as_bytes()) else {
        return Block::Bad;
    };
    let text: Zeroizing<Vec<u8>> = Zeroizing::new(
        body.iter()
            .copied()
            .filter(|byte| !byte.is_ascii_whitespace())
            .collect(),
    );
    match STANDARD.decode(text.as_slice()) {
        Ok(der) => Block::Found(Zeroizing::new(der), rest),
        Err(_) => Block::Bad,
    }
}

/// Splits `bytes` around the first occurrence of `needle`.
fn find<'a>(bytes: &'a [u8], needle: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes
        .windows(needle.len())
        .position(|window| window == needle)?;
    let (before, rest) = bytes.split_at_checked(at)?;
    Some((before, rest.get(needle.len()..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn armour_has_64_columns_and_reads_back_after_junk() {
        let der: Vec<u8> = (0..=255).collect();
        let pem = encode("THING", &der);
        assert!(pem.lines().all(|line| line.len() <= 64));
        assert_eq!(pem.lines().nth(1).unwrap().len(), 64);
        let junk = [b"\xc5\x16\x00".as_slice(), pem.as_bytes(), b"tail"].concat();
        let Block::Found(found, rest) = next("THING", &junk) else {
            panic!("not found");
        };
        assert_eq!(*found, der);
        assert_eq!(rest, b"\ntail");
    }

    #[test]
    fn exactly_one_line_has_no_empty_line_after_it() {
        let pem = encode("X", &[0; 48]);
        assert_eq!(pem.lines().count(), 3);
    }

    #[test]
    fn damaged_armour_is_refused() {
        assert!(matches!(next("X", b"-----BEGIN X-----\nAAAA"), Block::Bad));
        assert!(matches!(
            next("X", b"-----BEGIN X-----\n!!\n-----END X-----"),
            Block::Bad
        ));
        assert!(matches!(next("X", b"nothing"), Block::None));
    }
}

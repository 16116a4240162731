/// A file of `testing/vectors`.
pub(super) fn vector(name: &str) -> Vec<u8> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testing/vectors/");
    std::fs::read(format!("{root}{name}")).unwrap_or_else(|e| panic!("{name}: {e}"))
}

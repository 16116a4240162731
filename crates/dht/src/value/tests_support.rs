use serde_json::Value as Json;

/// A file of `testing/vectors`.
pub(crate) fn vectors(name: &str) -> Json {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testing/vectors/");
    serde_json::from_slice(&std::fs::read(format!("{root}{name}")).unwrap()).unwrap()
}

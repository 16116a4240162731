//! SHA3-512.

use std::fmt::{self, Write as _};

/// A SHA3-512 being calculated.
#[derive(Clone)]
pub(crate) struct Digest(aws_lc_rs::digest::Context);

impl Digest {
    /// Of nothing so far.
    pub(crate) fn new() -> Self {
        Self(aws_lc_rs::digest::Context::new(
            &aws_lc_rs::digest::SHA3_512,
        ))
    }

    /// Of these bytes, too.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// In lower hex.
    pub(crate) fn finish(self) -> String {
        let digest = self.0.finish();
        digest.as_ref().iter().fold(String::new(), |mut hex, byte| {
            // Writing to a string cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digest").finish_non_exhaustive()
    }
}

//! SHA3-512.

use std::fmt::{self, Write as _};

use aws_lc_rs::digest::{Context, SHA3_512};

/// A SHA3-512 being calculated.
#[derive(Clone)]
pub(crate) struct Digest(Context);

impl Digest {
    /// Of nothing so far.
    pub(crate) fn new() -> Self {
        Self(Context::new(&SHA3_512))
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

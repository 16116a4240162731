//! SHA3-512.

use std::fmt::{self, Write as _};

use aws_lc_rs::digest::{Context, SHA3_512};

#[cfg(target_arch = "x86_64")]
use super::keccak::Sha3;

/// A SHA3-512 being calculated.
#[derive(Clone)]
pub(crate) struct Digest(By);

#[derive(Clone)]
enum By {
    /// By the library.
    Library(Context),
    /// By ourselves, where that is faster.
    #[cfg(target_arch = "x86_64")]
    Own(Box<Sha3>),
}

impl Digest {
    /// Of nothing so far.
    pub(crate) fn new() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(own) = Sha3::new() {
            return Self(By::Own(Box::new(own)));
        }
        Self(By::Library(Context::new(&SHA3_512)))
    }

    /// Of these bytes, too.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            By::Library(context) => context.update(bytes),
            #[cfg(target_arch = "x86_64")]
            By::Own(own) => own.update(bytes),
        }
    }

    /// In lower hex.
    pub(crate) fn finish(self) -> String {
        match self.0 {
            By::Library(context) => hex(context.finish().as_ref()),
            #[cfg(target_arch = "x86_64")]
            By::Own(own) => hex(&own.finish()),
        }
    }
}

fn hex(digest: &[u8]) -> String {
    digest.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Digest").finish_non_exhaustive()
    }
}

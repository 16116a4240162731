//! SHA3-512 (FIPS 202).
//!
//! Files are as fast as this is. Where the CPU has AVX-512VL the code of CRYPTOGAMS for it
//! (crate `keccak-asm`) does about 9 % more than that of aws-lc, which is used everywhere else.

use std::fmt::{self, Write as _};

use aws_lc_rs::digest::{Context, SHA3_512};

/// A SHA3-512 being calculated.
#[derive(Clone)]
pub(crate) struct Digest(Code);

#[derive(Clone)]
enum Code {
    Portable(Context),
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    Avx512(Box<keccak_asm::Sha3_512>),
}

impl Digest {
    /// Of nothing so far.
    pub(crate) fn new() -> Self {
        #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
        if avx512() {
            use keccak_asm::Digest as _;
            return Self(Code::Avx512(Box::new(keccak_asm::Sha3_512::new())));
        }
        Self(Code::Portable(Context::new(&SHA3_512)))
    }

    /// Of these bytes, too.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Code::Portable(context) => context.update(bytes),
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Code::Avx512(state) => keccak_asm::Digest::update(&mut **state, bytes),
        }
    }

    /// In lower hex.
    pub(crate) fn finish(self) -> String {
        match self.0 {
            Code::Portable(context) => hex(context.finish().as_ref()),
            #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
            Code::Avx512(state) => hex(&keccak_asm::Digest::finalize(*state)),
        }
    }
}

/// Whether the CPU has what the code asks for. Not on Zen 5 (the first with both features
/// below), whose integer units are faster; `keccak-asm` chooses so, too.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn avx512() -> bool {
    use std::arch::is_x86_feature_detected as has;
    let zen5 = has!("avx512vp2intersect") && has!("avxvnni");
    has!("avx512f") && has!("avx512vl") && !zen5
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

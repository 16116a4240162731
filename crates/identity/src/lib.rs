//! Keys, certificates, chains, revocation lists and the account archive

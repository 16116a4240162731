//! OpenDHT-compatible distributed hash table node

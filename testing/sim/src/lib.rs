//! A simulated network: virtual clock, links, faults

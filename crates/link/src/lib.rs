//! Byte channels between devices: offers, ICE over TCP, TLS 1.3, multiplexing

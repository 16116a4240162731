//! HTTP and WebSocket API of the personal node

//! Asking name servers: what is sent, what an answer means, and which answers are not believed.
//!
//! [`address`] reads what people type, [`ask`] makes requests and judges answers; both do no
//! I/O. [`http`] carries them, and [`post`] messages to addresses that users chose.

pub mod address;
pub mod ask;
mod date;
pub mod http;
pub mod post;

pub use address::{DEFAULT_SERVER, Query, QueryError, ServerUrl, ServerUrlError};
pub use ask::{Answer, Ask, Failure, Outcome, Question, Unreachable};
pub use http::HttpClient;

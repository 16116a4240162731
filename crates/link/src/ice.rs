//! ICE over TCP (docs/protocol/04-connection.md sections 3 to 6), without I/O.

mod agent;
mod candidate;

pub use agent::{Agent, AgentConfig, AgentOutput, IceError};
pub use candidate::{
    Candidate, CandidateKind, Credentials, Description, DescriptionError, Gathered,
    MAX_LOCAL_ADDRESSES, MAX_REMOTE, TcpType, is_dialable, is_offerable,
};

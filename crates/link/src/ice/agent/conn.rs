//! The connections of a negotiation and the addresses that are dialled.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;

use crate::framing::Deframer;
use crate::ice::candidate::CandidateKind;
use crate::stun::TransactionId;

/// A passive candidate of the other side.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) address: SocketAddr,
    pub(super) kind: CandidateKind,
    pub(super) state: TargetState,
    pub(super) retries: u8,
}

/// Where dialling a target stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TargetState {
    /// To be dialled then.
    Waiting(Instant),
    /// There is a connection, made or not yet.
    Dialled,
    /// It failed.
    Over,
}

impl Target {
    pub(super) fn new(address: SocketAddr, kind: CandidateKind) -> Self {
        Self {
            address,
            kind,
            state: TargetState::Over,
            retries: 0,
        }
    }

    /// Whether it may still become a valid pair.
    pub(super) fn is_pending(&self) -> bool {
        !matches!(self.state, TargetState::Over)
    }
}

/// A check that waits for its response.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) transaction: TransactionId,
    /// The request, for repeating it.
    pub(super) bytes: Bytes,
    pub(super) nominating: bool,
    /// The role it was sent in.
    pub(super) controlling: bool,
    pub(super) started: Instant,
    pub(super) repeat: Option<Instant>,
}

/// A TCP connection of the negotiation.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) remote: SocketAddr,
    /// The target it was dialled for; accepted ones have none.
    pub(super) target: Option<usize>,
    /// What the other end is.
    pub(super) kind: CandidateKind,
    /// Whether it is made.
    pub(super) open: bool,
    /// When it was dialled, made or accepted.
    pub(super) since: Instant,
    pub(super) deframer: Deframer,
    /// Whether the peer has shown to know a password.
    pub(super) proven: bool,
    /// Whether a check of ours succeeded.
    pub(super) valid: bool,
    pub(super) peer_nominated: bool,
    pub(super) check: Option<Check>,
    /// Data that came before the connection was selected.
    pub(super) early: VecDeque<Bytes>,
    pub(super) early_len: usize,
}

impl Conn {
    pub(super) fn dialled(now: Instant, target: &Target, index: usize) -> Self {
        Self {
            target: Some(index),
            kind: target.kind,
            open: false,
            ..Self::accepted(now, target.address)
        }
    }

    pub(super) fn accepted(now: Instant, remote: SocketAddr) -> Self {
        Self {
            remote,
            target: None,
            // They came straight to a port of ours.
            kind: CandidateKind::Host,
            open: true,
            since: now,
            deframer: Deframer::default(),
            proven: false,
            valid: false,
            peer_nominated: false,
            check: None,
            early: VecDeque::new(),
            early_len: 0,
        }
    }
}

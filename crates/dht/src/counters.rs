//! What a node counts.

/// What a node did and dropped since it started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Datagrams received.
    pub received: u64,
    /// Datagrams sent.
    pub sent: u64,
    /// Requests served.
    pub served: u64,
    /// Values stored for others.
    pub stored: u64,
    /// Dropped: the source cannot be a peer.
    pub martian: u64,
    /// Dropped: the source is blacklisted.
    pub blacklisted: u64,
    /// Dropped: not a packet.
    pub malformed: u64,
    /// Dropped: of another network.
    pub other_network: u64,
    /// Dropped: no sender id, or our own.
    pub no_id: u64,
    /// Dropped: too many requests.
    pub rate_limited: u64,
    /// Dropped: an answer to nothing we asked, or from elsewhere.
    pub unsolicited: u64,
    /// Dropped: a fragment, or the start of a message in fragments, that nobody waits for.
    pub fragments: u64,
    /// Not sent: an answer too large for a stranger.
    pub unproven: u64,
    /// Refused: incomplete requests.
    pub incomplete: u64,
    /// Refused: requests with a token that is not valid for the sender.
    pub bad_tokens: u64,
    /// Not stored: values that the rules refuse, that are past, or that found no room.
    pub refused_values: u64,
    /// Not stored: values that others are nearer to.
    pub too_far: u64,
    /// Not read: values that are not values.
    pub bad_values: u64,
    /// Requests that nobody answered.
    pub unanswered: u64,
}

impl Counters {
    /// Adds one.
    pub(crate) fn count(counter: &mut u64) {
        *counter = counter.wrapping_add(1);
    }
}

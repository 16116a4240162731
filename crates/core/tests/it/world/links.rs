//! The links between hosts, as the link layer would make them.

use super::*;

impl World {
    pub(super) fn lose_links(&mut self, host: usize, after: Duration) {
        self.lose_some_links(host, after, |_| true);
    }

    pub(super) fn lose_some_links(
        &mut self,
        host: usize,
        after: Duration,
        to: impl Fn(usize) -> bool,
    ) {
        let gone: Vec<(usize, usize)> = self
            .links
            .iter()
            .copied()
            .filter(|(a, b)| (*a == host && to(*b)) || (*b == host && to(*a)))
            .collect();
        for (a, b) in gone {
            self.links.remove(&(a, b));
            for (one, other) in [(a, b), (b, a)] {
                let ends: Vec<ChannelId> = self
                    .channels
                    .iter()
                    .filter(|((at, _), end)| *at == one && end.host == other)
                    .map(|((_, channel), _)| *channel)
                    .collect();
                for channel in ends {
                    let end = self.channels.remove(&(one, channel)).unwrap();
                    let event = if end.open || channel.is_incoming() {
                        LinkEvent::Closed { channel }
                    } else {
                        LinkEvent::Failed {
                            channel,
                            reason: FailReason::LinkLost,
                        }
                    };
                    self.send(one, after, Input::Death { other, event });
                }
                let device = self.hosts[other].keys.identity.device_id();
                let reason = DownReason::Lost;
                let event = LinkEvent::LinkDown { device, reason };
                self.send(one, after, Input::Death { other, event });
            }
        }
    }

    /// A new link is there: what is left of the old one ends now.
    pub(super) fn bury(&mut self, host: usize, other: usize) {
        let late = |(to, _, input): &(usize, u64, Input)| {
            *to == host && matches!(input, Input::Death { other: of, .. } if *of == other)
        };
        let keys: Vec<_> = self
            .queue
            .iter()
            .filter(|(_, entry)| late(entry))
            .map(|(key, _)| *key)
            .collect();
        for key in keys {
            if let Some((_, life, Input::Death { event, .. })) = self.queue.remove(&key)
                && self.hosts[host].life == life
            {
                self.send(host, Duration::ZERO, Input::Link(event));
            }
        }
    }

    pub(super) fn no_answer(&mut self, from: usize, channel: ChannelId) {
        if self.channels.remove(&(from, channel)).is_some() {
            let reason = FailReason::NoAnswer;
            let failed = LinkEvent::Failed { channel, reason };
            self.send(from, Duration::from_secs(5), Input::Link(failed));
        }
    }

    pub(super) fn peer(&self, host: usize) -> Peer {
        let identity = &self.hosts[host].keys.identity;
        Peer {
            device: identity.device_id(),
            account: identity.account_id(),
            chain: identity.chain().clone(),
        }
    }

    pub(super) fn asked(&mut self, host: usize, from: usize, channel: ChannelId, name: String) {
        let pair = (host.min(from), host.max(from));
        if self.hosts[host].cut || self.hosts[from].cut || self.apart.contains(&pair) {
            return self.no_answer(from, channel);
        }
        if !self.channels.contains_key(&(from, channel)) {
            return;
        }
        if self.links.insert(pair) {
            for (one, other) in [(host, from), (from, host)] {
                self.bury(one, other);
                let peer = self.peer(other);
                self.send(one, Duration::ZERO, Input::Link(LinkEvent::LinkUp { peer }));
            }
        }
        let new = name.starts_with("msg:") || name.starts_with("swarm:");
        if self.hosts[host].old && new || self.hosts[host].new && name == "sip" {
            self.channels.remove(&(from, channel));
            let reason = FailReason::Declined;
            let failed = LinkEvent::Failed { channel, reason };
            self.send(from, LATENCY, Input::Link(failed));
            return;
        }
        self.hosts[host].next_channel += 1;
        let incoming = ChannelId::incoming(self.hosts[host].next_channel);
        self.channels.insert(
            (host, incoming),
            End {
                host: from,
                channel,
                name: name.clone(),
                open: false,
            },
        );
        self.channels.get_mut(&(from, channel)).unwrap().channel = incoming;
        let peer = self.peer(from);
        let requested = LinkEvent::Requested {
            channel: incoming,
            peer,
            name,
        };
        self.send(host, Duration::ZERO, Input::Link(requested));
    }

    pub(super) fn link(&mut self, host: usize, command: baraza_link::Command) {
        use baraza_link::Command as Link;
        match command {
            Link::Open {
                channel,
                device,
                name,
                reason: _,
            } => {
                let to = self
                    .hosts
                    .iter()
                    .position(|it| it.keys.identity.device_id() == device);
                let up = to.filter(|to| self.hosts[*to].account.is_some());
                let Some(to) = up.filter(|_| !self.hosts[host].cut) else {
                    let reason = FailReason::NoAnswer;
                    let failed = LinkEvent::Failed { channel, reason };
                    return self.send(host, Duration::from_secs(5), Input::Link(failed));
                };
                self.channels.insert(
                    (host, channel),
                    End {
                        host: to,
                        channel: ChannelId(0),
                        name: name.clone(),
                        open: false,
                    },
                );
                // Over the DHT and ICE it takes some time, over a link none.
                let linked = self.links.contains(&(host.min(to), host.max(to)));
                let pause = if linked { LATENCY } else { 20 * LATENCY };
                let ask = Input::Ask {
                    from: host,
                    channel,
                    name,
                };
                self.send(to, pause, ask);
            }
            Link::Accept { channel } => {
                let Some(end) = self.channels.get_mut(&(host, channel)) else {
                    return;
                };
                end.open = true;
                self.accepted.push((host, end.name.clone()));
                let (other, theirs) = (end.host, end.channel);
                if let Some(end) = self.channels.get_mut(&(other, theirs)) {
                    end.open = true;
                    let peer = self.peer(host);
                    let opened = LinkEvent::Opened {
                        channel: theirs,
                        peer,
                    };
                    self.send(other, LATENCY, Input::Link(opened));
                }
            }
            Link::Decline { channel } => {
                if let Some(end) = self.channels.remove(&(host, channel))
                    && self.channels.remove(&(end.host, end.channel)).is_some()
                {
                    let reason = FailReason::Declined;
                    let failed = LinkEvent::Failed {
                        channel: end.channel,
                        reason,
                    };
                    self.send(end.host, LATENCY, Input::Link(failed));
                }
            }
            Link::Write { channel, bytes } => {
                self.writes += 1;
                self.bytes += bytes.len();
                let Some(end) = self.channels.get(&(host, channel)) else {
                    return;
                };
                assert!(end.open, "a write on a channel that is not open");
                let (other, theirs) = (end.host, end.channel);
                let file = end.name.starts_with("data-transfer://");
                let mut bytes = bytes;
                if file {
                    if end.name.contains("/profile") {
                        self.profile_bytes += bytes.len() as u64;
                    } else {
                        self.file_bytes += bytes.len() as u64;
                    }
                    if self.hosts[host].lies {
                        bytes = bytes.iter().map(|byte| !byte).collect();
                    }
                }
                let instant = end.name.starts_with("msg:") || end.name == "sip";
                let git = end.name.starts_with("git://");
                let pushed = file && end.name.contains("/profile.vcf");
                let sent = LinkEvent::Sent {
                    channel,
                    bytes: bytes.len(),
                };
                self.send(host, LATENCY, Input::Link(sent));
                if instant && self.swallow > 0 && self.rng.one_in(self.swallow) {
                    return;
                }
                let lost = instant && self.hosts[host].mute || pushed && self.hosts[host].unseen;
                if lost || git && self.hosts[other].stuck {
                    return;
                }
                let data = LinkEvent::Data {
                    channel: theirs,
                    bytes,
                };
                self.send(other, LATENCY, Input::Link(data));
            }
            Link::Close { channel } => {
                if let Some(end) = self.channels.remove(&(host, channel))
                    && self.channels.remove(&(end.host, end.channel)).is_some()
                {
                    if channel.is_incoming() && end.name.starts_with("git://") {
                        self.unserved += 1;
                    }
                    let closed = LinkEvent::Closed {
                        channel: end.channel,
                    };
                    self.send(end.host, LATENCY, Input::Link(closed));
                }
            }
            Link::CloseAccount { .. } | Link::CloseAll => self.lose_links(host, LATENCY),
            Link::CloseDevice { device } => {
                let to = self.hosts.iter();
                let to = to.map(|it| it.keys.identity.device_id());
                if let Some(to) = to.into_iter().position(|id| id == device) {
                    self.lose_some_links(host, LATENCY, |other| other == to);
                }
            }
            _ => {}
        }
    }

    /// A host asks another for a channel, whatever it may ask for; whether it gets it.
    pub(crate) fn knock(&mut self, from: usize, to: usize, name: &str) -> bool {
        self.hosts[from].next_channel += 1;
        // Not one that its account would choose.
        let channel = ChannelId((1 << 40) + self.hosts[from].next_channel);
        let end = End {
            host: to,
            channel: ChannelId(0),
            name: name.to_owned(),
            open: false,
        };
        self.channels.insert((from, channel), end);
        let before = self.accepted.len();
        let ask = Input::Ask {
            from,
            channel,
            name: name.to_owned(),
        };
        self.send(to, LATENCY, ask);
        self.run(20 * LATENCY);
        let accepted = &self.accepted[before..];
        accepted.iter().any(|(by, what)| *by == to && what == name)
    }

    /// Lets a host that is down have written something to a conversation that its program
    /// would not have.
    pub(crate) fn forge(
        &mut self,
        host: usize,
        chat: ConversationId,
        message: baraza_swarm::Message,
    ) -> CommitId {
        let it = &self.hosts[host];
        assert!(it.account.is_none());
        let mut repository = baraza_swarm::Repository::open(&it.conversation(chat)).unwrap();
        let author = baraza_swarm::Author {
            identity: &it.keys.identity,
            name: it.name,
        };
        let commits = repository.commit_batch(author, &[message], self.now.unix);
        commits.unwrap()[0]
    }
}

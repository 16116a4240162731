//! This machine becomes a device of an account that another device brings it: a temporary
//! identity with links of its own, and [`NewDevice`] on them. Nothing of it is written down.

use std::sync::{Arc, Weak};
use std::time::Duration;

use baraza_dht::driver::ClientHandle;
use baraza_dht::{Event as DhtEvent, OpId, certificate_value};
use baraza_identity::account::temporary_identity;
use baraza_identity::{Archive, DeviceIdentity, Password};
use baraza_link::driver::LinkHandle;
use baraza_link::{Command as LinkCommand, Event as LinkEvent};
use baraza_wire::Rng;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::engine::start_links;
use super::{Inner, Node, NodeError, lock, now};
use crate::event::LocalId;
use crate::link_device::{
    Action, LINK_TIMEOUT, LinkError, LinkState, LinkStatus, LinkToken, NewDevice,
};

/// How long a token is shown to which nobody comes.
const TOKEN_LIFETIME: Duration = Duration::from_secs(900);
/// How long the certificate may take to be stored before the token is shown all the same.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(20);
/// What the user says and the session has not heard yet.
const QUEUE: usize = 4;

/// What the user says.
#[derive(Debug)]
enum Said {
    Confirm(Password),
    Cancel,
}

/// A linking under way, or the last one. Dropped, it is given up.
#[derive(Debug)]
pub(super) struct NewLink {
    status: watch::Receiver<LinkStatus>,
    said: mpsc::Sender<Said>,
}

impl Node {
    /// Begins to become a device of an account that another device has. There is one such
    /// linking at a time; [`Self::new_link`] tells how far it is.
    ///
    /// # Errors
    /// If there is one already.
    pub fn link_here(
        &self,
        display_name: String,
    ) -> Result<watch::Receiver<LinkStatus>, NodeError> {
        let mut new_link = lock(&self.inner.new_link);
        let running = new_link.as_ref().map(|link| link.status.borrow().is_done());
        if running == Some(false) {
            return Err(NodeError::LinkRunning);
        }
        let (told, status) = watch::channel(LinkStatus::new(LinkState::Init));
        let (said, heard) = mpsc::channel(QUEUE);
        *new_link = Some(NewLink {
            status: status.clone(),
            said,
        });
        let session = Session {
            node: Arc::downgrade(&self.inner),
            told,
            heard,
        };
        tokio::spawn(session.run(display_name));
        Ok(status)
    }

    /// How far the linking of this machine is; `None` if none was begun.
    pub fn new_link(&self) -> Option<watch::Receiver<LinkStatus>> {
        let new_link = lock(&self.inner.new_link);
        new_link.as_ref().map(|link| link.status.clone())
    }

    /// Says that this machine shall become a device of the account shown, which has this
    /// password (an empty one is none).
    ///
    /// # Errors
    /// If that is not asked now.
    pub async fn confirm_new_link(&self, password: Password) -> Result<(), NodeError> {
        let asks = |status: &LinkStatus| status.state == LinkState::Authenticating;
        self.say(Said::Confirm(password), asks).await
    }

    /// Gives the linking of this machine up.
    ///
    /// # Errors
    /// If there is none.
    pub async fn cancel_new_link(&self) -> Result<(), NodeError> {
        self.say(Said::Cancel, |status| !status.is_done()).await
    }

    async fn say(&self, what: Said, when: fn(&LinkStatus) -> bool) -> Result<(), NodeError> {
        let said = {
            let new_link = lock(&self.inner.new_link);
            let link = new_link.as_ref().filter(|link| when(&link.status.borrow()));
            link.map(|link| link.said.clone())
                .ok_or(NodeError::NoLink)?
        };
        said.send(what).await.map_err(|_| NodeError::NoLink)
    }

    /// How far the linking of another device to an account is, and news of it.
    ///
    /// # Errors
    /// If there is no such account, or it does not run.
    pub fn link_status(
        &self,
        account: LocalId,
    ) -> Result<watch::Receiver<Option<LinkStatus>>, NodeError> {
        let engines = lock(&self.inner.engines);
        let running = engines.get(&account).ok_or(NodeError::NoSuchAccount)?;
        let engine = running.engine.as_ref().ok_or(NodeError::Stopped)?;
        Ok(engine.linking())
    }
}

struct Session {
    node: Weak<Inner>,
    told: watch::Sender<LinkStatus>,
    heard: mpsc::Receiver<Said>,
}

/// What a session has of the network.
struct Network {
    links: LinkHandle,
    events: mpsc::Receiver<LinkEvent>,
    /// Keeps the certificate on the DHT.
    _dht: ClientHandle,
}

impl Session {
    async fn run(mut self, display_name: String) {
        let end = tokio::select! {
            started = self.start() => started,
            () = cancelled(&mut self.heard) => Err(LinkError::Canceled),
        };
        match end {
            Ok((identity, network)) => {
                let token = LinkToken::new(identity.device_id(), &mut Rng::from_os());
                self.link(NewDevice::new(token), network, display_name)
                    .await;
            }
            Err(error) => self.told.send_modify(|status| {
                status.state = LinkState::Done;
                status.error = Some(error);
                status.revision = status.revision.wrapping_add(1);
            }),
        }
    }

    /// Makes the temporary identity, and lets others find it.
    fn start(&self) -> impl Future<Output = Result<(DeviceIdentity, Network), LinkError>> + use<> {
        let node = self.node.clone();
        async move {
            let made = tokio::task::spawn_blocking(|| temporary_identity(now().unix, &mut |_| {}));
            let identity = made.await.ok().and_then(Result::ok);
            let identity = identity.ok_or(LinkError::Unknown)?;
            let inner = node.upgrade().ok_or(LinkError::Canceled)?;
            let node = Node { inner };
            let network = |_: NodeError| LinkError::Network;
            let (dht, mut dht_events) = node.connected().await.map_err(network)?;
            let started = start_links(&node.inner, identity.clone(), Vec::new()).await;
            let (links, events) = started.map_err(network)?;
            drop(node);
            for (op, key) in (0..).zip(certificate_value::keys(identity.public_key())) {
                let put = baraza_dht::Command::Put {
                    op: OpId(op),
                    key,
                    value: certificate_value::build(identity.chain()),
                    permanent: true,
                };
                dht.send(put).await.map_err(|_| LinkError::Network)?;
            }
            // Who has the token looks for it at once.
            let stored = async {
                while let Some(event) = dht_events.recv().await {
                    if matches!(event, DhtEvent::Done { .. }) {
                        break;
                    }
                }
            };
            let _later = timeout(PUBLISH_TIMEOUT, stored).await;
            tokio::spawn(async move { while dht_events.recv().await.is_some() {} });
            let network = Network {
                links,
                events,
                _dht: dht,
            };
            Ok((identity, network))
        }
    }

    /// Runs the machine to its end.
    async fn link(mut self, mut machine: NewDevice, mut network: Network, display_name: String) {
        let mut channel = None;
        let mut deadline = after(TOKEN_LIFETIME);
        self.told.send_replace(machine.status().clone());
        loop {
            while let Some(action) = machine.poll_action() {
                match (action, channel) {
                    (Action::Write(bytes), Some(channel)) => {
                        network.links.send(LinkCommand::Write { channel, bytes });
                    }
                    (Action::Close, Some(channel)) => {
                        network.links.send(LinkCommand::Close { channel });
                    }
                    (Action::Take(archive, password), _) => {
                        let name = display_name.clone();
                        let added = self.add(*archive, password, name).await;
                        machine.added(added);
                    }
                    (Action::Told, _) => {
                        self.told.send_replace(machine.status().clone());
                    }
                    _ => {}
                }
            }
            if machine.status().is_done() {
                break;
            }
            tokio::select! {
                event = network.events.recv() => match event {
                    Some(LinkEvent::Requested { channel: asked, peer, name }) => {
                        if machine.requested(&name, peer.account) {
                            channel = Some(asked);
                            deadline = after(LINK_TIMEOUT);
                            network.links.send(LinkCommand::Accept { channel: asked });
                        } else {
                            network.links.send(LinkCommand::Decline { channel: asked });
                        }
                    }
                    Some(LinkEvent::Data { channel: on, bytes }) if Some(on) == channel => {
                        let length = bytes.len();
                        network.links.send(LinkCommand::Consumed { channel: on, bytes: length });
                        machine.data(&bytes);
                    }
                    Some(LinkEvent::Sent { channel: on, bytes }) if Some(on) == channel => {
                        machine.sent(bytes);
                    }
                    Some(LinkEvent::Closed { channel: on }) if Some(on) == channel => {
                        machine.closed();
                    }
                    Some(_) => {}
                    None => machine.timeout(),
                },
                said = self.heard.recv() => match said {
                    Some(Said::Confirm(password)) => {
                        machine.confirm(password);
                    }
                    Some(Said::Cancel) | None => {
                        machine.cancel();
                    }
                },
                () = sleep_until(deadline) => machine.timeout(),
            }
        }
        // The links, the certificate and the keys end with this.
    }

    async fn add(
        &self,
        archive: Archive,
        password: Option<Password>,
        display_name: String,
    ) -> Option<LocalId> {
        let node = Node {
            inner: self.node.upgrade()?,
        };
        let added = node.add_device(archive, password, display_name, |_| {});
        match added.await {
            Ok(account) => Some(account),
            Err(error) => {
                tracing::warn!(%error, "the account that was linked cannot be added");
                None
            }
        }
    }
}

async fn cancelled(heard: &mut mpsc::Receiver<Said>) {
    // Nothing else can be said yet.
    let _ = heard.recv().await;
}

fn after(pause: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(pause).unwrap_or(now)
}

//! Linking a device with a PIN over the DHT, as devices of 2023 do
//! (docs/protocol/02-account.md section 10.1): the account's archive lies encrypted where
//! only who has the PIN finds it, for ten minutes.

use std::time::Duration;

use baraza_dht::driver::ClientHandle;
use baraza_dht::{Event, OpError, OpId, Query, Status, Value};
use baraza_identity::pin::{PIN_WINDOW, Pin, PinExchange};
use baraza_identity::{Archive, Password};
use baraza_wire::{Rng, UnixTime};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::create::archive_error;
use super::{Node, NodeError, now};
use crate::event::LocalId;

/// How long what lies under a PIN is kept by the DHT: the lifetime of values of type 0.
pub const PIN_LIFETIME: Duration = Duration::from_secs(600);
/// Type of the value, of which nodes know no more than that.
const PIN_VALUE_TYPE: u16 = 0;
/// Longest wait for a node of the DHT.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest wait for one operation of the DHT.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(60);
/// Events that may wait while keys are derived.
const QUEUE: usize = 256;
/// Most values tried. Anybody may put some there, but each has to be stored by nodes.
const MAX_TRIED: usize = 4096;

/// What the user of the device that has the account is shown.
#[derive(Debug, Clone)]
pub struct PinOffer {
    /// To be typed on the new device.
    pub pin: Pin,
    /// When it is of no use any more.
    pub expires: UnixTime,
    /// Whether the new device asks for the account's password, too. Without one, the PIN
    /// is all that keeps the account.
    pub has_password: bool,
}

impl Node {
    /// Puts the account on the DHT, for a new device that is given the PIN.
    ///
    /// # Errors
    /// If there is no such account, the password is wrong, the account is too large for
    /// this way, or no node of the DHT takes it.
    pub async fn export_pin(
        &self,
        account: LocalId,
        password: Option<Password>,
    ) -> Result<PinOffer, NodeError> {
        let secret = password.clone();
        let (pin, place, sealed) = self
            .with_current_archive(account, password, move |archive| {
                let mut rng = Rng::from_os();
                let pin = Pin::generate(&mut rng);
                let place = exchange(&pin, secret.as_ref(), now().unix)?;
                let sealed = place.seal(&archive, &mut rng).map_err(archive_error)?;
                Ok((pin, place, sealed))
            })
            .await?;
        let (client, mut events) = self.connected().await?;
        let put = baraza_dht::Command::Put {
            op: OpId(0),
            key: place.location(),
            value: Value::new(PIN_VALUE_TYPE, sealed).with_random_id(&mut Rng::from_os()),
            permanent: false,
        };
        client.send(put).await.map_err(|_| NodeError::Stopped)?;
        let done = async {
            while let Some(event) = events.recv().await {
                if let Event::Done { result, .. } = event {
                    return result.map_err(put_failed);
                }
            }
            Err(NodeError::Stopped)
        };
        timeout(OPERATION_TIMEOUT, done)
            .await
            .map_err(|_| put_failed(OpError::NotStored))??;
        Ok(PinOffer {
            pin,
            expires: now().unix.saturating_add(PIN_LIFETIME),
            has_password: place.has_password(),
        })
    }

    /// Finds the account that another device put under `pin`. Give what was found to
    /// [`Node::add_device`]; to give up, drop this.
    ///
    /// # Errors
    /// If nothing there opens with the PIN and the password, or no node of the DHT answers.
    pub async fn find_by_pin(
        &self,
        pin: Pin,
        password: Option<Password>,
    ) -> Result<Archive, NodeError> {
        let (client, events) = self.connected().await?;
        timeout(OPERATION_TIMEOUT, search(client, events, pin, password))
            .await
            .map_err(|_| NodeError::NothingUnderPin)?
    }

    /// A client of the DHT, once that has found other nodes.
    pub(super) async fn connected(
        &self,
    ) -> Result<(ClientHandle, mpsc::Receiver<Event>), NodeError> {
        let mut status = self.inner.dht.status();
        let connected =
            status.wait_for(|(v4, v6)| *v4 == Status::Connected || *v6 == Status::Connected);
        match timeout(CONNECT_TIMEOUT, connected).await {
            Ok(Ok(_)) => {}
            Ok(Err(_)) => return Err(NodeError::Stopped),
            Err(_) => return Err(NodeError::Network(OpError::NotConnected.to_string())),
        }
        let client = self.inner.dht.client(QUEUE).await;
        client.map_err(|_| NodeError::Stopped)
    }
}

/// Looks where the PIN leads to now, and where it led to a window of time ago.
async fn search(
    client: ClientHandle,
    mut events: mpsc::Receiver<Event>,
    pin: Pin,
    password: Option<Password>,
) -> Result<Archive, NodeError> {
    let time = now().unix;
    let mut places: Vec<PinExchange> = Vec::new();
    let window = u64::try_from(PIN_WINDOW.as_millis()).unwrap_or(u64::MAX);
    let before = UnixTime::from_millis(time.millis().saturating_sub(window));
    for time in [time, before] {
        let (pin, password) = (pin.clone(), password.clone());
        let made = tokio::task::spawn_blocking(move || exchange(&pin, password.as_ref(), time));
        let place = made.await.map_err(|_| NodeError::Stopped)??;
        let get = baraza_dht::Command::Get {
            op: OpId(u64::try_from(places.len()).unwrap_or_default()),
            key: place.location(),
            query: Query::all(),
        };
        places.push(place);
        client.send(get).await.map_err(|_| NodeError::Stopped)?;
    }
    let (mut open, mut tried, mut answered) = (places.len(), 0_usize, false);
    while open > 0 {
        match events.recv().await.ok_or(NodeError::Stopped)? {
            Event::Values { op, values, .. } => {
                let place = usize::try_from(op.0).ok().and_then(|op| places.get(op));
                for value in values {
                    tried = tried.saturating_add(1);
                    // Others may put anything there: the first that opens is the one.
                    let found = place.and_then(|place| place.open(value.data()).ok());
                    if let Some(archive) = found {
                        return Ok(archive);
                    }
                    if tried >= MAX_TRIED {
                        return Err(NodeError::NothingUnderPin);
                    }
                }
            }
            Event::Done { result, .. } => {
                open = open.saturating_sub(1);
                answered |= result.is_ok();
            }
            Event::PublicAddress(_) | Event::Status { .. } => {}
        }
    }
    if answered {
        Err(NodeError::NothingUnderPin)
    } else {
        Err(NodeError::Network(OpError::NotConnected.to_string()))
    }
}

fn exchange(
    pin: &Pin,
    password: Option<&Password>,
    time: UnixTime,
) -> Result<PinExchange, NodeError> {
    let none = Password::new("");
    pin.exchange(password.unwrap_or(&none), time)
        .map_err(|error| NodeError::Keys(error.to_string()))
}

fn put_failed(error: OpError) -> NodeError {
    match error {
        OpError::InvalidValue => NodeError::Archive(
            "the account has too many contacts and conversations to be linked with a PIN; \
             take the file of baraza account export to the new device"
                .into(),
        ),
        other => NodeError::Network(other.to_string()),
    }
}

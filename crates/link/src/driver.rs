//! The only place of this crate with sockets, threads and clocks: runs one `Links`.

pub mod addresses;
pub mod tcp;

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime};
use std::{io, thread};

use baraza_dht as dht;
use baraza_wire::{Now, UnixTime};
use thiserror::Error;
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tracing::debug;

use crate::api::{Command, Event, Output};
use crate::engine::Links;
use crate::tls::TlsError;
use tcp::Sockets;

/// Events that may wait for the owner; the network is not read while there are more.
const EVENTS: usize = 1024;

/// Events of one source that are handled before the others get their turn.
const BATCH: usize = 64;

/// How often the addresses of this host are listed.
const ADDRESSES_EVERY: Duration = Duration::from_secs(10);

/// Where the host can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Addresses {
    /// At these, whatever the system says: for tests.
    Fixed(Vec<IpAddr>),
    /// At those of its interfaces; when they change, live links are probed.
    Interfaces,
}

/// Why a `Links` cannot be started.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The system has no thread to give.
    #[error("cannot start a thread for the links: {0}")]
    Thread(#[from] io::Error),
    /// The identity cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// How long peers may take to hear that their links end.
const GOODBYE: Duration = Duration::from_secs(1);

/// The way to a running `Links`. Without any it tells its peers and ends; then the queue of
/// its events is closed.
#[derive(Debug, Clone)]
pub struct LinkHandle(mpsc::UnboundedSender<Command>);

impl LinkHandle {
    /// Sends a command; whether there is still somebody to get it.
    ///
    /// Never waits, and needs no limit: what is written to a channel is limited by its
    /// window, and the other commands are answers to events or few.
    pub fn send(&self, command: Command) -> bool {
        self.0.send(command).is_ok()
    }
}

/// Starts a thread for a `Links`, as RSA takes too long for the async ones, and for its
/// sockets: what passes from one thread to another costs more than everything else about
/// a small message. `make` gets the time it starts at; `to_dht` must not wait. The receiver is the owner's: while it is
/// full, nothing is read from the network.
///
/// # Errors
/// If the identity cannot be used, or the system has no thread to give.
pub fn start(
    make: impl FnOnce(Now) -> Result<Links, TlsError>,
    to_dht: impl FnMut(dht::Command) + Send + 'static,
    from_dht: mpsc::Receiver<dht::Event>,
    addresses: Addresses,
) -> Result<(LinkHandle, mpsc::Receiver<Event>), StartError> {
    let (commands, receiver) = mpsc::unbounded_channel();
    let (sender, events) = mpsc::channel(EVENTS);
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let driver = Driver {
        links: make(now())?,
        sockets: Sockets::new(runtime.handle().clone()),
        commands: receiver,
        to_dht,
        from_dht: Some(from_dht),
        events: sender,
        waiting: VecDeque::new(),
        known: Vec::new(),
        interfaces: addresses == Addresses::Interfaces,
    };
    let fixed = match addresses {
        Addresses::Fixed(addresses) => addresses,
        Addresses::Interfaces => Vec::new(),
    };
    thread::Builder::new()
        .name("links".to_owned())
        .spawn(move || runtime.block_on(driver.run(fixed)))?;
    Ok((LinkHandle(commands), events))
}

struct Driver<D> {
    links: Links,
    sockets: Sockets,
    commands: mpsc::UnboundedReceiver<Command>,
    to_dht: D,
    /// `None` when there will be none any more.
    from_dht: Option<mpsc::Receiver<dht::Event>>,
    events: mpsc::Sender<Event>,
    /// Events for which the owner's queue has no room.
    waiting: VecDeque<Event>,
    /// The addresses that `Links` knows.
    known: Vec<IpAddr>,
    interfaces: bool,
}

impl<D: FnMut(dht::Command)> Driver<D> {
    async fn run(mut self, fixed: Vec<IpAddr>) {
        if self.interfaces {
            self.look_for_addresses();
        } else {
            self.links
                .handle_command(now(), Command::SetAddresses(fixed));
        }
        let mut ticks = tokio::time::interval(ADDRESSES_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        ticks.reset();
        let events = self.events.clone();
        while self.flush() {
            let timeout = self.links.poll_timeout();
            // The owner is behind: what the network has must wait with it.
            let ready = self.waiting.is_empty();
            tokio::select! {
                command = self.commands.recv() => {
                    let Some(command) = command else {
                        break;
                    };
                    self.links.handle_command(now(), command);
                    for _ in 0..BATCH {
                        let Ok(command) = self.commands.try_recv() else {
                            break;
                        };
                        self.links.handle_command(now(), command);
                    }
                }
                permit = events.reserve(), if !ready => {
                    match (permit, self.waiting.pop_front()) {
                        (Ok(permit), Some(event)) => permit.send(event),
                        _ => break,
                    }
                }
                event = receive(&mut self.from_dht), if ready => match event {
                    Some(event) => self.links.handle_dht(now(), event),
                    None => self.from_dht = None,
                },
                event = self.sockets.next(), if ready => {
                    self.links.handle_tcp(now(), event);
                    for _ in 0..BATCH {
                        // Not more than the owner takes.
                        if !self.flush() || !self.waiting.is_empty() {
                            break;
                        }
                        let Some(event) = self.sockets.try_next() else {
                            break;
                        };
                        self.links.handle_tcp(now(), event);
                    }
                }
                () = until(timeout) => self.links.handle_timeout(now()),
                _ = ticks.tick(), if self.interfaces => self.look_for_addresses(),
            }
        }
        // Peers that know need not find out by themselves.
        self.links.handle_command(now(), Command::CloseAll);
        while let Some(output) = self.links.poll_output() {
            if let Output::Tcp(command) = output {
                self.sockets.handle(command);
            }
        }
        if tokio::time::timeout(GOODBYE, self.sockets.finish())
            .await
            .is_err()
        {
            debug!("some peers did not take note of the end");
        }
        debug!("links end");
    }

    /// Carries out what `Links` wants; whether somebody still listens.
    fn flush(&mut self) -> bool {
        while let Some(output) = self.links.poll_output() {
            match output {
                Output::Dht(command) => (self.to_dht)(command),
                Output::Event(event) => self.waiting.push_back(event),
                Output::Tcp(command) => self.sockets.handle(command),
            }
        }
        while let Some(event) = self.waiting.pop_front() {
            match self.events.try_send(event) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(event)) => {
                    self.waiting.push_front(event);
                    return true;
                }
                Err(mpsc::error::TrySendError::Closed(_)) => return false,
            }
        }
        true
    }

    fn look_for_addresses(&mut self) {
        let addresses = addresses::local_addresses();
        if addresses == self.known {
            return;
        }
        debug!(
            count = addresses.len(),
            "the addresses of this host changed"
        );
        let first = self.known.is_empty();
        self.known.clone_from(&addresses);
        let now = now();
        self.links
            .handle_command(now, Command::SetAddresses(addresses));
        if !first {
            self.links.handle_command(now, Command::Probe);
        }
    }
}

async fn receive(from_dht: &mut Option<mpsc::Receiver<dht::Event>>) -> Option<dht::Event> {
    match from_dht {
        Some(receiver) => receiver.recv().await,
        None => std::future::pending().await,
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

fn now() -> Now {
    Now {
        instant: Instant::now(),
        unix: UnixTime::from_system(SystemTime::now()),
    }
}

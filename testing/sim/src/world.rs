//! The world: the network and a program on each host.

use std::time::{Duration, Instant};

use baraza_wire::{Now, Rng, UnixTime};
use bytes::Bytes;

use crate::net::{Access, Event, HostId, Input, Net, TcpCommand, TcpEvent};
use crate::time::Time;

/// What runs on a host: real machines, and what joins them.
pub trait Program {
    /// Something happened.
    fn handle(&mut self, now: Now, input: Input);
    /// What the program wants next; asked until there is nothing.
    fn poll_action(&mut self, now: Now) -> Option<Action>;
    /// When to call with [`Input::Timeout`].
    fn poll_timeout(&self) -> Option<Instant>;
}

/// What a program wants.
#[derive(Debug, Clone)]
pub enum Action {
    /// Send a datagram from the one UDP port.
    Transmit {
        /// To where.
        to: std::net::SocketAddr,
        /// What.
        bytes: Bytes,
    },
    /// Use TCP.
    Tcp(TcpCommand),
    /// Die on the spot: what else the program wanted is lost.
    Crash(Crash),
}

/// How a program ends without being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// `kill -9`: the kernel lives, sends what its socket buffers hold and closes them.
    Kill,
    /// The host is gone without a word; connections hang until the other side notices.
    Power,
}

/// A seeded world in virtual time.
#[derive(Debug)]
pub struct World<P> {
    net: Net,
    programs: Vec<Option<P>>,
    inputs: Vec<(HostId, Input)>,
    crashed: Vec<(HostId, P)>,
    /// What came for hosts that sleep.
    held: Vec<(HostId, Input)>,
}

/// The wall clock at the beginning: 2026-01-01, as in `baraza_identity::testing`.
pub const UNIX_START: UnixTime = UnixTime::from_secs(1_767_225_600);
/// A machine that wants so much at once, or a timer this often without time passing, is
/// broken.
const TOO_MANY: u32 = 100_000;

impl<P: Program> World<P> {
    /// A world without hosts.
    pub fn new(seed: u64) -> Self {
        Self {
            net: Net::new(Rng::from_seed(seed), Instant::now(), UNIX_START),
            programs: Vec::new(),
            inputs: Vec::new(),
            crashed: Vec::new(),
            held: Vec::new(),
        }
    }

    /// Leaves payloads out of the trace: real cryptography makes them differ.
    pub const fn trace_shape_only(&mut self) {
        self.net.trace_payloads = false;
    }

    /// Adds a host, without a program. (Names are for logs.)
    pub fn add_host(&mut self, access: Access) -> HostId {
        self.programs.push(None);
        self.net.add_host(access)
    }

    /// Virtual time.
    pub const fn now(&self) -> Time {
        self.net.now
    }

    /// What a host's clocks show.
    pub fn now_at(&self, host: HostId) -> Now {
        self.net.node(host).clock.now(self.net.now)
    }

    /// The network.
    pub const fn net(&self) -> &Net {
        &self.net
    }

    /// The network, to change it.
    pub const fn net_mut(&mut self) -> &mut Net {
        &mut self.net
    }

    /// Randomness of the world, for scenarios too.
    pub const fn rng(&mut self) -> &mut Rng {
        &mut self.net.rng
    }

    /// Hash of everything that arrived anywhere.
    pub const fn trace(&self) -> u64 {
        self.net.trace.value()
    }

    /// Events scheduled since the beginning.
    pub const fn events(&self) -> u64 {
        self.net.queue.scheduled()
    }

    /// The program of a host that runs.
    pub fn program(&self, host: HostId) -> Option<&P> {
        self.programs.get(host.index())?.as_ref()
    }

    /// All hosts with a running program.
    pub fn running(&self) -> impl Iterator<Item = (HostId, &P)> {
        (0..)
            .map(HostId)
            .zip(&self.programs)
            .filter_map(|(host, program)| Some((host, program.as_ref()?)))
    }

    /// Starts a program (switches the host on, if it was off).
    pub fn start(&mut self, host: HostId, program: P) {
        self.net.tcp_host_gone(host, false);
        let node = self.net.node_mut(host);
        node.powered = true;
        node.boot += 1;
        node.timer = Time::NEVER;
        self.programs[host.index()] = Some(program);
        self.settle(host);
        self.work();
    }

    /// Ends a program without telling it; gives what is left of it.
    pub fn crash(&mut self, host: HostId, crash: Crash) -> Option<P> {
        let program = self.programs[host.index()].take()?;
        let node = self.net.node_mut(host);
        node.boot += 1;
        node.timer = Time::NEVER;
        node.powered = crash == Crash::Kill;
        node.asleep = false;
        self.held.retain(|(at, _)| *at != host);
        self.net.tcp_host_gone(host, crash == Crash::Power);
        Some(program)
    }

    /// Programs that died by [`Action::Crash`] since the last call.
    pub fn take_crashed(&mut self) -> Vec<(HostId, P)> {
        std::mem::take(&mut self.crashed)
    }

    /// Puts a host to sleep, as a closed laptop, or wakes it: its monotonic clock stood
    /// still, its wall clock did not; timers and connections are kept.
    pub fn set_asleep(&mut self, host: HostId, asleep: bool) {
        let now = self.net.now;
        let node = self.net.node_mut(host);
        if node.asleep == asleep {
            return;
        }
        node.asleep = asleep;
        match asleep {
            true => node.fell_asleep = now,
            false => {
                node.clock.sleep(node.fell_asleep, now);
                node.timer = Time::NEVER;
                let held = std::mem::take(&mut self.held);
                let (mine, rest) = held.into_iter().partition(|(at, _)| *at == host);
                self.held = rest;
                self.inputs = mine;
                self.settle(host);
                self.work();
            }
        }
    }

    /// Lets the scenario do something with a program, and the program act on it.
    pub fn with<T>(&mut self, host: HostId, f: impl FnOnce(&mut P, Now) -> T) -> Option<T> {
        let now = self.now_at(host);
        let program = self.programs[host.index()].as_mut()?;
        let result = f(program, now);
        self.settle(host);
        self.work();
        Some(result)
    }

    /// Runs to a time.
    pub fn run_until(&mut self, until: Time) {
        while let Some((at, event)) = self.net.queue.pop(until) {
            self.happen(at, event);
        }
        self.net.now = until;
    }

    /// Runs for a while.
    pub fn run_for(&mut self, duration: Duration) {
        self.run_until(self.net.now + duration);
    }

    /// Runs until the condition holds, looking every `step`; `false` if it does not by the
    /// deadline.
    pub fn run_while_not(
        &mut self,
        step: Duration,
        deadline: Time,
        mut condition: impl FnMut(&mut Self) -> bool,
    ) -> bool {
        loop {
            if condition(self) {
                return true;
            }
            if self.net.now >= deadline {
                return false;
            }
            let until = (self.net.now + step).min(deadline);
            self.run_until(until);
        }
    }

    fn happen(&mut self, at: Time, event: Event) {
        if at > self.net.now {
            self.net.now = at;
            at.make_current();
        }
        self.net.happen(event, &mut self.inputs);
        self.work();
    }

    /// Hands out inputs until there are none.
    fn work(&mut self) {
        let mut rounds = 0;
        while !self.inputs.is_empty() {
            let inputs = std::mem::take(&mut self.inputs);
            for (host, input) in inputs {
                self.deliver(host, input);
            }
            rounds += 1;
            assert!(rounds < TOO_MANY, "hosts act without end");
        }
    }

    fn deliver(&mut self, host: HostId, input: Input) {
        let now = self.now_at(host);
        let Some(program) = self.programs[host.index()].as_mut() else {
            return;
        };
        if self.net.node(host).asleep {
            self.held.push((host, input));
            return;
        }
        let _span = tracing::info_span!("host", name = %self.net.node(host).name).entered();
        if matches!(input, Input::Timeout) {
            let node = self.net.node_mut(host);
            let due = program
                .poll_timeout()
                .is_some_and(|timeout| timeout <= now.instant);
            if due {
                node.traffic.wakes += 1;
                program.handle(now, Input::Timeout);
            }
        } else {
            program.handle(now, input);
        }
        self.settle(host);
    }

    /// Carries out what a program wants and sets its timer.
    fn settle(&mut self, host: HostId) {
        let now = self.now_at(host);
        let mut actions = 0;
        loop {
            let Some(program) = self.programs[host.index()].as_mut() else {
                return;
            };
            let Some(action) = program.poll_action(now) else {
                break;
            };
            match action {
                Action::Transmit { to, bytes } => self.net.send_datagram(host, to, &bytes),
                Action::Tcp(command) => self.net.tcp_command(host, command, &mut self.inputs),
                Action::Crash(crash) => {
                    let program = self.crash(host, crash);
                    self.crashed.extend(program.map(|program| (host, program)));
                    return;
                }
            }
            actions += 1;
            assert!(actions < TOO_MANY, "{host:?} wants without end");
        }
        let Some(timeout) = self.programs[host.index()]
            .as_ref()
            .and_then(Program::poll_timeout)
        else {
            return;
        };
        let world = self.net.now;
        let node = self.net.node_mut(host);
        if node.asleep {
            return;
        }
        let due = node.clock.when(timeout);
        if due <= world {
            node.busy += 1;
            let name = &node.name;
            assert!(node.busy < TOO_MANY, "{name}: a timer that is always due");
            // Rounding of a drifting clock may need one more step.
            let next = world + Duration::from_nanos(1);
            self.net.wake_at(host, next);
        } else {
            node.busy = 0;
            self.net.wake_at(host, due);
        }
    }
}

/// Makes a TCP event an input.
impl From<TcpEvent> for Input {
    fn from(event: TcpEvent) -> Self {
        Self::Tcp(event)
    }
}

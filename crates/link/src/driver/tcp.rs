//! The TCP sockets of one `Links`: carries out its [`TcpCommand`]s and tells it
//! [`TcpEvent`]s. One task a socket; all of them end with this value.

use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSlice};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::debug;

use crate::api::{ConnId, ListenerId, TcpCommand, TcpEvent};

/// Events that wait for `Links`; sockets are not read while there are more. They hold at
/// most 512 KiB, which is what a connection may still bring after it was paused.
const EVENTS: usize = 8;

/// Commands that wait for one socket. `Links` limits the bytes it has under way, and puts
/// as many as it can into one command; a socket that lags further behind is closed.
const COMMANDS: usize = 4096;

/// How much is read at once: a few of the longest frames.
const READ: usize = 64 * 1024;

/// Pieces given to the system in one call.
const PIECES: usize = 32;

/// Bytes that may wait in the system before it takes more.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 64 * 1024;
/// How long what was sent may stay without an acknowledgement (RFC 5482): the system would try
/// for a quarter of an hour.
#[cfg(target_os = "linux")]
const UNANSWERED: Duration = Duration::from_secs(30);

/// How long what was written before a close may take to leave.
const LINGER: Duration = Duration::from_secs(10);

/// How long a peer is read, for nobody, after its connection was closed.
const DISCARD: Duration = Duration::from_secs(2);

/// Connections a listener keeps until they are accepted.
const BACKLOG: i32 = 128;

/// The sockets.
#[derive(Debug)]
pub struct Sockets {
    runtime: Handle,
    connections: HashMap<ConnId, mpsc::Sender<Order>>,
    listeners: HashMap<ListenerId, tokio::task::AbortHandle>,
    accepted: u64,
    tasks: JoinSet<()>,
    sender: mpsc::Sender<Report>,
    reports: mpsc::Receiver<Report>,
}

/// What a connection's task is told.
#[derive(Debug)]
enum Order {
    Close,
    Pause(bool),
    Write(Bytes),
}

/// What a task tells.
#[derive(Debug)]
enum Report {
    Event(TcpEvent),
    /// A new connection, which has no task yet.
    Incoming {
        listener: ListenerId,
        stream: TcpStream,
        local: SocketAddr,
        remote: SocketAddr,
    },
}

impl Sockets {
    /// No sockets yet; their tasks will run on `runtime`.
    pub fn new(runtime: Handle) -> Self {
        let (sender, reports) = mpsc::channel(EVENTS);
        Self {
            runtime,
            connections: HashMap::new(),
            listeners: HashMap::new(),
            accepted: 0,
            tasks: JoinSet::new(),
            sender,
            reports,
        }
    }

    /// Does what `Links` wants. Never waits.
    pub fn handle(&mut self, command: TcpCommand) {
        match command {
            TcpCommand::Listen { listener, v6 } => {
                let task = listen(listener, v6, self.sender.clone());
                let handle = self.tasks.spawn_on(task, &self.runtime);
                self.listeners.insert(listener, handle);
            }
            TcpCommand::CloseListener { listener } => {
                if let Some(task) = self.listeners.remove(&listener) {
                    task.abort();
                }
            }
            TcpCommand::Connect { conn, to } => {
                let (orders, receiver) = mpsc::channel(COMMANDS);
                self.connections.insert(conn, orders);
                let task = connect(conn, to, receiver, self.sender.clone());
                self.tasks.spawn_on(task, &self.runtime);
            }
            TcpCommand::Write { conn, bytes } => self.order(conn, Order::Write(bytes)),
            TcpCommand::Pause { conn, on } => self.order(conn, Order::Pause(on)),
            TcpCommand::Close { conn } => {
                self.order(conn, Order::Close);
                self.connections.remove(&conn);
            }
        }
    }

    /// What happened next. Cancelling loses nothing.
    pub async fn next(&mut self) -> TcpEvent {
        loop {
            // This value holds a sender, so that there is always one.
            let Some(report) = self.reports.recv().await else {
                std::future::pending::<()>().await;
                continue;
            };
            if let Some(event) = self.process(report) {
                return event;
            }
        }
    }

    /// What has happened already, if anything.
    pub fn try_next(&mut self) -> Option<TcpEvent> {
        while let Ok(report) = self.reports.try_recv() {
            let event = self.process(report);
            if event.is_some() {
                return event;
            }
        }
        None
    }

    /// Sends what was written and closes everything, as far as peers take it.
    pub async fn finish(&mut self) {
        for (_, listener) in self.listeners.drain() {
            listener.abort();
        }
        // Without anybody who gives orders, connections end by themselves.
        self.connections.clear();
        loop {
            tokio::select! {
                task = self.tasks.join_next() => {
                    if task.is_none() {
                        return;
                    }
                }
                // What still comes concerns nobody, but must not keep a task waiting.
                _ = self.reports.recv() => {}
            }
        }
    }

    fn process(&mut self, report: Report) -> Option<TcpEvent> {
        // Tasks that are over only wait for this.
        while self.tasks.try_join_next().is_some() {}
        match report {
            Report::Event(event) => {
                if let Some(conn) = connection_of(&event)
                    && !self.connections.contains_key(&conn)
                {
                    // Closed by `Links` while the event was under way.
                    return None;
                }
                if let TcpEvent::Closed { conn } | TcpEvent::ConnectFailed { conn } = &event {
                    self.connections.remove(conn);
                }
                Some(event)
            }
            Report::Incoming {
                listener,
                stream,
                local,
                remote,
            } => {
                if !self.listeners.contains_key(&listener) {
                    return None;
                }
                let conn = ConnId::accepted(self.accepted);
                self.accepted = self.accepted.saturating_add(1);
                let (orders, receiver) = mpsc::channel(COMMANDS);
                self.connections.insert(conn, orders);
                let task = serve(conn, stream, receiver, self.sender.clone());
                self.tasks.spawn_on(task, &self.runtime);
                Some(TcpEvent::Accepted {
                    listener,
                    conn,
                    local,
                    remote,
                })
            }
        }
    }

    fn order(&mut self, conn: ConnId, order: Order) {
        let Some(orders) = self.connections.get(&conn) else {
            return;
        };
        if let Err(mpsc::error::TrySendError::Full(_)) = orders.try_send(order) {
            debug!(?conn, "too many commands wait for a socket");
            // Without its orders the task ends and says so.
            let (nobody, _) = mpsc::channel(1);
            self.connections.insert(conn, nobody);
        }
    }
}

fn connection_of(event: &TcpEvent) -> Option<ConnId> {
    match event {
        TcpEvent::Accepted { .. } | TcpEvent::Listening { .. } | TcpEvent::ListenFailed { .. } => {
            None
        }
        TcpEvent::Closed { conn }
        | TcpEvent::ConnectFailed { conn }
        | TcpEvent::Connected { conn, .. }
        | TcpEvent::Received { conn, .. }
        | TcpEvent::Writable { conn, .. } => Some(*conn),
    }
}

async fn listen(listener: ListenerId, v6: bool, reports: mpsc::Sender<Report>) {
    let bound = bind(v6).and_then(|socket| Ok((socket.local_addr()?.port(), socket)));
    let (port, socket) = match bound {
        Ok(bound) => bound,
        Err(error) => {
            debug!(%error, v6, "cannot listen");
            let failed = TcpEvent::ListenFailed { listener };
            // Without a receiver everything ends.
            let _ = reports.send(Report::Event(failed)).await;
            return;
        }
    };
    let event = TcpEvent::Listening { listener, port };
    let mut alive = reports.send(Report::Event(event)).await.is_ok();
    while alive {
        match socket.accept().await {
            Ok((stream, remote)) => {
                let local = stream.local_addr();
                if let (Ok(local), Ok(())) = (local, prepare(&stream)) {
                    let incoming = Report::Incoming {
                        listener,
                        stream,
                        local,
                        remote,
                    };
                    alive = reports.send(incoming).await.is_ok();
                }
            }
            Err(error) => {
                // Of that connection, or too many open files: others may still come.
                debug!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

fn bind(v6: bool) -> io::Result<TcpListener> {
    let domain = if v6 { Domain::IPV6 } else { Domain::IPV4 };
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    let any = if v6 {
        socket.set_only_v6(true)?;
        SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))
    } else {
        SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))
    };
    socket.bind(&any.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Small messages leave at once, and few bytes wait in the system, where nothing can
/// overtake them any more: on a slow line a beacon would come too late. A host that vanished
/// without a word is given up soon after something was sent to it.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    #[cfg(target_os = "linux")]
    {
        let socket = socket2::SockRef::from(stream);
        socket.set_tcp_notsent_lowat(UNSENT)?;
        socket.set_tcp_user_timeout(Some(UNANSWERED))?;
    }
    Ok(())
}

async fn connect(
    conn: ConnId,
    to: SocketAddr,
    mut orders: mpsc::Receiver<Order>,
    reports: mpsc::Sender<Report>,
) {
    let connecting = async {
        let socket = if to.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        let stream = socket.connect(to).await?;
        prepare(&stream)?;
        let local = stream.local_addr()?;
        Ok::<_, io::Error>((stream, local))
    };
    tokio::pin!(connecting);
    let connected = loop {
        tokio::select! {
            connected = &mut connecting => break connected,
            order = orders.recv() => match order {
                // `Links` gave up; nothing is written before there is a connection.
                None | Some(Order::Close) => return,
                Some(Order::Pause(_) | Order::Write(_)) => {}
            },
        }
    };
    match connected {
        Ok((stream, local)) => {
            let event = TcpEvent::Connected { conn, local };
            if reports.send(Report::Event(event)).await.is_ok() {
                serve(conn, stream, orders, reports).await;
            }
        }
        Err(error) => {
            debug!(%error, ?conn, "cannot connect");
            let event = TcpEvent::ConnectFailed { conn };
            let _ = reports.send(Report::Event(event)).await;
        }
    }
}

async fn serve(
    conn: ConnId,
    mut stream: TcpStream,
    mut orders: mpsc::Receiver<Order>,
    reports: mpsc::Sender<Report>,
) {
    match exchange(conn, &mut stream, &mut orders, &reports).await {
        Ok(Ended::Here) => {
            let _ = stream.shutdown().await;
            // Bytes that nobody reads would make the system reset the connection, and the
            // peer lose what it has not read yet.
            let _ = tokio::time::timeout(DISCARD, discard(&mut stream)).await;
        }
        Ok(Ended::There) => {
            let _ = reports.send(Report::Event(TcpEvent::Closed { conn })).await;
        }
        Err(error) => {
            debug!(%error, ?conn, "connection broke");
            let _ = reports.send(Report::Event(TcpEvent::Closed { conn })).await;
        }
    }
}

async fn discard(stream: &mut TcpStream) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(1..) = stream.read(&mut buffer).await {}
}

enum Ended {
    Here,
    There,
}

/// Moves bytes both ways until one side ends it.
async fn exchange(
    conn: ConnId,
    stream: &mut TcpStream,
    orders: &mut mpsc::Receiver<Order>,
    reports: &mpsc::Sender<Report>,
) -> io::Result<Ended> {
    let (mut reader, mut writer) = stream.split();
    let mut queue: VecDeque<Bytes> = VecDeque::new();
    let mut paused = false;
    let mut closing: Option<Instant> = None;
    let mut input = BytesMut::new();
    // Written and not reported yet: reports must not keep the socket from being read.
    let mut sent = 0_usize;
    loop {
        if closing.is_some() && queue.is_empty() {
            return Ok(Ended::Here);
        }
        input.reserve(READ);
        let mut pieces = [IoSlice::new(&[]); PIECES];
        let count = queue.len().min(PIECES);
        for (piece, bytes) in pieces.iter_mut().zip(&queue) {
            *piece = IoSlice::new(bytes);
        }
        let pieces = pieces.get(..count).unwrap_or_default();
        tokio::select! {
            biased;
            order = orders.recv(), if closing.is_none() => match order {
                None | Some(Order::Close) => closing = Some(Instant::now() + LINGER),
                Some(Order::Pause(on)) => paused = on,
                Some(Order::Write(bytes)) => {
                    if !bytes.is_empty() {
                        queue.push_back(bytes);
                    }
                }
            },
            permit = reports.reserve(), if sent > 0 => {
                let Ok(permit) = permit else {
                    return Ok(Ended::Here);
                };
                permit.send(Report::Event(TcpEvent::Writable { conn, sent }));
                sent = 0;
            }
            written = writer.write_vectored(pieces), if count > 0 => {
                let written = written?;
                if written == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                sent = sent.saturating_add(written);
                take_off(&mut queue, written);
            }
            // A peer that does not read keeps nothing alive.
            () = until(closing), if closing.is_some() => return Ok(Ended::Here),
            read = reader.read_buf(&mut input), if !paused && closing.is_none() => {
                if read? == 0 {
                    return Ok(Ended::There);
                }
                let bytes = input.split().freeze();
                let event = Report::Event(TcpEvent::Received { conn, bytes });
                if reports.send(event).await.is_err() {
                    return Ok(Ended::Here);
                }
            }
        }
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Removes the first `written` bytes.
fn take_off(queue: &mut VecDeque<Bytes>, mut written: usize) {
    while let Some(first) = queue.front_mut() {
        if first.len() > written {
            first.advance(written);
            return;
        }
        written = written.saturating_sub(first.len());
        queue.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Listens and connects; both ends' names.
    async fn pair(sockets: &mut Sockets) -> (ConnId, ConnId) {
        let listener = ListenerId(1);
        sockets.handle(TcpCommand::Listen {
            listener,
            v6: false,
        });
        let TcpEvent::Listening { port, .. } = sockets.next().await else {
            panic!("no port");
        };
        let (dialled, to) = (ConnId(7), SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        sockets.handle(TcpCommand::Connect { conn: dialled, to });
        let mut accepted = None;
        let mut connected = false;
        while accepted.is_none() || !connected {
            match sockets.next().await {
                TcpEvent::Accepted { conn, local, .. } => {
                    assert_eq!(local, to);
                    accepted = Some(conn);
                }
                TcpEvent::Connected { conn, .. } => connected = conn == dialled,
                other => panic!("{other:?}"),
            }
        }
        sockets.handle(TcpCommand::CloseListener { listener });
        (dialled, accepted.unwrap())
    }

    #[tokio::test]
    async fn bytes_arrive_are_reported_and_ends_are_seen() {
        let mut sockets = Sockets::new(Handle::current());
        let (a, b) = pair(&mut sockets).await;
        assert!(b.is_accepted());
        let sent = Bytes::from(
            (0..3_000_000_u32)
                .map(|i| i.to_le_bytes()[0])
                .collect::<Vec<_>>(),
        );
        for piece in [
            sent.slice(..10),
            sent.slice(10..2_000_000),
            sent.slice(2_000_000..),
        ] {
            sockets.handle(TcpCommand::Write {
                conn: a,
                bytes: piece,
            });
        }
        sockets.handle(TcpCommand::Write {
            conn: b,
            bytes: Bytes::from_static(b"answer"),
        });
        let (mut received, mut reported, mut answer) = (Vec::new(), 0, Vec::new());
        while received.len() < sent.len() || reported < sent.len() || answer.len() < 6 {
            match sockets.next().await {
                TcpEvent::Received { conn, bytes } if conn == b => received.extend(bytes),
                TcpEvent::Received { bytes, .. } => answer.extend(bytes),
                TcpEvent::Writable { conn, sent } if conn == a => reported += sent,
                TcpEvent::Writable { sent: 6, .. } => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(received == sent && answer == b"answer" && reported == sent.len());
        // What was written before is still sent; only the other side is told.
        sockets.handle(TcpCommand::Write {
            conn: b,
            bytes: Bytes::from_static(b"bye"),
        });
        sockets.handle(TcpCommand::Close { conn: b });
        let bytes = Bytes::from_static(b"bye");
        assert_eq!(sockets.next().await, TcpEvent::Received { conn: a, bytes });
        assert_eq!(sockets.next().await, TcpEvent::Closed { conn: a });
        assert!(sockets.connections.is_empty());
    }

    #[tokio::test]
    async fn what_was_written_before_the_end_arrives() {
        let (mut here, mut there) = (
            Sockets::new(Handle::current()),
            Sockets::new(Handle::current()),
        );
        let listener = ListenerId(1);
        there.handle(TcpCommand::Listen {
            listener,
            v6: false,
        });
        let TcpEvent::Listening { port, .. } = there.next().await else {
            panic!("no port");
        };
        let (conn, to) = (ConnId(7), SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        here.handle(TcpCommand::Connect { conn, to });
        assert!(matches!(here.next().await, TcpEvent::Connected { .. }));
        let much = Bytes::from(vec![1; 8 << 20]);
        let bytes = much.clone();
        here.handle(TcpCommand::Write { conn, bytes });
        here.handle(TcpCommand::Close { conn });
        let reads = async {
            let mut received = 0;
            loop {
                match there.next().await {
                    TcpEvent::Received { bytes, .. } => received += bytes.len(),
                    TcpEvent::Closed { .. } => return received,
                    _ => {}
                }
            }
        };
        let ((), received) = tokio::join!(here.finish(), reads);
        assert_eq!(received, much.len());
        assert!(here.tasks.is_empty() && here.connections.is_empty());
    }

    #[tokio::test]
    async fn a_paused_connection_is_not_read() {
        let mut sockets = Sockets::new(Handle::current());
        let (a, b) = pair(&mut sockets).await;
        sockets.handle(TcpCommand::Pause { conn: b, on: true });
        // More than the system buffers.
        let much = Bytes::from(vec![1; 64 << 20]);
        let total = much.len();
        sockets.handle(TcpCommand::Write {
            conn: a,
            bytes: much,
        });
        let mut reported = 0;
        let stuck = Duration::from_millis(200);
        while let Ok(event) = tokio::time::timeout(stuck, sockets.next()).await {
            match event {
                TcpEvent::Writable { conn, sent } if conn == a => reported += sent,
                other => panic!("{other:?}"),
            }
        }
        assert!(reported < total);
        sockets.handle(TcpCommand::Pause { conn: b, on: false });
        let mut received = 0;
        while received < total {
            match sockets.next().await {
                TcpEvent::Received { bytes, .. } => received += bytes.len(),
                TcpEvent::Writable { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn a_port_nobody_listens_on_is_reported() {
        let free = {
            let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
            listener.local_addr().unwrap()
        };
        let mut sockets = Sockets::new(Handle::current());
        let conn = ConnId(1);
        sockets.handle(TcpCommand::Connect { conn, to: free });
        assert_eq!(sockets.next().await, TcpEvent::ConnectFailed { conn });
        // One that was given up is not.
        sockets.handle(TcpCommand::Connect { conn, to: free });
        sockets.handle(TcpCommand::Close { conn });
        assert_eq!(sockets.try_next(), None);
        assert!(sockets.connections.is_empty());
    }
}

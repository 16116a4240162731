//! Meets a real peer: joins a DHT as the test identity `alice`, announces that device, dials
//! the device of a certificate file (or waits to be dialled, with `-`) and says what happens:
//!
//! `cargo run --example meet -- OWN_IP[,OWN_IP] DHT_NODE CHAIN_PEM|- SECONDS [SEED]`

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a program for developers"
)]

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant, SystemTime};

use baraza_dht::{
    ClientId, Command as DhtCommand, Config as DhtConfig, Dht, OpId, Output as DhtOutput, Value,
    certificate_value, secure, value_type,
};
use baraza_identity::{CertificateChain, testing};
use baraza_link::driver::tcp::Sockets;
use baraza_link::{ChannelId, Command, Config, Event, Links, Output};
use baraza_wire::msgpack::Writer;
use baraza_wire::{Now, Rng, UnixTime};
use bytes::Bytes;
use tokio::net::UdpSocket;
use tokio::runtime::Handle;

const OURS: ClientId = ClientId(0);
const LINKS: ClientId = ClientId(1);

fn now() -> Now {
    Now {
        instant: Instant::now(),
        unix: UnixTime::from_system(SystemTime::now()),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut args = std::env::args().skip(1);
    let addresses = args.next().unwrap();
    let addresses: Vec<IpAddr> = addresses.split(',').map(|ip| ip.parse().unwrap()).collect();
    let node: SocketAddr = args.next().unwrap().parse().unwrap();
    let chain = args.next().unwrap();
    let seconds: u64 = args.next().unwrap().parse().unwrap();
    // Offers are treated once: each run needs ids of its own.
    let seed = args.next().map_or(1, |seed| seed.parse().unwrap());

    let alice = testing::identity("alice");
    let socket = UdpSocket::bind("0.0.0.0:0").await.unwrap();
    let mut rng = Rng::from_seed(seed);
    let mut dht = Dht::new(DhtConfig::default(), now(), rng.fork());
    let mut links = Links::new(alice.clone(), Config::default(), [], now(), rng).unwrap();
    let mut sockets = Sockets::new(Handle::current());
    links.handle_command(now(), Command::SetAddresses(addresses));
    dht.handle_command(now(), OURS, DhtCommand::Bootstrap { addr: node });
    let certificate = certificate_value::build(alice.chain());
    let mut puts: Vec<_> = certificate_value::keys(alice.public_key())
        .into_iter()
        .map(|key| (key, certificate.clone()))
        .collect();
    let mut announcement = Writer::new();
    announcement.map(2);
    announcement.str("dev").bin(alice.short_id().as_bytes());
    announcement.str("pk").bin(alice.public_key().spki_der());
    let value = Value::new(value_type::USER_DATA, announcement.as_bytes());
    let archive = testing::archive("alice");
    let value = secure::sign(&value, &archive.account_key, None).unwrap();
    puts.push((alice.account_id().into(), value.with_id(7)));
    for (op, (key, value)) in (1..).map(OpId).zip(puts) {
        let put = DhtCommand::Put {
            op,
            key,
            value,
            permanent: true,
        };
        dht.handle_command(now(), OURS, put);
    }

    let begin = Instant::now();
    let say = |text: String| println!("{:8.3} {text}", begin.elapsed().as_secs_f64());
    say(format!("alice is {}", alice.account_id()));
    let target = (chain != "-").then(|| {
        let chain = CertificateChain::from_pem(std::fs::read(&chain).unwrap()).unwrap();
        let device = chain.device_id();
        say(format!("dialling {device}"));
        links.handle_command(now(), Command::KnowCertificate(chain));
        device
    });
    if let Some(device) = target {
        let open = Command::Open {
            channel: ChannelId(1),
            device,
            name: "sip".into(),
            reason: String::new(),
        };
        links.handle_command(now(), open);
    }
    let end = begin + Duration::from_secs(seconds);
    let mut probes = tokio::time::interval(Duration::from_secs(10));
    let mut buffer = vec![0; 65_536];
    while Instant::now() < end {
        loop {
            let mut idle = true;
            while let Some(output) = dht.poll_output() {
                idle = false;
                match output {
                    DhtOutput::Transmit { to, bytes, .. } => {
                        let _ = socket.send_to(&bytes, to).await;
                    }
                    DhtOutput::Event { client, event } if client == LINKS => {
                        links.handle_dht(now(), event);
                    }
                    DhtOutput::Event { event, .. } => say(format!("dht: {event:?}")),
                }
            }
            while let Some(output) = links.poll_output() {
                idle = false;
                match output {
                    Output::Dht(command) => dht.handle_command(now(), LINKS, command),
                    Output::Tcp(command) => {
                        let text = format!("{command:?}");
                        say(text.chars().take(150).collect());
                        sockets.handle(command);
                    }
                    Output::Event(event) => {
                        let text = format!("{event:?}");
                        say(format!(
                            "EVENT {}",
                            text.chars().take(300).collect::<String>()
                        ));
                        if let Event::Requested { channel, .. } = event {
                            links.handle_command(now(), Command::Accept { channel });
                        }
                        if let Event::Opened { channel, .. } = event {
                            let bytes = Bytes::from_static(b"\r\n\r\n");
                            links.handle_command(now(), Command::Write { channel, bytes });
                        }
                    }
                }
            }
            if idle {
                break;
            }
        }
        let timers = [dht.poll_timeout(), links.poll_timeout()];
        let next = timers.into_iter().flatten().min().unwrap_or(end).min(end);
        tokio::select! {
            received = socket.recv_from(&mut buffer) => {
                if let Ok((len, from)) = received {
                    dht.handle_datagram(now(), from, buffer.get(..len).unwrap());
                }
            }
            event = sockets.next() => {
                let text = format!("{event:?}");
                say(text.chars().take(150).collect());
                links.handle_tcp(now(), event);
            }
            _ = probes.tick() => links.handle_command(now(), Command::Probe),
            () = tokio::time::sleep_until(next.into()) => {
                dht.handle_timeout(now());
                links.handle_timeout(now());
            }
        }
    }
}

use std::time::Duration;

use rustix_limits::raise;
use tokio::io::AsyncReadExt as _;

use crate::support::{World, connect, free, send};

mod rustix_limits {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    /// As many files as this process may have.
    pub(crate) fn raise() -> u64 {
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        };
        let _as_it_is = setrlimit(Resource::Nofile, raised);
        limit.maximum.unwrap_or(u64::MAX)
    }
}

/// One source opens ten thousand connections and says nothing on them; others go on.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_connections_of_one_keep_nobody_out() {
    let files = raise();
    assert!(
        files > 11_000,
        "this test needs 11,000 files, the limit is {files}"
    );
    let mut config = free();
    config.limits.connections_of_one = 100;
    let world = World::new(config).await;
    world.register("alice", "alice").await.is(200, "");
    let mut open = Vec::new();
    for _ in 0..10_000 {
        open.push(connect(world.address(), None).await.unwrap());
    }
    let from = Some("127.0.0.2".parse().unwrap());
    let ask = b"GET /name/alice HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    for _ in 0..20 {
        let answer = tokio::time::timeout(Duration::from_secs(5), send(world.address(), from, ask));
        answer.await.unwrap().unwrap().is(200, "alice");
    }
    // All but a hundred were hung up on at once.
    let mut closed = 0;
    for mut stream in open.drain(..) {
        let mut byte = [0];
        let read = tokio::time::timeout(Duration::from_millis(1), stream.read(&mut byte)).await;
        closed += usize::from(matches!(read, Ok(Ok(0) | Err(_))));
    }
    assert!(closed >= 9_800, "only {closed} were closed");
    assert_eq!(world.verified().await, 1);
}

//! Threads that serve connections: one for each core, with a runtime of its own.
//!
//! A lookup takes less time than waking another thread. So a connection stays with one
//! thread, and nothing of it is handed to others.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The threads. They end when this is dropped, which must not happen in one of them.
#[derive(Debug)]
pub(super) struct Threads {
    end: CancellationToken,
    threads: Vec<JoinHandle<()>>,
}

/// What hands connections to them.
#[derive(Debug)]
pub(super) struct Lanes {
    handles: Vec<Handle>,
    next: AtomicUsize,
}

impl Threads {
    /// Starts `count` of them.
    pub(super) fn start(count: usize) -> io::Result<(Self, Lanes)> {
        let mut handles = Vec::new();
        let mut started = Self {
            end: CancellationToken::new(),
            threads: Vec::new(),
        };
        for _ in 0..count.max(1) {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            handles.push(runtime.handle().clone());
            let end = started.end.clone();
            let thread = std::thread::Builder::new()
                .name("names-lane".into())
                .spawn(move || runtime.block_on(end.cancelled_owned()))?;
            started.threads.push(thread);
        }
        let next = AtomicUsize::new(0);
        Ok((started, Lanes { handles, next }))
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.end.cancel();
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread that served names panicked");
            }
        }
    }
}

impl Lanes {
    /// Has a connection served by the next thread in turn.
    pub(super) fn serve<F, S>(&self, stream: TcpStream, tasks: &TaskTracker, serve: F)
    where
        F: FnOnce(TcpStream) -> S + Send + 'static,
        S: Future<Output = ()> + Send + 'static,
    {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let lane = self.handles.get(turn % self.handles.len().max(1));
        // A socket belongs to the runtime in which it was made.
        let (Some(lane), Ok(stream)) = (lane, stream.into_std()) else {
            return;
        };
        tasks.spawn_on(
            async move {
                match TcpStream::from_std(stream) {
                    Ok(stream) => serve(stream).await,
                    Err(error) => tracing::warn!(%error, "cannot serve a connection"),
                }
            },
            lane,
        );
    }
}

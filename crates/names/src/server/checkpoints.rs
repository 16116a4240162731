//! Signing the end of the log now and then.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use baraza_wire::UnixTime;
use tokio_util::sync::CancellationToken;

use super::State;
use crate::audit::Signer;
use crate::store::StoreError;

/// The time for entries.
pub(super) fn now() -> UnixTime {
    UnixTime::from_system(SystemTime::now())
}

/// Signs regularly, until the server stops.
pub(super) async fn keep(state: Arc<State>, signer: Arc<Signer>, stop: CancellationToken) {
    let mut turns = tokio::time::interval(state.config.checkpoint_every);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = turns.tick() => sign(&state, &signer).await,
            () = stop.cancelled() => return,
        }
    }
}

/// Signs, if there are entries behind the last checkpoint.
pub(super) async fn sign(state: &State, signer: &Signer) {
    let signed: Result<(), StoreError> = async {
        let head = state.store.head().await?;
        let last = state.store.last_checkpoint().await?;
        if last.is_none_or(|last| last.seq < head.seq) {
            state
                .store
                .add_checkpoint(signer.sign(&head, now()))
                .await?;
        }
        Ok(())
    }
    .await;
    if let Err(error) = signed {
        state.metrics.failures.fetch_add(1, Ordering::Relaxed);
        tracing::error!(%error, "the end of the log could not be signed");
    }
}

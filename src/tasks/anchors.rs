//! One anchor: given the newest checkpoint on its schedule, if it has not got that one yet.

use std::time::Duration;

use crate::anchor::{Anchor, Means, Parcel};
use crate::clock::Clock;
use crate::lifecycle::Tasks;
use crate::notary::Notary;
use crate::store::Store;
use crate::telemetry;

/// The first wait after a failure; then twice as long each time.
const FIRST: Duration = Duration::from_secs(15);
/// The longest wait after a failure.
const LONGEST: Duration = Duration::from_secs(3600);

/// What the task works with.
#[derive(Clone, Debug)]
pub struct Anchoring {
    /// The database.
    pub store: Store,
    /// Who signs.
    pub notary: Notary,
    /// The time.
    pub clock: Clock,
    /// How deliveries are made.
    pub means: Means,
}

/// Keeps one place up to date until the process stops.
pub async fn anchor(anchor: Anchor, with: Anchoring, tasks: Tasks) {
    let work = async {
        let id = anchor.place.id();
        // What it has, and when it is next due: a restart is no reason to send anything twice.
        let (mut has, mut due) = match with.store.anchors().await {
            Ok(known) => {
                let last = known.iter().find(|known| known.id == id).and_then(|known| known.last);
                last.map_or((0, with.clock.now()), |(size, at)| (size, at.after(anchor.every)))
            }
            Err(error) => {
                tracing::error!(%error, "what an anchor has got already could not be read; it is sent the newest");
                (0, with.clock.now())
            }
        };
        let mut failures = 0_u32;
        loop {
            // A clock that was set back must not silence an anchor.
            with.clock.sleep_until(due.min(with.clock.now().after(anchor.every))).await;
            with.notary.signed_another(has).await;
            match deliver(&anchor, &with).await {
                Ok(size) => (has, failures, due) = (size, 0, with.clock.now().after(anchor.every)),
                Err(()) => {
                    failures += 1;
                    let wait = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST);
                    due = with.clock.now().after(wait);
                }
            }
        }
    };
    tokio::select! {
        () = tasks.stopped() => {}
        () = work => {}
    }
}

/// One attempt: how many entries the place knows of now.
async fn deliver(anchor: &Anchor, with: &Anchoring) -> Result<u64, ()> {
    let (id, kind) = (anchor.place.id(), anchor.place.kind());
    let newest = match with.store.last_checkpoint().await {
        Ok(Some(newest)) => newest,
        Ok(None) => return Err(()),
        Err(error) => {
            tracing::error!(%error, "the last checkpoint could not be read");
            return Err(());
        }
    };
    let parcel = Parcel { note: &newest.note, size: newest.size, at: with.clock.now() };
    let (written, delivered) = match with.means.deliver(&anchor.place, parcel).await {
        Ok(()) => {
            telemetry::anchored(kind, &id, newest.size);
            (with.store.anchor_reached(&id, newest.size).await, Ok(newest.size))
        }
        Err(undelivered) => {
            telemetry::anchor_failed(kind, &id);
            let why = &undelivered.why;
            tracing::error!(anchor = id, kind, why, "a checkpoint did not reach its anchor; trying again");
            (with.store.anchor_missed(&id, why, undelivered.said.as_deref()).await, Err(()))
        }
    };
    if let Err(error) = written {
        tracing::error!(%error, anchor = id, "what became of a checkpoint could not be written down");
    }
    delivered
}

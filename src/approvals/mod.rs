//! The life of held calls: the only writer of call state.
//!
//! `submit` holds a call, `decide` takes a reviewer's verdict, `cancel` takes the call back, `expire` enforces the
//! deadlines, `release` runs an approved call once, `recover` finds after a restart what was left open, `find` records
//! what a person found out about a call that may have run, `standing` lets calls pass that a reviewer need not see. Each step is one transaction; who waits hears of it after its
//! commit.

mod attach;
mod cancel;
mod decide;
mod eligible;
mod events;
mod expire;
mod find;
mod forward;
mod kept;
mod recover;
mod release;
mod restore;
mod standing;
mod submit;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, broadcast, watch};

pub use attach::Attached;
pub use cancel::NotCancelled;
pub use decide::{Channel, DecideError, Decision};
pub use eligible::{Ineligible, may_accept, may_decide};
pub use events::CallChanged;
pub use find::{Find, FindError};
pub use forward::{BoxFuture, Forward, ForwardError, Rules};
pub use kept::Kept;
pub use restore::settle;
pub use standing::{EndError, Grant, GrantError};
pub use submit::{How, NewCall, SubmitError, Submitted};

pub use crate::seal::Seal;

use crate::call::HeldCall;
use crate::clock::Entropy;
use crate::lifecycle::Tasks;
use crate::store::{HoldLimits, Store};

/// What is configured about holding.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Bounds on one agent, and how long answers are kept.
    pub limits: HoldLimits,
    /// Owners may decide their own agents' calls; every page and entry says so.
    pub self_approval: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: HoldLimits {
                pending: 20,
                new_per_hour: 30,
                result_ttl: Duration::from_secs(3600),
                rejection_ttl: Duration::from_secs(600),
            },
            self_approval: false,
        }
    }
}

/// The held calls of this process. Clones share them.
#[derive(Clone)]
pub struct Approvals(Arc<Inner>);

struct Inner {
    store: Store,
    entropy: Entropy,
    tasks: Tasks,
    seal: Seal,
    forward: Arc<dyn Forward>,
    rules: Arc<dyn Rules>,
    settings: Settings,
    events: events::Events,
    deadlines: Notify,
    outbox: Notify,
    /// How many releases are running.
    running: watch::Sender<usize>,
}

impl std::fmt::Debug for Approvals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Approvals").field("settings", &self.0.settings).finish_non_exhaustive()
    }
}

impl Approvals {
    /// The approvals over this store, releasing through `forward` what `rules` still allow.
    #[must_use]
    pub fn new(
        store: Store,
        entropy: Entropy,
        tasks: Tasks,
        seal: Seal,
        forward: Arc<dyn Forward>,
        rules: Arc<dyn Rules>,
        settings: Settings,
    ) -> Self {
        let (events, deadlines, outbox) = (events::Events::new(), Notify::new(), Notify::new());
        let running = watch::Sender::new(0);
        Self(Arc::new(Inner {
            store,
            entropy,
            tasks,
            seal,
            forward,
            rules,
            settings,
            events,
            deadlines,
            outbox,
            running,
        }))
    }

    /// What is configured.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Every change of every call, after its commit. Who falls behind by 1024 misses some and reads again.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<CallChanged> {
        self.0.events.subscribe()
    }

    /// Returns when a deadline may have come nearer.
    pub async fn deadlines_changed(&self) {
        self.0.deadlines.notified().await;
    }

    /// Returns when the outbox may have something new.
    pub async fn outbox_changed(&self) {
        self.0.outbox.notified().await;
    }

    /// Wakes everybody whom a committed change concerns.
    fn announce(&self, call: &HeldCall) {
        self.0.events.publish(call);
        self.0.deadlines.notify_one();
        self.0.outbox.notify_one();
    }
}

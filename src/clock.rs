//! Time, passed in: the system's in service, a test's own under test.
//!
//! Placet's time never runs backwards and never stands still. It is the machine's clock while that runs as it should.
//! Where somebody sets that clock back, Placet's time goes on from where it was, by a clock that nobody can set (the
//! time since the machine was booted); where it is set forward, Placet's time follows at once. So a deadline may come
//! early, never late, and nothing that is over is ever open again.

mod entropy;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub use entropy::Entropy;

use crate::call::Millis;

/// The machine's clock was set, if it moved against the unsettable one by this much between two looks; less is how
/// clocks are kept right.
const JUMP: i64 = 3_000;

/// What time it is, and how to wait for another. Clones share the same time.
#[derive(Clone, Debug)]
pub struct Clock {
    hands: Arc<Hands>,
    told: Arc<Mutex<Told>>,
    /// Names this boot of this machine, where it has a name.
    boot: Option<Arc<str>>,
}

/// Where the readings come from.
#[derive(Debug)]
enum Hands {
    System,
    Manual(watch::Sender<Reading>),
    /// The machine's clock, running faster since a moment of the machine's; never outside tests.
    #[cfg(feature = "failpoints")]
    Hurried {
        /// Before this moment it shows the machine's time.
        since: i64,
        /// How many times as fast.
        times: i64,
    },
}

/// What the machine says, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Reading {
    /// Its clock, which people and programs set: since 1970.
    wall: i64,
    /// Since the machine was booted; nobody sets it.
    steady: i64,
}

/// What was told of it so far.
#[derive(Debug)]
struct Told {
    /// Placet's time when the machine was booted, had it run then. It only ever grows.
    zero: i64,
    /// The same by the machine's clock, at the last look.
    lead: i64,
    jump: Option<Jump>,
}

/// The machine's clock was set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Jump {
    /// How far, in milliseconds; negative: backwards. The sum, where it was set more than once.
    pub by: i64,
    /// How often.
    pub times: u32,
}

/// What is kept over a restart, so that time goes on by the unsettable clock while no process runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Names one boot of one machine; nothing of this holds after another.
    pub boot: String,
    /// Placet's time at that boot.
    pub zero: i64,
    /// The same by the machine's clock when this was written.
    pub lead: i64,
}

impl Kept {
    /// Whether the two say the same, small corrections of the clock apart.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let near = |a: i64, b: i64| a.abs_diff(b) < 1000;
        self.boot == other.boot && near(self.zero, other.zero) && near(self.lead, other.lead)
    }
}

impl Clock {
    fn new(hands: Arc<Hands>) -> Self {
        let (lead, boot) = (hands.read().lead(), hands.boot().map(Into::into));
        Self { hands, boot, told: Arc::new(Mutex::new(Told { zero: lead, lead, jump: None })) }
    }

    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::new(Arc::new(Hands::System))
    }

    /// A clock that stands at `now` until it is moved.
    #[must_use]
    pub fn manual(now: Millis) -> Self {
        Self::new(Arc::new(Hands::Manual(watch::Sender::new(Reading { wall: now.0, steady: 0 }))))
    }

    /// The same hands as a process sees them that has just begun: it knows nothing of what was told before.
    #[must_use]
    pub fn restarted(&self) -> Self {
        Self::new(Arc::clone(&self.hands))
    }

    /// The clock of a process in service: the machine's. Crash tests, which start such processes, hurry it by
    /// `PLACET_CLOCK=SINCE*TIMES`, so that they need not wait for deadlines.
    #[must_use]
    pub fn of_process() -> Self {
        #[cfg(feature = "failpoints")]
        if let Ok(text) = std::env::var("PLACET_CLOCK") {
            let read = text.split_once('*').and_then(|(since, times)| {
                Some(Hands::Hurried { since: since.parse().ok()?, times: times.parse().ok()? })
            });
            let hands = read.unwrap_or_else(|| panic!("PLACET_CLOCK={text} is not SINCE*TIMES"));
            return Self::new(Arc::new(hands));
        }
        Self::system()
    }

    /// Now: Placet's time.
    #[must_use]
    pub fn now(&self) -> Millis {
        self.look(|told, reading| Millis(told.zero.saturating_add(reading.steady)))
    }

    /// What the machine's clock says.
    #[must_use]
    pub fn machine(&self) -> Millis {
        self.look(|_, reading| Millis(reading.wall))
    }

    /// How far Placet's time is ahead of the machine's clock: more than a little only after that was set back.
    #[must_use]
    pub fn ahead(&self) -> Duration {
        self.look(|told, _| Duration::from_millis(told.zero.abs_diff(told.lead)))
    }

    /// That the machine's clock was set since this was last asked.
    #[must_use]
    pub fn take_jump(&self) -> Option<Jump> {
        self.look(|told, _| told.jump.take())
    }

    /// Takes a jump back that could not be written down: it is told again.
    pub fn put_back(&self, jump: Jump) {
        let mut told = self.told();
        let later = told.jump.unwrap_or(Jump { by: 0, times: 0 });
        let (by, times) = (jump.by.saturating_add(later.by), jump.times.saturating_add(later.times));
        told.jump = Some(Jump { by, times });
    }

    /// What to keep over a restart; `None` where the machine does not tell one boot from another.
    #[must_use]
    pub fn kept(&self) -> Option<Kept> {
        let boot = self.boot.clone()?;
        Some(self.look(|told, _| Kept { boot: boot.to_string(), zero: told.zero, lead: told.lead }))
    }

    /// Goes on after a restart: no moment from now on lies before `latest`, the latest that was ever written down, nor
    /// before what `kept` comes to.
    pub fn resume(&self, latest: Millis, kept: Option<&Kept>) {
        self.look(|told, reading| {
            let same = kept.filter(|kept| self.boot.as_deref() == Some(kept.boot.as_str()));
            told.zero = told.zero.max(latest.0.saturating_sub(reading.steady)).max(same.map_or(i64::MIN, |k| k.zero));
            let expected = match (same, kept) {
                (Some(kept), _) => kept.lead,
                (None, Some(kept)) => told.zero.saturating_sub(kept.zero.saturating_sub(kept.lead)),
                (None, None) => told.zero,
            };
            told.moved(told.lead.saturating_sub(expected));
        });
    }

    /// One look at the hands. Nobody else looks meanwhile, so that what is told never runs backwards.
    fn look<T>(&self, tell: impl FnOnce(&mut Told, Reading) -> T) -> T {
        let mut told = self.told();
        let reading = self.hands.read();
        let lead = reading.lead();
        let by = lead.saturating_sub(told.lead);
        told.moved(by);
        told.lead = lead;
        told.zero = told.zero.max(lead);
        tell(&mut told, reading)
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the hands of a manual clock as somebody sets a machine's, forwards or backwards, and wakes who sleeps. No
    /// time passes by it. The system's clock is not moved.
    pub fn set(&self, now: Millis) {
        self.turn(|reading| reading.wall = now.0);
    }

    /// Lets time pass on a manual clock.
    pub fn advance(&self, span: Duration) {
        let span = i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
        self.turn(|reading| {
            reading.wall = reading.wall.saturating_add(span);
            reading.steady = reading.steady.saturating_add(span);
        });
    }

    fn turn(&self, turn: impl FnOnce(&mut Reading)) {
        if let Hands::Manual(hands) = &*self.hands {
            hands.send_modify(turn);
        }
    }

    /// Returns at `moment`, or at once if it is past. On the system's clock it looks again every minute at the
    /// latest, so that a clock that is set while we sleep does not hold a deadline back.
    pub async fn sleep_until(&self, moment: Millis) {
        match &*self.hands {
            Hands::System => loop {
                let left = moment.since(self.now());
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(Duration::from_secs(60))).await;
            },
            Hands::Manual(hands) => {
                // Listens before it looks. The sender lives in `self`, so the wait does not break off.
                let mut turns = hands.subscribe();
                while self.now() < moment && turns.changed().await.is_ok() {}
            }
            #[cfg(feature = "failpoints")]
            Hands::Hurried { times, .. } => loop {
                let left = moment.since(self.now());
                if left.is_zero() {
                    return;
                }
                // Rounded up: whoever wakes a moment early would only look again.
                let times = u32::try_from(*times).unwrap_or(1).max(1);
                tokio::time::sleep((left / times + Duration::from_millis(1)).min(Duration::from_secs(60))).await;
            },
        }
    }

    /// Returns after `span`.
    pub async fn sleep(&self, span: Duration) {
        self.sleep_until(self.now().after(span)).await;
    }
}

impl Told {
    fn moved(&mut self, by: i64) {
        if by.abs() >= JUMP {
            let known = self.jump.unwrap_or(Jump { by: 0, times: 0 });
            self.jump = Some(Jump { by: known.by.saturating_add(by), times: known.times.saturating_add(1) });
        }
    }
}

impl Reading {
    fn lead(self) -> i64 {
        self.wall.saturating_sub(self.steady)
    }
}

impl Hands {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the system for the time")]
    fn read(&self) -> Reading {
        match self {
            Self::System => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                let booted = rustix::time::clock_gettime(STEADY);
                Reading {
                    wall: i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
                    steady: booted.tv_sec.saturating_mul(1000).saturating_add(booted.tv_nsec / 1_000_000),
                }
            }
            Self::Manual(hands) => *hands.borrow(),
            #[cfg(feature = "failpoints")]
            Self::Hurried { since, times } => {
                let Reading { wall, steady } = Self::System.read();
                let gained = wall.saturating_sub(*since).max(0).saturating_mul(times.saturating_sub(1));
                Reading { wall: wall.saturating_add(gained), steady: steady.saturating_add(gained) }
            }
        }
    }

    /// A name for this boot of this machine.
    fn boot(&self) -> Option<String> {
        match self {
            #[cfg(feature = "failpoints")]
            Self::Hurried { .. } => Self::System.boot(),
            Self::System => {
                let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
                Some(id.trim().to_owned()).filter(|id| !id.is_empty())
            }
            Self::Manual(_) => Some("manual".to_owned()),
        }
    }
}

/// Goes on while the machine sleeps, where there is such a clock.
#[cfg(target_os = "linux")]
const STEADY: rustix::time::ClockId = rustix::time::ClockId::Boottime;
#[cfg(not(target_os = "linux"))]
const STEADY: rustix::time::ClockId = rustix::time::ClockId::Monotonic;

#[cfg(test)]
#[path = "clock/tests.rs"]
mod tests;

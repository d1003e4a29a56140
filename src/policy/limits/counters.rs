//! The counters themselves: taken together or not at all, given back, kept over a restart, forgotten when their time is
//! over.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::sync::Arc;

use super::amount::Amount;
use super::kept::{BadKept, Kept};
use super::window::{Fit, Slot, Slots, Window};
use super::{Add, CounterName, Exceeded, LimitScope, LimitUse, NotReserved, Scope, TOO_LONG, Uncountable};
use crate::call::{AgentId, Millis, UpstreamName};
use crate::policy::path::Path;
use crate::policy::pattern::without_upstream;

/// How many counters one limit keeps in one window. Only `scope: "tool"` can come near: the agent chooses the names.
/// Beyond it the limit counts as reached, for what it has not seen in this window.
const MOST_COUNTERS: usize = 100_000;

/// Who shares a counter, of those that its scope tells apart.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Sharer {
    Grant(AgentId, UpstreamName),
    Agent(AgentId),
    Upstream(UpstreamName),
    Tool(UpstreamName, String),
    Global,
}

impl Sharer {
    fn of(scope: Scope, who: &LimitScope<'_>) -> Self {
        match scope {
            Scope::Grant => Self::Grant(who.agent, who.upstream.clone()),
            Scope::Agent => Self::Agent(who.agent),
            Scope::Upstream => Self::Upstream(who.upstream.clone()),
            Scope::Tool => {
                let tool = without_upstream(who.upstream, who.tool).unwrap_or(who.tool);
                Self::Tool(who.upstream.clone(), tool.to_owned())
            }
            Scope::Global => Self::Global,
        }
    }
}

/// What one call took from its counters.
#[derive(Debug)]
#[must_use = "an allowed call that Placet failed to forward gives it back"]
pub struct Reservation {
    taken: Vec<Taken>,
}

impl Reservation {
    /// Whether nothing was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }

    /// What is to be kept over a restart, once the call goes on.
    #[must_use]
    pub fn kept(&self) -> Vec<Kept> {
        self.taken.iter().map(Kept::new).collect()
    }
}

/// What was taken from one counter.
#[derive(Debug)]
pub(super) struct Taken {
    pub name: Arc<CounterName>,
    pub sharer: Sharer,
    /// What was added.
    add: Amount,
    /// The part of the window as it was then, this included.
    pub slot: Slot,
}

/// What a call wants of one counter, however many limits look at it.
struct Wanted<'l> {
    name: &'l Arc<CounterName>,
    sharer: Sharer,
    /// Once for all limits: the most that one of them counts a call as, or the sum of the arguments that they add up.
    add: Amount,
    /// The arguments that are added up.
    summed: Vec<&'l Path>,
    sum: Amount,
}

impl<'l> Wanted<'l> {
    /// Adds what one limit says.
    fn put(&mut self, limit: &'l LimitUse, who: &LimitScope<'_>) -> Result<(), Uncountable> {
        let own = limit.add.of(who.arguments)?;
        let Add::Sum { rule, path } = &limit.add else {
            self.add = own.max(std::mem::replace(&mut self.add, Amount::ZERO));
            return Ok(());
        };
        if !self.summed.contains(&path) {
            self.summed.push(path);
            let too_long = || Uncountable { rule: rule.clone(), argument: path.in_full(), why: TOO_LONG };
            self.sum = self.sum.plus(&own).ok_or_else(too_long)?;
            self.add = self.sum.clone().max(std::mem::replace(&mut self.add, Amount::ZERO));
        }
        Ok(())
    }
}

/// The counters of one limit, one for each who shares it.
#[derive(Clone, Debug)]
struct Family {
    window: Window,
    /// The round in which it was last looked through for what has ended.
    round: i64,
    /// The part of the window in which it was.
    part: i64,
    sharers: HashMap<Sharer, Slots>,
}

impl Family {
    fn new(window: Window) -> Self {
        Self { window, round: i64::MIN, part: i64::MIN, sharers: HashMap::new() }
    }

    /// Forgets what has ended.
    fn sweep(&mut self, now: Millis) {
        (self.round, self.part) = (self.window.round(now), self.window.part(now));
        self.sharers.retain(|_, slots| {
            slots.settle(self.window, now);
            !slots.0.is_empty()
        });
        if self.sharers.capacity() / 4 > self.sharers.len() {
            self.sharers.shrink_to_fit();
        }
    }

    /// Whether there is room for one more who shares it.
    fn has_room(&mut self, now: Millis) -> bool {
        if self.sharers.len() >= MOST_COUNTERS && self.part != self.window.part(now) {
            self.sweep(now);
        }
        self.sharers.len() < MOST_COUNTERS
    }
}

/// Every counter in force. Survives an edit of the policy; holds nothing of windows that have ended, but for one
/// window of each limit.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    families: HashMap<Arc<CounterName>, Family>,
    /// Of the last change.
    seq: i64,
}

impl Counters {
    /// Counters that have seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds to every counter of these limits, or to none.
    ///
    /// # Errors
    /// What a limit adds up cannot be; or some limit is reached: of several the one that holds longest is named.
    pub fn reserve<L: Borrow<LimitUse>>(
        &mut self,
        limits: &[L],
        who: &LimitScope<'_>,
        now: Millis,
    ) -> Result<Reservation, NotReserved> {
        let now = reckoned(now);
        let (mut wanted, mut checks) = (Vec::<Wanted<'_>>::new(), Vec::new());
        for limit in limits.iter().map(Borrow::borrow) {
            let at = wanted.iter().position(|known| *known.name == limit.name).unwrap_or(wanted.len());
            if at == wanted.len() {
                let (sharer, add, sum) = (Sharer::of(limit.name.scope, who), Amount::ZERO, Amount::ZERO);
                wanted.push(Wanted { name: &limit.name, sharer, add, summed: Vec::new(), sum });
            }
            wanted[at].put(limit, who).map_err(NotReserved::Uncountable)?;
            checks.push((at, limit));
        }
        let mut exceeded: Option<(Fit, &LimitUse)> = None;
        for (at, limit) in checks {
            let fit = self.fit(&wanted[at], limit, now);
            if fit > exceeded.map_or(Fit::Now, |(longest, _)| longest) {
                exceeded = Some((fit, limit));
            }
        }
        match exceeded {
            None => Ok(self.take(wanted, now)),
            Some((fit, limit)) => Err(NotReserved::Exceeded(Exceeded {
                rule: limit.rule.clone(),
                retry_at: if let Fit::At(moment) = fit { Some(moment) } else { None },
                on_deny: limit.on_deny.clone(),
            })),
        }
    }

    fn fit(&mut self, wanted: &Wanted<'_>, limit: &LimitUse, now: Millis) -> Fit {
        let Wanted { name, sharer, add, .. } = wanted;
        let family = self.family(name, now);
        let allows = |sum: &Amount| limit.bound.as_ref().is_none_or(|bound| bound.allows(sum));
        if let Some(slots) = family.sharers.get_mut(sharer) {
            slots.settle(family.window, now);
            return slots.fit(add, allows);
        }
        if add.is_zero() || family.has_room(now) {
            Slots::default().fit(add, allows)
        } else {
            Fit::At(family.window.end(now))
        }
    }

    /// Adds what was found to fit.
    fn take(&mut self, wanted: Vec<Wanted<'_>>, now: Millis) -> Reservation {
        self.seq += 1;
        let mut taken = Vec::with_capacity(wanted.len());
        for Wanted { name, sharer, add, .. } in wanted.into_iter().filter(|wanted| !wanted.add.is_zero()) {
            let seq = self.seq;
            let family = self.family(name, now);
            let slots = family.sharers.entry(sharer.clone()).or_default();
            if let Some(slot) = slots.take(family.window, now, &add, seq).cloned() {
                taken.push(Taken { name: Arc::clone(name), sharer, add, slot });
            }
        }
        Reservation { taken }
    }

    /// Undoes a reservation, as far as its windows still last. Gives what has to be kept of that: nothing where the
    /// reservation was never `written` down and no later one was made that counts it.
    pub fn give_back(&mut self, reservation: Reservation, written: bool) -> Vec<Kept> {
        self.seq += 1;
        let mut kept = Vec::new();
        for Taken { name, sharer, add, slot } in reservation.taken {
            let Some(family) = self.families.get_mut(&name) else { continue };
            let Some(slots) = family.sharers.get_mut(&sharer) else { continue };
            let Some(own) = slots.0.iter_mut().find(|own| own.part == slot.part) else { continue };
            own.amount = own.amount.minus(&add);
            if written || own.seq != slot.seq {
                own.seq = self.seq;
                kept.push(Kept::of(&name, &sharer, own));
            }
            slots.0.retain(|slot| !slot.amount.is_zero());
            if slots.0.is_empty() {
                family.sharers.remove(&sharer);
            }
        }
        kept
    }

    /// Goes on from what an earlier process kept. Gives what has to be written down anew: of what was counted by a clock
    /// that was far ahead, which now counts in the window of this moment.
    ///
    /// # Errors
    /// A row that this program cannot have written.
    pub fn resume(&mut self, rows: Vec<Kept>, now: Millis) -> Result<Vec<Kept>, BadKept> {
        let now = reckoned(now);
        self.seq = rows.iter().map(|row| row.seq).fold(self.seq, i64::max);
        let mut moved = Vec::new();
        for row in rows {
            let (name, sharer, slot) = row.read()?;
            let window = name.window;
            if slot.ends <= now || slot.amount.is_zero() {
                continue;
            }
            let family = self.families.entry(Arc::clone(&name)).or_insert_with(|| Family::new(window));
            let slots = family.sharers.entry(sharer.clone()).or_default();
            if window.is_ahead(slot.ends, now) {
                self.seq += 1;
                moved.push(Kept { amount: Amount::ZERO.to_string(), seq: self.seq, ..row });
                let here = slots.insert(Slot { part: window.part(now), ends: window.end(now), ..slot }, self.seq);
                moved.push(Kept::of(&name, &sharer, &here));
            } else {
                let seq = slot.seq;
                slots.insert(slot, seq);
            }
        }
        Ok(moved)
    }

    /// Forgets what has ended.
    pub fn forget_ended(&mut self, now: Millis) {
        let now = reckoned(now);
        self.families.retain(|_, family| {
            family.sweep(now);
            !family.sharers.is_empty()
        });
    }

    /// How many counters are kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.families.values().map(|family| family.sharers.len()).sum()
    }

    /// Whether nothing is counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn family(&mut self, name: &Arc<CounterName>, now: Millis) -> &mut Family {
        if !self.families.contains_key(name) {
            // A limit appears: the moment to forget those that an edit has removed.
            self.forget_ended(now);
        }
        let family = self.families.entry(Arc::clone(name)).or_insert_with(|| Family::new(name.window));
        if family.round != family.window.round(now) {
            family.sweep(now);
        }
        family
    }
}

/// A moment from which every window can be reckoned, whatever the clock says.
fn reckoned(now: Millis) -> Millis {
    Millis(now.0.clamp(i64::MIN / 4, i64::MAX / 4))
}

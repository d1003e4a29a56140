//! Windows, and what was counted in the parts of one.
//!
//! A fixed window begins at a multiple of its length since the Unix epoch, which for second, minute, hour and day is the
//! UTC calendar; it has one part, itself. A sliding window is the time of its length up to now. It has sixty parts, each
//! counted whole until its last call is as old as the window is long: so no span of that length ever holds more than is
//! allowed, and less only for calls that shared a part with a later one.

use std::time::Duration;

use super::amount::Amount;
use crate::call::Millis;

/// So many parts has a sliding window.
const PARTS: i64 = 60;

/// Over which time is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::policy) struct Window {
    pub length: Duration,
    pub sliding: bool,
}

impl Window {
    pub(in crate::policy) fn fixed(length: Duration) -> Self {
        Self { length, sliding: false }
    }

    /// In milliseconds.
    fn span(self) -> i64 {
        i64::try_from(self.length.as_millis()).unwrap_or(i64::MAX).max(1)
    }

    fn part_span(self) -> i64 {
        if self.sliding { self.span().saturating_add(PARTS - 1) / PARTS } else { self.span() }
    }

    /// The number of the part that `now` is in.
    pub(super) fn part(self, now: Millis) -> i64 {
        now.0.div_euclid(self.part_span())
    }

    /// The number of the window that would be this one if it were fixed.
    pub(super) fn round(self, now: Millis) -> i64 {
        now.0.div_euclid(self.span())
    }

    /// From when on a call of `now` no longer counts.
    pub(super) fn end(self, now: Millis) -> Millis {
        if self.sliding { Millis(now.0.saturating_add(self.span())) } else { self.end_of(self.part(now)) }
    }

    /// From when on nothing of this part counts.
    fn end_of(self, part: i64) -> Millis {
        let behind = part.saturating_add(1).saturating_mul(self.part_span());
        Millis(if self.sliding { behind.saturating_sub(1).saturating_add(self.span()) } else { behind })
    }

    /// Whether what ends then can have been counted in this part.
    pub(super) fn fits(self, part: i64, ends: Millis) -> bool {
        let first = self.end(Millis(part.saturating_mul(self.part_span())));
        first <= ends && ends <= self.end_of(part)
    }

    /// Whether what ends then was counted by a clock that was ahead of this one by more than the window. A clock that is
    /// set back a little must not give a quota twice, and one that is set back far must not hold anybody until time
    /// catches up.
    pub(super) fn is_ahead(self, ends: Millis, now: Millis) -> bool {
        ends.0 > now.0.saturating_add(self.span().saturating_mul(2))
    }
}

/// What was counted in one part of a window.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    /// The part's number.
    pub part: i64,
    /// From when on it no longer counts.
    pub ends: Millis,
    pub amount: Amount,
    /// Of the last change: grows with every one, over restarts too.
    pub seq: i64,
}

/// What one counter holds for one who shares it: the parts, the oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Slots(pub Vec<Slot>);

/// Whether and when a call fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    Now,
    At(Millis),
    Never,
}

impl Slots {
    /// Lets go of what no longer counts.
    pub(super) fn settle(&mut self, window: Window, now: Millis) {
        self.0.retain(|slot| slot.ends > now && !window.is_ahead(slot.ends, now));
    }

    /// The earliest moment at which a call that adds so much fits, as far as is known now.
    pub(super) fn fit(&self, add: &Amount, allows: impl Fn(&Amount) -> bool) -> Fit {
        if !allows(add) {
            return Fit::Never;
        }
        let mut sum = add.clone();
        // They end in their order, so whatever is older than one that does not fit has ended when that one has.
        for slot in self.0.iter().rev() {
            match sum.plus(&slot.amount).filter(&allows) {
                Some(more) => sum = more,
                None => return Fit::At(slot.ends),
            }
        }
        Fit::Now
    }

    /// Adds to the part that `now` is in, and gives what it is then; `None` where that would be too large.
    pub(super) fn take(&mut self, window: Window, now: Millis, add: &Amount, seq: i64) -> Option<&Slot> {
        let part = window.part(now);
        match self.0.last_mut() {
            // One that is ahead was counted before the clock was set back.
            Some(slot) if slot.part >= part => {
                slot.amount = slot.amount.plus(add)?;
                slot.ends = slot.ends.max(window.end(now));
                slot.seq = seq;
            }
            _ => {
                if self.0.is_empty() {
                    self.0.reserve_exact(1);
                }
                self.0.push(Slot { part, ends: window.end(now), amount: add.clone(), seq });
            }
        }
        self.0.last()
    }

    /// Puts a part in its place, or adds it to what is there of it; gives what it is then.
    pub(super) fn insert(&mut self, new: Slot, seq: i64) -> Slot {
        let at = self.0.partition_point(|slot| slot.part < new.part);
        match self.0.get_mut(at) {
            Some(slot) if slot.part == new.part => {
                // What would be too large to be added is so large that no limit allows a call beside it.
                slot.amount = slot.amount.plus(&new.amount).unwrap_or_else(|| slot.amount.clone().max(new.amount));
                slot.ends = slot.ends.max(new.ends);
                slot.seq = seq;
                slot.clone()
            }
            _ => {
                self.0.insert(at, Slot { seq, ..new });
                self.0[at].clone()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Window = Window { length: Duration::from_secs(60), sliding: false };
    const SLIDING: Window = Window { length: Duration::from_secs(60), sliding: true };

    #[test]
    fn a_part_has_one_end_or_a_span_of_them() {
        assert_eq!((MINUTE.part(Millis(59_999)), MINUTE.end(Millis(59_999))), (0, Millis(60_000)));
        assert_eq!((MINUTE.part(Millis(-1)), MINUTE.end(Millis(-1))), (-1, Millis(0)));
        assert!(
            MINUTE.fits(3, Millis(240_000)) && !MINUTE.fits(3, Millis(240_001)) && !MINUTE.fits(2, Millis(240_000))
        );
        assert_eq!((SLIDING.part(Millis(1999)), SLIDING.end(Millis(1999))), (1, Millis(61_999)));
        assert!(SLIDING.fits(1, Millis(61_000)) && SLIDING.fits(1, Millis(61_999)));
        assert!(!SLIDING.fits(1, Millis(60_999)) && !SLIDING.fits(1, Millis(62_000)));
        for now in [i64::MIN, -1, 0, i64::MAX] {
            for window in [MINUTE, SLIDING, Window::fixed(Duration::MAX)] {
                let part = window.part(Millis(now));
                let _ = (window.end(Millis(now)), window.fits(part, Millis(now)), window.round(Millis(now)));
            }
        }
    }

    #[test]
    fn the_parts_of_a_sliding_window_are_few() {
        for length in [1, 7, 59, 60, 3600, 86_400] {
            let window = Window { length: Duration::from_secs(length), sliding: true };
            let mut slots = Slots::default();
            for now in (0..i64::try_from(length).unwrap() * 3000).step_by(1 + usize::try_from(length).unwrap() / 2) {
                slots.settle(window, Millis(now));
                slots.take(window, Millis(now), &Amount::Whole(1), now).unwrap();
                assert!(slots.0.len() <= 62, "{length}: {}", slots.0.len());
                assert!(slots.0.is_sorted_by(|a, b| a.part < b.part && a.ends <= b.ends));
            }
        }
    }
}

//! Slows down who guesses passwords, without locking out whom they guess.
//!
//! Failures are counted for each address and for each account. After a few free tries each further one must wait
//! twice as long as the one before, up to a minute; a try that comes too early is refused unheard and does not
//! lengthen the wait. An address from which the account was signed in to before has a count of its own, so a stranger
//! who fails on purpose does not make its owner wait. Kept in memory: a restart forgives, addresses are never stored.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::call::{Digest, Millis};

/// Tries before the first wait, for one account and for one address (an office may share one).
const FREE_ACCOUNT: u32 = 5;
const FREE_ADDRESS: u32 = 20;
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(60);
/// After this long without a try a count is forgotten.
const FORGET: Duration = Duration::from_secs(3600);
/// Counts kept at most; the stalest go first.
const CAPACITY: usize = 20_000;

/// Where a request comes from: one IPv4 address, or one IPv6 network of 64 bits, as one person can use all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Source(Option<IpAddr>);

impl Source {
    /// The source that an address belongs to; all without a known address are one.
    #[must_use]
    pub fn new(address: Option<IpAddr>) -> Self {
        Self(address.map(|address| match address.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
            v4 @ IpAddr::V4(_) => v4,
        }))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    Source(Source),
    /// Tries on an account by strangers.
    Account(Digest),
    /// Tries on an account from where it was signed in to before.
    Familiar(Digest, Source),
}

#[derive(Clone, Copy, Debug)]
struct Count {
    failures: u32,
    open_at: Millis,
    last: Millis,
}

/// The counts of the process.
#[derive(Debug, Default)]
pub struct Throttle {
    counts: HashMap<Key, Count>,
}

impl Throttle {
    /// Begins a try on `account` (its hash: what was typed is not kept) from `source`. It counts as a failure until
    /// [`Throttle::succeeded`], so that many tries at once do not slip through before the first is judged.
    ///
    /// # Errors
    /// How long to wait.
    pub fn begin(&mut self, account: Digest, source: Source, now: Millis) -> Result<(), Duration> {
        let familiar = Key::Familiar(account, source);
        let person = if self.counts.contains_key(&familiar) { familiar } else { Key::Account(account) };
        let keys = [(person, FREE_ACCOUNT), (Key::Source(source), FREE_ADDRESS)];
        let wait = keys.iter().filter_map(|(key, _)| self.counts.get(key)).map(|c| c.open_at.since(now)).max();
        if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
            return Err(wait);
        }
        self.make_room(now);
        for (key, free) in keys {
            let count = self.counts.entry(key).or_insert(Count { failures: 0, open_at: now, last: now });
            if now.since(count.last) >= FORGET {
                count.failures = 0;
            }
            count.failures = count.failures.saturating_add(1);
            count.last = now;
            count.open_at = now.after(delay(count.failures, free));
        }
        Ok(())
    }

    /// The try was right: the counts start anew, and the source is familiar from now on.
    pub fn succeeded(&mut self, account: Digest, source: Source, now: Millis) {
        let fresh = Count { failures: 0, open_at: now, last: now };
        self.counts.insert(Key::Familiar(account, source), fresh);
        self.counts.remove(&Key::Account(account));
        // Only this try is taken back: a guesser with an account of its own gets no free tries on others by it.
        if let Some(count) = self.counts.get_mut(&Key::Source(source)) {
            count.failures = count.failures.saturating_sub(1);
            count.open_at = now.after(delay(count.failures, FREE_ADDRESS));
        }
    }

    fn make_room(&mut self, now: Millis) {
        if self.counts.len() < CAPACITY {
            return;
        }
        self.counts.retain(|_, count| now.since(count.last) < FORGET);
        if self.counts.len() >= CAPACITY {
            let mut ages: Vec<Millis> = self.counts.values().map(|count| count.last).collect();
            let (_, &mut middle, _) = ages.select_nth_unstable(CAPACITY / 2);
            self.counts.retain(|_, count| count.last > middle);
        }
    }
}

fn delay(failures: u32, free: u32) -> Duration {
    match failures.checked_sub(free) {
        None => Duration::ZERO,
        Some(over) => Duration::from_secs(1_u64 << over.min(20)).min(LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    fn source(last: u8) -> Source {
        Source::new(Some(IpAddr::from([192, 0, 2, last])))
    }

    #[test]
    fn waits_double_up_to_a_minute_and_early_tries_do_not_lengthen_them() {
        let mut throttle = Throttle::default();
        let mut now = Millis(0);
        for _ in 0..FREE_ACCOUNT {
            assert_eq!(throttle.begin(account("mira"), source(1), now), Ok(()));
        }
        let mut waits = Vec::new();
        for _ in 0..8 {
            let wait = throttle.begin(account("mira"), source(1), now).unwrap_err();
            assert_eq!(throttle.begin(account("mira"), source(1), now), Err(wait), "asking again does not lengthen it");
            waits.push(wait.as_secs());
            now = now.after(wait);
            assert_eq!(throttle.begin(account("mira"), source(1), now), Ok(()));
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn a_stranger_does_not_lock_out_the_owner() {
        let mut throttle = Throttle::default();
        assert_eq!(throttle.begin(account("mira"), source(1), Millis(0)), Ok(()));
        throttle.succeeded(account("mira"), source(1), Millis(0));
        for stranger in 2..40 {
            let _ = throttle.begin(account("mira"), source(stranger), Millis(1));
        }
        assert!(throttle.begin(account("mira"), source(99), Millis(1)).is_err(), "strangers wait");
        assert_eq!(throttle.begin(account("mira"), source(1), Millis(1)), Ok(()), "the owner does not");
    }

    #[test]
    fn one_address_on_many_accounts_waits_and_its_own_success_does_not_free_it() {
        let mut throttle = Throttle::default();
        for n in 0..FREE_ADDRESS {
            assert_eq!(throttle.begin(account(&format!("user{n}")), source(1), Millis(0)), Ok(()));
        }
        throttle.succeeded(account("user0"), source(1), Millis(0));
        assert_eq!(throttle.begin(account("other"), source(1), Millis(0)), Ok(()));
        assert!(throttle.begin(account("another"), source(1), Millis(0)).is_err());
        assert_eq!(throttle.begin(account("another"), source(2), Millis(0)), Ok(()), "other addresses go on");
    }

    #[test]
    fn one_ipv6_network_is_one_source() {
        let a = Source::new("2001:db8::1".parse().ok());
        assert_eq!(a, Source::new("2001:db8::ffff".parse().ok()));
        assert_ne!(a, Source::new("2001:db8:0:1::1".parse().ok()));
        assert_eq!(Source::new("::ffff:192.0.2.1".parse().ok()), source(1));
    }

    #[test]
    fn a_flood_of_names_keeps_the_memory_bounded() {
        let mut throttle = Throttle::default();
        for n in 0..60_000_u32 {
            let from = Source::new(Some(IpAddr::from(n.to_be_bytes())));
            let _ = throttle.begin(account(&n.to_string()), from, Millis(i64::from(n)));
        }
        assert!(throttle.counts.len() <= CAPACITY + 2);
    }
}

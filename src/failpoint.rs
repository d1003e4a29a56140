//! Points at which crash tests stop the process, or let a write fail. Without the cargo feature `failpoints`, which
//! only test builds have, nothing of this is compiled: the macro leaves nothing behind.
//!
//! `failpoint!("name")` marks a point; `failpoint!("name" => Error)` one where the function can also return an error,
//! made as `Error` of a broken disk's.
//! `PLACET_FAILPOINT` arms one of them: `NAME=abort@3` aborts the process the third time that it is reached, `stop`
//! freezes the whole process there (for a SIGKILL from outside), `fail` returns the error, and `trace` as the whole
//! value prints every point that is reached. Each is told on stderr as a line `failpoint NAME`.

/// Marks a point; see the module.
macro_rules! failpoint {
    ($name:literal $(=> $error:ty)?) => {
        #[cfg(feature = "failpoints")]
        {
            const { assert!($crate::failpoint::is_listed($name), "the point is missing in failpoint::POINTS") };
            if $crate::failpoint::reach($name) {
                $( return Err(<$error>::from($crate::failpoint::fault()).into()); )?
                #[allow(unreachable_code, clippy::allow_attributes, reason = "where an error was given it is returned")]
                $crate::failpoint::cannot_fail($name);
            }
        }
    };
}

#[cfg(feature = "failpoints")]
pub use armed::{POINTS, cannot_fail, fault, is_listed, reach};

#[cfg(feature = "failpoints")]
mod armed {
    use std::io::Write as _;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use rustix::process::{Signal, getpid, kill_process};

    /// Every point, by name. The compiler checks that each one in the sources is here, a test that each one here is in
    /// the sources.
    pub const POINTS: &[&str] = &[
        // Start.
        "start.logged",
        "start.recovered",
        // Every file that is replaced whole: keys, the published checkpoint.
        "file.make",
        "file.written",
        "file.named",
        // The log's checkpoints.
        "checkpoint.publish",
        "checkpoint.store",
        "checkpoint.stored",
        // Every transaction.
        "store.begin",
        "store.begun",
        "store.read",
        "store.write",
        "store.write_unseen",
        "store.commit",
        "store.committed",
        "store.answered",
        // Behind the rows of every table, within the statement that writes a batch.
        "write.calls",
        "write.params",
        "write.changes",
        "write.votes",
        "write.answers",
        "write.notices",
        "write.entries",
        "write.counters",
        // Submit.
        "submit.hold",
        "submit.held",
        "submit.read",
        "submit.was_read",
        "submit.noted",
        // The caller stays, leaves, returns.
        "caller.tell",
        "caller.told",
        "caller.gone",
        "caller.noted",
        "caller.returned",
        // Decide.
        "decide.vote",
        "decide.decided",
        // Cancel.
        "cancel.call",
        "cancel.cancelled",
        // Expire.
        "expire.call",
        "expire.expired",
        // Claim, forward, record.
        "release.claim",
        "release.claimed",
        "release.list",
        "spent.write",
        "spent.written",
        "spent.synced",
        "spent.renew",
        "spent.renewed",
        "release.listed",
        "forward.session",
        "forward.send",
        "forward.answered",
        "upstream.post",
        "upstream.posted",
        "release.record",
        "release.recorded",
        // Recover.
        "recover.call",
        "recover.unknown",
        "recover.callers",
        "recover.expired",
        // Notify.
        "mail.address",
        "mail.addressing",
        "mail.addressed",
        "mail.claim",
        "mail.claimed",
        "mail.connect",
        "mail.connected",
        "mail.content",
        "mail.taken",
        "mail.settle",
        "mail.settling",
        "mail.settled",
        "mail.recover",
        "mail.recovered",
    ];

    /// Whether [`POINTS`] has this name.
    #[must_use]
    pub const fn is_listed(name: &str) -> bool {
        let mut at = 0;
        while at < POINTS.len() {
            if is(POINTS[at].as_bytes(), name.as_bytes()) {
                return true;
            }
            at += 1;
        }
        false
    }

    const fn is(one: &[u8], other: &[u8]) -> bool {
        let mut at = 0;
        while at < one.len() && at < other.len() && one[at] == other[at] {
            at += 1;
        }
        at == one.len() && at == other.len()
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Action {
        Abort,
        Stop,
        Fail,
    }

    enum Armed {
        Nothing,
        Trace,
        Point { name: String, action: Action, at: u64, reached: AtomicU64 },
    }

    impl Armed {
        fn read(text: &str) -> Option<Self> {
            if text == "trace" {
                return Some(Self::Trace);
            }
            let (name, what) = text.split_once('=')?;
            let (action, at) = what.split_once('@').unwrap_or((what, "1"));
            let action = match action {
                "abort" => Action::Abort,
                "stop" => Action::Stop,
                "fail" => Action::Fail,
                _ => return None,
            };
            let at = at.parse().ok().filter(|at| *at > 0)?;
            is_listed(name).then(|| Self::Point { name: name.to_owned(), action, at, reached: AtomicU64::new(0) })
        }
    }

    static ARMED: OnceLock<Armed> = OnceLock::new();

    /// The process is at this point: true if the function is to return its error there.
    ///
    /// # Panics
    /// If `PLACET_FAILPOINT` cannot be read: a test that arms nothing would prove nothing.
    #[must_use]
    pub fn reach(point: &str) -> bool {
        let armed = ARMED.get_or_init(|| match std::env::var("PLACET_FAILPOINT") {
            Ok(text) => {
                Armed::read(&text).unwrap_or_else(|| panic!("PLACET_FAILPOINT={text} names no point or action"))
            }
            Err(_) => Armed::Nothing,
        });
        match armed {
            Armed::Nothing => false,
            Armed::Trace => {
                tell(point);
                false
            }
            Armed::Point { name, action, at, reached } => {
                if name != point || reached.fetch_add(1, Ordering::Relaxed) + 1 != *at {
                    return false;
                }
                tell(point);
                match action {
                    Action::Abort => std::process::abort(),
                    Action::Stop => freeze(),
                    Action::Fail => true,
                }
            }
        }
    }

    /// A point that only marks a place was told to fail.
    ///
    /// # Panics
    /// Always.
    pub fn cannot_fail(point: &str) {
        panic!("PLACET_FAILPOINT: {point} has no error to return");
    }

    /// What a broken disk says.
    #[must_use]
    pub fn fault() -> std::io::Error {
        std::io::Error::other("failpoint")
    }

    fn tell(point: &str) {
        // In one write, so that lines of different threads stay apart.
        let _ = std::io::stderr().write_all(format!("failpoint {point}\n").as_bytes());
    }

    /// Every thread of the process stands still from here on.
    fn freeze() -> ! {
        let _ = kill_process(getpid(), Signal::STOP);
        loop {
            std::thread::park();
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn what_arms_nothing_is_refused() {
            for bad in
                ["", "abort", "store.commit", "store.commit=", "store.commit=abort@0", "nowhere=abort", "trace=1"]
            {
                assert!(Armed::read(bad).is_none(), "{bad}");
            }
            let Some(Armed::Point { name, action, at, .. }) = Armed::read("store.commit=stop@3") else {
                panic!("a point is armed")
            };
            assert_eq!((name.as_str(), action, at), ("store.commit", Action::Stop, 3));
            assert!(matches!(Armed::read("store.commit=abort"), Some(Armed::Point { at: 1, .. })));
        }
    }
}

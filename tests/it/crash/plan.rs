//! What one run does: which calls are made, where the process dies, all of it from one number.

use placet::failpoint::POINTS;

/// What a call is made for; each is a tool of the stub and an entry of the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Approved while its caller waits; it runs.
    Run,
    /// Approved by two people.
    Two,
    /// Approved, and the upstream answers with an error.
    Fail,
    /// Approved after its caller was told to come back.
    Late,
    /// Approved after its caller has left; it runs when the caller is back.
    Park,
    /// The policy itself lets it run only when its caller is back.
    OnReturn,
    /// Rejected.
    Reject,
    /// Nobody decides.
    Expire,
    /// Nobody decides, and others are asked, who do not either.
    Escalate,
    /// Nobody decides, and the policy approves.
    Auto,
    /// Its caller takes it back.
    Cancel,
}

impl Kind {
    pub(super) const ALL: [Self; 11] = [
        Self::Run,
        Self::Two,
        Self::Fail,
        Self::Late,
        Self::Park,
        Self::OnReturn,
        Self::Reject,
        Self::Expire,
        Self::Escalate,
        Self::Auto,
        Self::Cancel,
    ];

    pub(super) fn tool(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Two => "two",
            Self::Fail => "fail",
            Self::Late => "late",
            Self::Park => "park",
            Self::OnReturn => "on_return",
            Self::Reject => "reject",
            Self::Expire => "expire",
            Self::Escalate => "escalate",
            Self::Auto => "auto",
            Self::Cancel => "cancel",
        }
    }

    pub(super) fn of_tool(tool: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.tool() == tool)
    }
}

/// The policy that has all of them. Times are on the hurried clock.
pub(super) const POLICY: &str = r#"{ "version": "1", "default": "deny", "readers": ["get_state"],
  "all_tools": { "limits": [
    { "counter": "all", "window": "day", "sliding": true, "max": 1000000, "scope": "global" } ] },
  "tools": {
  "get_state": { "risk": "read" },
  "run": { "action": "require_approval", "approval": { "timeout": "1d", "execute_within": "1d",
    "context": [ { "tool": "get_state", "arguments": { "n": "$args.n" } } ] } },
  "two": { "action": "require_approval", "approval": { "timeout": "1d", "execute_within": "1d", "approvals": 2 } },
  "fail": { "action": "require_approval", "approval": { "timeout": "1d", "execute_within": "1d" } },
  "late": { "action": "require_approval", "approval": { "timeout": "1d", "execute_within": "1d" } },
  "park": { "action": "require_approval", "approval": { "timeout": "1d", "execute_within": "1d" } },
  "on_return": { "action": "require_approval",
    "approval": { "timeout": "1d", "execute_within": "1d", "release": "on_return" } },
  "reject": { "action": "require_approval", "approval": { "timeout": "1d" } },
  "expire": { "action": "require_approval", "approval": { "timeout": "10s" } },
  "escalate": { "action": "require_approval",
    "approval": { "timeout": "8s", "on_timeout": "escalate", "escalate_to": ["night"] } },
  "auto": { "action": "require_approval",
    "approval": { "timeout": "10s", "on_timeout": "approve", "risk": "write", "execute_within": "1d" } },
  "cancel": { "action": "require_approval", "approval": { "timeout": "1d" } } } }"#;

/// The points at which a write can fail instead.
pub(super) const CAN_FAIL: [&str; 20] = [
    "file.make",
    "file.written",
    "file.named",
    "store.begin",
    "store.read",
    "store.write",
    "store.write_unseen",
    "store.commit",
    "write.calls",
    "write.params",
    "write.changes",
    "write.votes",
    "write.answers",
    "write.notices",
    "write.entries",
    "write.counters",
    "spent.write",
    "spent.written",
    "mail.addressing",
    "mail.settling",
];

/// How the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kill {
    /// By its own abort.
    Abort,
    /// Frozen at the point, then SIGKILL from outside.
    Outside,
    /// Not at all: the write fails.
    Fail,
}

/// Where a process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Death {
    pub(super) point: &'static str,
    /// The how-manieth time that it is reached, from 1.
    pub(super) at: u64,
    pub(super) kill: Kill,
}

impl Death {
    /// What arms it.
    pub(super) fn armed(self) -> String {
        let action = match self.kill {
            Kill::Abort => "abort",
            Kill::Outside => "stop",
            Kill::Fail => "fail",
        };
        format!("{}={action}@{}", self.point, self.at)
    }
}

/// One run: the deaths of its processes one after the other, and the calls.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) point: &'static str,
    pub(super) round: u64,
    pub(super) deaths: Vec<Death>,
    pub(super) calls: Vec<Kind>,
}

/// A small generator (splitmix64, public domain, S. Vigna): the same numbers for the same seed.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// These are reached only by a start that finds a call being released.
pub(super) const AFTER_A_CRASH: [&str; 2] = ["recover.call", "recover.unknown"];

/// The plan of a point's round. `often` says how often an undisturbed run reaches a point.
pub(super) fn plan(point: &'static str, round: u64, often: impl Fn(&str) -> u64) -> Plan {
    let at = POINTS.iter().position(|known| *known == point).expect("a known point") as u64;
    let mut dice = Dice::new(round.wrapping_mul(1009).wrapping_add(at));
    let death = |point: &'static str, dice: &mut Dice| {
        // The first round takes the first time, which is reached for certain; later ones any.
        let at = if round == 0 { 1 } else { 1 + dice.below(often(point).max(1)) };
        let kill = if (round + dice.below(2)).is_multiple_of(2) { Kill::Abort } else { Kill::Outside };
        Death { point, at, kill }
    };
    let mut deaths = Vec::new();
    if AFTER_A_CRASH.contains(&point) {
        let sends = ["release.claimed", "forward.send", "forward.answered", "release.record"];
        let first = sends[dice.below(sends.len() as u64) as usize];
        deaths.push(Death { at: 1, ..death(first, &mut dice) });
        deaths.push(Death { at: 1, ..death(point, &mut dice) });
    } else {
        deaths.push(death(point, &mut dice));
        // Later rounds let some of the processes that clean up die as well.
        if round >= 3 && dice.below(3) == 0 {
            let other = POINTS[dice.below(POINTS.len() as u64) as usize];
            deaths.push(death(other, &mut dice));
        }
    }
    Plan { point, round, deaths, calls: calls(&mut dice) }
}

/// The plan of a round in which a write fails at a point.
pub(super) fn fault(point: &'static str, round: u64, often: impl Fn(&str) -> u64) -> Plan {
    let at = CAN_FAIL.iter().position(|known| *known == point).expect("a point that can fail") as u64;
    let mut dice = Dice::new(round.wrapping_mul(2003).wrapping_add(at));
    // Late in a run what is reached has more to spoil.
    let at = if round == 0 { 1 } else { 1 + dice.below(often(point).max(1)) };
    Plan { point, round, deaths: vec![Death { point, at, kill: Kill::Fail }], calls: calls(&mut dice) }
}

fn calls(dice: &mut Dice) -> Vec<Kind> {
    let mut calls = Kind::ALL.to_vec();
    for _ in 0..dice.below(10) {
        calls.push(Kind::ALL[dice.below(Kind::ALL.len() as u64) as usize]);
    }
    calls
}

//! One run: processes that die, one after the other, on the same folder, and one that cleans up; then everything is
//! looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::Connection;

use super::book::Book;
use super::check;
use super::plan::{Kill, Kind, Plan};
use super::process::{Process, Said};
use super::scene::Scene;
use super::world::{Template, World, patience};

/// What runs have seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    pub(super) runs: usize,
    /// Deaths, by point.
    pub(super) deaths: BTreeMap<&'static str, usize>,
    pub(super) restarts: usize,
    pub(super) calls: BTreeMap<String, usize>,
    pub(super) acknowledged: usize,
    pub(super) sent: usize,
    pub(super) entries: usize,
    pub(super) mails: usize,
    /// Mails that arrived more than once, under one name.
    pub(super) repeated: usize,
}

impl Figures {
    pub(super) fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.restarts += other.restarts;
        self.acknowledged += other.acknowledged;
        self.sent += other.sent;
        self.entries += other.entries;
        self.mails += other.mails;
        self.repeated += other.repeated;
        for (point, deaths) in &other.deaths {
            *self.deaths.entry(point).or_default() += deaths;
        }
        for (state, calls) in &other.calls {
            *self.calls.entry(state.clone()).or_default() += calls;
        }
    }
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (deaths, calls) = (self.deaths.values().sum::<usize>(), self.calls.values().sum::<usize>());
        writeln!(
            f,
            "crashes: {deaths} at {} points in {} runs, {} restarts; {calls} calls, {} acknowledged verdicts, {} sent \
             to the upstream, {} log entries, {} mails arrived ({} of them repeated under the same Message-ID)",
            self.deaths.len(),
            self.runs,
            self.restarts,
            self.acknowledged,
            self.sent,
            self.entries,
            self.mails,
            self.repeated
        )?;
        writeln!(f, "calls ended: {:?}", self.calls)?;
        write!(f, "at each point: {:?}", self.deaths)
    }
}

/// How a run ended.
pub(super) enum Outcome {
    Whole(Figures),
    /// This process never came to where it was to die.
    NotReached(usize),
}

/// What a process did.
enum Fate {
    Died,
    Finished,
    /// It said that it cannot.
    NotStarted,
}

struct Run<'a> {
    plan: &'a Plan,
    world: World,
    template: &'a Arc<Template>,
    book: Arc<Book>,
    figures: Figures,
    /// Calls that were found claimed and without an outcome when a process had died.
    cut: BTreeSet<String>,
    said: Vec<Arc<Said>>,
}

/// How often an undisturbed run reaches each point.
pub(super) async fn trace(template: &Arc<Template>) -> BTreeMap<String, u64> {
    let world = World::new(template).await;
    let process = world.start(Some("trace".to_owned()));
    let plan = Plan { point: "none", round: 0, deaths: vec![], calls: Kind::ALL.to_vec() };
    let mut run = Run::new(&plan, world, template);
    let said = process.said();
    if !matches!(run.live(process, patience()).await, Ok(Fate::Finished)) {
        panic!("an undisturbed run does not end:\n{}", said.text());
    }
    let mut often = BTreeMap::new();
    for point in said.points() {
        *often.entry(point).or_default() += 1;
    }
    often
}

/// Carries out a plan and checks what is left.
pub(super) async fn run(plan: &Plan, template: &Arc<Template>) -> Result<Outcome, String> {
    let mut run = Run::new(plan, World::new(template).await, template);
    let outcome = run.deaths().await;
    outcome.map_err(|wrong| {
        let said: Vec<_> = run.said.iter().map(|said| said.text()).collect();
        let fault = plan.deaths.iter().any(|death| death.kill == Kill::Fail);
        let again = format!("PLACET_{}={}:{}", if fault { "FAULT" } else { "CRASH" }, plan.point, plan.round);
        format!("{wrong}\n{plan:?}\nrepeat it with {again}; the processes said:\n{}", said.join("\n---\n"))
    })
}

impl<'a> Run<'a> {
    fn new(plan: &'a Plan, world: World, template: &'a Arc<Template>) -> Self {
        let figures = Figures { runs: 1, ..Figures::default() };
        Self { plan, world, template, book: Arc::default(), figures, cut: BTreeSet::new(), said: Vec::new() }
    }

    async fn deaths(&mut self) -> Result<Outcome, String> {
        for (at, death) in self.plan.deaths.iter().enumerate() {
            let process = self.world.start(Some(death.armed()));
            let said = process.said();
            self.said.push(Arc::clone(&said));
            let fate = self.live(process, patience()).await?;
            let reached = said.points().iter().any(|point| point == death.point);
            match fate {
                Fate::Finished if reached && death.kill == Kill::Fail => {}
                Fate::NotStarted if reached && death.kill == Kill::Fail => {}
                Fate::Finished => return Ok(Outcome::NotReached(at)),
                Fate::Died if reached && death.kill != Kill::Fail => {}
                Fate::NotStarted | Fate::Died => return Err("it ended elsewhere, or otherwise".to_owned()),
            }
            *self.figures.deaths.entry(death.point).or_default() += 1;
            let copy = self.world.copy();
            let database = check::open(&copy.path().join("placet.db"), true);
            self.cut.extend(check::releasing(&database));
            let mut wrong = Vec::new();
            check::counted(&database, &mut wrong);
            if !wrong.is_empty() {
                return Err(wrong.join("\n"));
            }
        }
        let process = self.world.start(None);
        self.said.push(process.said());
        self.figures.restarts = self.plan.deaths.len();
        match self.live(process, patience()).await? {
            Fate::Finished => self.check().map(Outcome::Whole),
            Fate::Died | Fate::NotStarted => Err("it ended of itself".to_owned()),
        }
    }

    /// Lets everybody talk to the process until it dies, or until nothing is left to do. It is ended then.
    async fn live(&mut self, mut process: Process, patience: Duration) -> Result<Fate, String> {
        let Some(url) = process.serving().await else {
            return match process.ended().await {
                None => Ok(Fate::Died),
                Some(2) => Ok(Fate::NotStarted),
                Some(code) => Err(format!("it did not start, and ended with {code}")),
            };
        };
        let scene = Scene::new(url, self.template, &self.book);
        let fate = {
            let play = async {
                scene.play(&self.plan.calls).await;
                while !self.is_quiet() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            let ended = process.ended();
            tokio::select! {
                code = ended => match code {
                    None => Ok(Fate::Died),
                    Some(code) => Err(format!("it ended with {code}")),
                },
                () = play => Ok(Fate::Finished),
                () = tokio::time::sleep(patience) => {
                    let (left, busy) = (check::left(&self.database()), self.book.records().busy.clone());
                    Err(format!("not over after {patience:?}: {left:?}, callers {busy:?}{}", scene.condition().await))
                },
            }
        };
        if matches!(fate, Ok(Fate::Finished)) {
            if self.plan.round % 4 == 3 {
                return match process.terminate().await {
                    Some(0) => fate,
                    // On its way out it came to where it was to die.
                    None => Ok(Fate::Died),
                    code => Err(format!("told to stop it ended with {code:?}")),
                };
            }
            process.kill().await;
        }
        fate
    }

    /// Opened each time anew, so that at a start nobody else has the database.
    fn database(&self) -> Connection {
        check::open(&self.world.data().join("placet.db"), false)
    }

    fn is_quiet(&self) -> bool {
        check::is_quiet(&self.database())
    }

    fn check(&mut self) -> Result<Figures, String> {
        let copy = self.world.copy();
        let database = check::open(&copy.path().join("placet.db"), true);
        let mut wrong = Vec::new();
        let mut calls = check::calls(&database);
        let entries = check::log(&database, &mut calls, &mut wrong);
        check::counted(&database, &mut wrong);
        let sent = check::sent(&self.world);
        check::lives(&calls, &sent, &mut wrong);
        check::promises(&calls, &self.book.records(), &mut wrong);
        let unknown: BTreeSet<_> =
            calls.values().filter(|row| row.state == "outcome_unknown").map(|row| row.id.clone()).collect();
        if unknown != self.cut {
            wrong.push(format!("of unknown outcome are {unknown:?}, claimed and cut off were {:?}", self.cut));
        }
        let mails = check::mails(&database);
        let arrived = check::delivered(&self.world, &mails, &mut wrong);
        check::told_everybody(&calls, &mails, &mut wrong);
        if !wrong.is_empty() {
            return Err(wrong.join("\n"));
        }
        let names: BTreeSet<_> = mails.iter().filter_map(|mail| mail.message.clone()).collect();
        let figures = &mut self.figures;
        for row in calls.values() {
            *figures.calls.entry(row.state.clone()).or_default() += 1;
        }
        figures.acknowledged = self.book.records().acknowledged.len();
        figures.sent = sent.values().sum();
        figures.entries = entries;
        figures.mails = arrived;
        figures.repeated = arrived.saturating_sub(names.len());
        Ok(figures.clone())
    }
}

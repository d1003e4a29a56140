//! A broken policy file is told to administrators by mail, once for each distinct set of problems: whoever edits a file
//! without looking at the pages would not hear of it otherwise.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::administrators::administrators;
use crate::call::{Digest, Email, Millis};
use crate::clock::Clock;
use crate::in_force::{InForce, Trouble};
use crate::lifecycle::Tasks;
use crate::notify::{Letter, Links, Mailer};
use crate::store::{Store, StoreError};

/// How often it is looked at.
const PERIOD: Duration = Duration::from_secs(5);

/// How long a file must be broken: what is saved in the middle of an edit is soon another.
const LASTS: Duration = Duration::from_secs(30);

/// How long after a mail that was not taken the next attempt is made.
const AGAIN: Duration = Duration::from_secs(60);

/// Problems that a mail tells of; the page has all of them.
const MOST: usize = 30;

/// The longest line of a mail, in characters.
const LONGEST: usize = 400;

/// What the task works with.
#[derive(Clone, Debug)]
pub struct PolicyLetters {
    /// The policy in force, and what is wrong with a newer one.
    pub policy: Arc<InForce>,
    /// The database.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// How mails leave.
    pub mailer: Mailer,
    /// Under which address the pages are found.
    pub public_url: String,
}

/// Tells administrators of a broken file until the process stops.
pub async fn policy_letters(with: PolicyLetters, tasks: Tasks) {
    let mut told = BTreeSet::new();
    let mut not_before = Millis(i64::MIN);
    while !tasks.is_stopping() {
        let now = with.clock.now();
        match with.policy.trouble() {
            None => told.clear(),
            Some(trouble) if now.since(trouble.since) >= LASTS && now >= not_before => {
                if !with.tell(&trouble, &mut told, now).await {
                    not_before = now.after(AGAIN);
                }
            }
            Some(_) => {}
        }
        tokio::select! {
            () = tasks.stopped() => {}
            () = with.clock.sleep(PERIOD) => {}
        }
    }
}

impl PolicyLetters {
    /// Mails everybody who has not heard of exactly this; `false` if somebody could not be reached.
    async fn tell(&self, trouble: &Trouble, told: &mut BTreeSet<(String, Email)>, now: Millis) -> bool {
        let people: Vec<_> = match self.store.reviewers().await {
            Ok(people) => administrators(people).into_iter().map(|person| person.email).collect(),
            Err(error) => return failed(&error),
        };
        let version = Digest::of(trouble.problems.as_bytes()).short();
        let mut all = true;
        for to in people {
            if told.contains(&(version.clone(), to.clone())) {
                continue;
            }
            match self.mailer.post(self.letter(trouble, &version, &to), now).await {
                Ok(()) => {
                    told.insert((version.clone(), to));
                }
                Err(why) => {
                    tracing::error!(
                        why,
                        "an administrator was not mailed that the policy file is broken; trying again"
                    );
                    all = false;
                }
            }
        }
        all
    }

    fn letter(&self, trouble: &Trouble, version: &str, to: &Email) -> Letter {
        let links = Links::new(&self.public_url);
        let (host, since) = (links.host(), trouble.since.in_words());
        let problems: Vec<&str> = trouble.problems.lines().collect();
        let shorten = |line: &&str| line.chars().take(LONGEST).collect::<String>();
        let mut lines: Vec<_> = problems.iter().take(MOST).map(shorten).collect();
        if let Some(more) = problems.len().checked_sub(MOST).filter(|more| *more > 0) {
            lines.push(format!("and {more} more: see the page"));
        }
        let page = links.page("/policy");
        let person = Digest::of(to.as_str().as_bytes()).short();
        Letter {
            to: to.clone(),
            message_id: format!("policy-{version}-{}-{person}@{host}", trouble.since.0),
            subject: format!("Placet at {host}: the policy file is broken"),
            text: format!(
                "The policy file was changed at {since} and cannot be used. The last good policy stays in force: the \
                 change has no effect until the file is corrected. It then loads by itself.\n\n{}\n\n{page}\n",
                lines.join("\n")
            ),
            attached: None,
        }
    }
}

fn failed(error: &StoreError) -> bool {
    tracing::error!(%error, "who is an administrator could not be read; trying again");
    false
}

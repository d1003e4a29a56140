//! The log at the start and while the service runs: compared with what was signed of it, here and elsewhere; signed and
//! anchored from then on.

use crate::anchor::{self, Anchor, Means, PATIENCE, Place};
use crate::approvals::settle;
use crate::clock::{Clock, Entropy};
use crate::config::{AnchorTo, Config};
use crate::lifecycle::Tasks;
use crate::notary::{LogAtStart, Notary, NotaryError};
use crate::notify::{Links, Mailer};
use crate::store::{AnchorPlace, Restoration, Store, Witness};
use crate::tasks::{self, Anchoring};

/// Opens the log's key and compares the log with its checkpoints, those in files elsewhere included. What is wrong is
/// said in the log. Where it was put back from a copy, or is not what was signed, nothing that was approved then runs.
///
/// # Errors
/// The key cannot be used, or the database does not answer.
pub(super) async fn open(
    store: &Store,
    config: &Config,
    entropy: &Entropy,
) -> Result<(Notary, LogAtStart, Option<Restoration>), NotaryError> {
    let (log, as_of) = store.log_end().await?;
    let (notary, mut worst) = Notary::open(store.clone(), entropy).await?;
    let mut all = vec![worst.clone()];
    for anchor in &config.anchors {
        let AnchorTo::File(path) = &anchor.to else { continue };
        let shown = path.display();
        if path.parent().is_some_and(|folder| folder == config.data_dir) {
            tracing::warn!(
                "the anchor {shown} stands beside the database: whoever puts the folder back puts it back too"
            );
        }
        match anchor::last_note(path) {
            Ok(Some(note)) => all.push(notary.compare(&format!("the anchor {shown}"), &note).await?),
            Ok(None) => {}
            Err(error) => {
                tracing::error!(%error, "the anchor {shown} cannot be read: the log was not compared with it");
            }
        }
    }
    // Before the log says what is wrong with it, or the next start would not know that this is still to be done.
    let known = all.iter().filter_map(witness).chain(store.spent_at_start());
    let witness = known.max_by_key(|witness| witness.checkpoint);
    let restored = settle(store, witness, log, as_of).await?;
    if let Some(restoration) = &restored {
        tracing::warn!("{restoration}");
    }
    for found in all {
        notary.record(&found).await?;
        worst = worst.or_worse(found);
    }
    let places = config.anchors.iter().map(|anchor| place(&anchor.to));
    let places = places.map(|place| AnchorPlace { id: place.id(), kind: place.kind(), shown: place.shown() });
    store.anchors_configured(places.collect()).await?;
    Ok((notary, worst, restored))
}

/// What knows of a log that this is not, if anything does.
fn witness(found: &LogAtStart) -> Option<Witness> {
    let (source, checkpoint) = match found {
        LogAtStart::Behind { source, checkpoint, .. } | LogAtStart::Disagrees { source, checkpoint, .. } => {
            (source.clone(), *checkpoint)
        }
        LogAtStart::Fresh | LogAtStart::Continues { .. } | LogAtStart::Unwitnessed { .. } => return None,
    };
    Some(Witness { source, checkpoint })
}

/// Signs the log from now on, and tells each anchor.
pub(super) fn start(
    notary: &Notary,
    store: &Store,
    clock: &Clock,
    config: &Config,
    mailer: Option<&Mailer>,
    tasks: &Tasks,
) {
    let signing = tasks::checkpoints(notary.clone(), store.clone(), clock.clone(), tasks.clone());
    tasks.spawn_vital("checkpoints", signing);
    let host = Links::new(&config.public_url).host().to_owned();
    let with = Anchoring {
        store: store.clone(),
        notary: notary.clone(),
        clock: clock.clone(),
        means: Means { mailer: mailer.cloned(), host, patience: PATIENCE },
    };
    for anchor in &config.anchors {
        let anchor = Anchor { place: place(&anchor.to), every: anchor.every };
        tasks.spawn("anchor", tasks::anchor(anchor, with.clone(), tasks.clone()));
    }
}

fn place(to: &AnchorTo) -> Place {
    match to {
        AnchorTo::File(path) => Place::File(path.clone()),
        AnchorTo::Command(command) => Place::Command(command.clone()),
        AnchorTo::Url { url, allow_private } => Place::Url { url: url.clone(), allow_private: *allow_private },
        AnchorTo::Mail(email) => Place::Mail(email.clone()),
    }
}

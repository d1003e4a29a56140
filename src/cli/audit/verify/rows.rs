//! The rows beside the log, page by page, each with what its entries tell.

use crate::audit::Row;
use crate::audit::verify::{CallRow, Calls, Check, Finding, Holder, Misfiled, Report, RightRow, Rights, Told};
use crate::call::HeldCall;
use crate::seal::Seal;
use crate::store::{Snapshot, StoreError};

/// Calls read at once.
const CALLS: u32 = 500;

/// Accounts and tools read at once.
const RIGHTS: u32 = 1000;

/// Agents, people, what they sign in with, and tools.
pub(super) async fn rights(
    snapshot: &mut Snapshot,
    told: Told,
    seal: Option<&Seal>,
    report: &mut Report,
) -> Result<(), StoreError> {
    let mut rights = Rights::new(told);
    for holder in Holder::ALL {
        let mut after = i64::MIN;
        loop {
            let (page, last): (Vec<RightRow>, _) = snapshot.right_rows(holder, after, RIGHTS, seal).await?;
            page.iter().for_each(|row| rights.row(row, report));
            let Some(last) = last else { break };
            after = last;
        }
    }
    rights.end(report);
    Ok(())
}

/// Calls with their votes, parameters and answers.
pub(super) async fn calls(
    snapshot: &mut Snapshot,
    misfiled: &Misfiled,
    seal: Option<&Seal>,
    report: &mut Report,
) -> Result<(), StoreError> {
    if misfiled.too_many {
        let why = "the column call_id of so many entries is not what their bodies say that calls were not compared \
                   with their entries";
        report.unknown(Check::Calls, why);
        return Ok(());
    }
    let seals = seal.map(|seal| move |call: &HeldCall| seals(seal, call));
    let mut calls = Calls::new(seals.as_ref().map(|seals| seals as _));
    let mut after = String::new();
    loop {
        let page = snapshot.call_rows(&after, CALLS, seal).await?;
        let upto = page.last().map(|row| row.id.clone());
        let mut entries = snapshot.entries_about(&after, upto.as_deref()).await?;
        entries.retain(Row::names_its_call);
        entries.extend(refiled(snapshot, misfiled, &after, upto.as_deref()).await?);
        entries.sort_by(|one, other| (&one.call, one.seq).cmp(&(&other.call, other.seq)));
        pair(&page, &entries, &mut calls, report);
        let Some(upto) = upto else { break };
        after = upto;
    }
    calls.end(report);
    for (table, id) in snapshot.strays().await? {
        let text = format!("a row of {table} belongs to the call {id}, which is not there");
        report.wrong(Finding { check: Check::Calls, seq: None, until: None, call: Some(id), text });
    }
    Ok(())
}

/// Entries about these calls that their column does not name, under the calls that their bodies name.
async fn refiled(
    snapshot: &mut Snapshot,
    misfiled: &Misfiled,
    after: &str,
    upto: Option<&str>,
) -> Result<Vec<Row>, StoreError> {
    use std::ops::Bound::{Excluded, Included, Unbounded};
    let range = (Excluded(after), upto.map_or(Unbounded, Included));
    let mut entries = Vec::new();
    for (call, numbers) in misfiled.of.range::<str, _>(range) {
        let rows = snapshot.entries_numbered(numbers).await?;
        entries.extend(rows.into_iter().map(|row| Row { call: Some(call.clone()), ..row }));
    }
    Ok(entries)
}

/// Brings calls and entries together, both in the order of the calls' ids.
fn pair(page: &[CallRow], entries: &[Row], calls: &mut Calls<'_>, report: &mut Report) {
    let mut about = entries.chunk_by(|one, other| one.call == other.call).peekable();
    let id = |entries: &[Row]| entries.first().and_then(|row| row.call.clone()).unwrap_or_default();
    for row in page {
        while let Some(gone) = about.next_if(|entries| id(entries) < row.id) {
            calls.gone(&id(gone), gone, report);
        }
        let own = about.next_if(|entries| id(entries) == row.id).unwrap_or_default();
        calls.call(row, own, report);
    }
    for gone in about {
        calls.gone(&id(gone), gone, report);
    }
}

/// How many of a call's seals are right, and what is wrong with the others. Retention takes the seal of the holding
/// away with what it covers.
fn seals(seal: &Seal, call: &HeldCall) -> (u64, Vec<String>) {
    let mut broken = Vec::new();
    let mut right = 0;
    if call.redacted_at.is_none() {
        if seal.is_as_held(call) {
            right += 1;
        } else {
            broken.push("the terms on which it was held are not those that were sealed".to_owned());
        }
    }
    for stored in &call.votes {
        if seal.is_genuine(&call.digest, stored) {
            right += 1;
        } else {
            broken.push(format!("the vote of {} does not bear this service's seal", stored.vote.by));
        }
    }
    if let Some(finding) = &call.finding {
        if seal.is_genuine_finding(&call.digest, finding) {
            right += 1;
        } else {
            broken.push("its finding does not bear this service's seal".to_owned());
        }
    }
    (right, broken)
}

//! A mail to an auditor, with the note in it and beside it.

use super::Parcel;
use crate::call::Email;
use crate::notify::{Letter, Mailer};

/// Hands the mail over. The same checkpoint always has the same Message-ID, so that an attempt whose end was not seen is
/// no second mail.
pub(super) async fn send(mailer: Option<&Mailer>, to: &Email, host: &str, parcel: Parcel<'_>) -> Result<(), String> {
    let mailer = mailer.ok_or("no mail leaves: placet.toml has no [mail]")?;
    let root = crate::call::Digest::of(parcel.note.as_bytes()).short();
    let letter = Letter {
        to: to.clone(),
        message_id: format!("checkpoint-{}-{root}@{host}", parcel.size),
        subject: format!("Checkpoint of Placet's log at {host}: {} entries", parcel.size),
        text: format!(
            "This is what the audit log of Placet at {host} was when it had {} entries, signed.\n\n\
             Keep it, attached or as it stands below. As long as you have it, nobody can change or remove any of these \
             entries unnoticed. To compare the log with it:\n\n    placet audit verify --anchor placet.checkpoint\n\n{}",
            parcel.size, parcel.note
        ),
        attached: Some(("placet.checkpoint".to_owned(), parcel.note.to_owned())),
    };
    mailer.post(letter, parcel.at).await
}

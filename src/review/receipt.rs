//! `GET /calls/{id}/receipt`: what the log tells of a call, proved, to be kept and checked elsewhere.

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse as _;

use super::Review;
use super::failure::{Answer, Failure};
use super::session::Visitor;
use super::view::error::Problem;
use crate::store::Receipted;

/// The receipt as a file, for whoever may see the call's page.
pub async fn download(State(review): State<Review>, Visitor(session): Visitor, Path(id): Path<String>) -> Answer {
    let call = review.visible(&session, &id).await?.submission.id;
    match review.0.store.receipt(call).await? {
        Receipted::Ready(receipt) => {
            let text = serde_json::to_string_pretty(&receipt).map_err(crate::store::StoreError::from)?;
            let name = format!("attachment; filename=\"placet-receipt-{call}.json\"");
            let headers = [(header::CONTENT_TYPE, "application/json".to_owned()), (header::CONTENT_DISPOSITION, name)];
            Ok((headers, text).into_response())
        }
        Receipted::NoSuchCall => Err(Problem::NotFound.into()),
        Receipted::Unsigned => Err(Failure::request(
            StatusCode::CONFLICT,
            "No signed checkpoint of the log covers this call yet. One is made within seconds; load this again then.",
        )),
        Receipted::Broken(why) => {
            tracing::error!(%call, %why, "ALARM: the log is not what was signed; `placet audit verify` says where");
            Err(Failure::request(
                StatusCode::CONFLICT,
                "There is no receipt: what the log says of this call is not what was signed. Tell whoever runs this \
                 service to run `placet audit verify`.",
            ))
        }
    }
}

//! `/policy`: what agents may do.

use axum::extract::State;
use axum::http::StatusCode;

use super::Review;
use super::chrome::html;
use super::failure::{Answer, Failure};
use super::session::Visitor;
use super::view::policy::PolicyPage;
use super::view::{Nav, Text};

/// `GET /policy`
pub async fn page(State(review): State<Review>, Visitor(session): Visitor) -> Answer {
    let Some(tools) = review.0.overview.tools(review.0.clock.now()).await else {
        let why = "No policy is loaded, so no agent may do anything. The log says why; `placet check` says where.";
        return Err(Failure::request(StatusCode::SERVICE_UNAVAILABLE, why));
    };
    html(&PolicyPage {
        chrome: review.chrome(&session, "Tools".into(), Nav::Tools).await?,
        file: Text::new(&tools.file),
        version: tools.version,
        loaded: review.time(tools.loaded),
        default: tools.default,
        broken: tools.broken,
        upstreams: tools.upstreams,
    })
}

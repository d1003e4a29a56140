//! `/policy`: what agents may do.

use axum::extract::State;

use super::Review;
use super::chrome::html;
use super::failure::Answer;
use super::session::Visitor;
use super::view::policy::PolicyPage;
use super::view::{Nav, Text};

/// `GET /policy`
pub async fn page(State(review): State<Review>, Visitor(session): Visitor) -> Answer {
    let tools = review.0.overview.tools(review.0.clock.now()).await;
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

//! `/policy`: what agents may do, and what would happen to a call.

use axum::extract::State;
use axum::response::Redirect;

use super::chrome::html;
use super::failure::Answer;
use super::session::{SignedForm, Visitor};
use super::view::policy::PolicyPage;
use super::view::tried::TryForm;
use super::view::{Nav, Text};
use super::{Hypothetical, Review};
use crate::identity::Session;

/// `GET /policy`
pub async fn page(State(review): State<Review>, Visitor(session): Visitor) -> Answer {
    let form = review.0.overview.form().await;
    show(&review, &session, form).await
}

/// `GET /policy/try`: its answer was loaded again.
pub async fn back() -> Redirect {
    Redirect::to("/policy#try")
}

/// `POST /policy/try`: a form, because arguments do not belong into an address. Changes nothing.
pub async fn tried(State(review): State<Review>, sent: SignedForm) -> Answer {
    let field = |name: &str| sent.fields.get(name).to_owned();
    let asked = Hypothetical {
        upstream: field("upstream"),
        tool: field("tool"),
        agent: field("agent"),
        // Browsers send line breaks as two characters.
        arguments: field("arguments").replace("\r\n", "\n"),
    };
    let overview = &review.0.overview;
    let (blank, answer) = (overview.form().await, overview.tried(&asked).await);
    let Hypothetical { upstream, tool, agent, arguments } = asked;
    let form = TryForm { upstream, tool, agent, arguments, answer: Some(answer), ..blank };
    show(&review, &sent.session, form).await
}

async fn show(review: &Review, session: &Session, form: TryForm) -> Answer {
    let tools = review.0.overview.tools(review.0.clock.now()).await;
    html(&PolicyPage {
        chrome: review.chrome(session, "Tools".into(), Nav::Tools).await?,
        file: Text::new(&tools.file),
        version: tools.version,
        loaded: review.time(tools.loaded),
        default: tools.default,
        broken: tools.broken,
        upstreams: tools.upstreams,
        form,
        history: review.policy_history().await?,
    })
}

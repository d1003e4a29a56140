//! The reviewer's side: pages, forms, live socket, and the API for scripts.
//!
//! Every request passes `gate` (is this our host, and does a form come from our own pages?), then the extractors of
//! `session` (who is it, and did the form's token come from this session?), then one handler. Every answer passes
//! `finish`, which gives it the security headers and turns failures into pages or problem documents. GET and HEAD
//! never change anything.

mod account;
mod api;
mod arguments;
pub mod assets;
mod audit;
mod call;
mod chrome;
mod decide;
mod describe;
mod diff;
mod failure;
mod finish;
mod gate;
mod history;
mod live;
mod log;
mod login;
mod next;
mod outcome;
mod overview;
mod policy;
mod queue;
mod receipt;
mod reveal;
mod rights;
mod session;
mod site;
mod standing;
mod standing_api;
mod timeline;
mod tool;
mod unknown;
mod versions;
pub mod view;

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

pub use overview::{Effect, Hypothetical, NoOverview, Overview, ToolNews, ToolOverview, ToolsOverview};
pub use site::{BadSite, Site};

use crate::approvals::Approvals;
use crate::clock::{Clock, Entropy};
use crate::identity::Identity;
use crate::lifecycle::Tasks;
use crate::store::Store;

/// No form of ours is longer.
const LONGEST_BODY: usize = 64 * 1024;

/// Arguments of a call may have 1 MiB, and take up to three times as much in a form.
const LONGEST_CALL: usize = 4 * 1024 * 1024;

/// What the reviewer's side works with. Clones share it.
#[derive(Clone)]
pub struct Review(Arc<Parts>);

/// The parts of the service that the reviewer's side works with.
pub struct Parts {
    /// The database.
    pub store: Store,
    /// Who is who.
    pub identity: Identity,
    /// The held calls.
    pub approvals: Approvals,
    /// The time.
    pub clock: Clock,
    /// Randomness.
    pub entropy: Entropy,
    /// The process's tasks.
    pub tasks: Tasks,
    /// Where the service lives.
    pub site: Site,
    /// The rest of the service.
    pub overview: Arc<dyn Overview>,
}

impl std::fmt::Debug for Review {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Review").field("site", &self.0.site).finish_non_exhaustive()
    }
}

impl Review {
    /// The pages over these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }
}

/// All routes of the reviewer's side, its fallback included. Serve it with the connection's address as
/// [`axum::extract::ConnectInfo`], or every client counts as one when sign-ins are throttled.
pub fn router(review: Review) -> Router {
    let pages = Router::new()
        .route("/", get(queue::page))
        .route("/partials/queue", get(queue::partial))
        .route("/calls/{id}", get(call::page))
        .route("/calls/{id}/decision", get(call::back).post(decide::decision))
        .route("/calls/{id}/reveal", get(call::back).post(reveal::page))
        .route("/calls/{id}/receipt", get(receipt::download))
        .route("/calls/{id}/finding", get(call::back).post(unknown::finding))
        .route("/calls/{id}/read-back", get(call::back).post(unknown::read_back))
        .route("/calls/{id}/standing", get(call::back).post(standing::grant))
        .route("/standing", get(standing::page))
        .route("/standing/{id}/end", get(standing::back).post(standing::end))
        .route("/history", get(history::page))
        .route("/audit", get(audit::page))
        .route("/audit/checkpoint", get(log::checkpoint))
        .route("/audit/key", get(log::key))
        .route("/policy", get(policy::page))
        .route("/tools/{upstream}/{tool}", get(tool::page))
        .route("/tools/{upstream}/{tool}/acceptance", get(tool::back).post(tool::accept))
        .route(
            "/policy/try",
            get(policy::back).post(policy::tried).layer::<_, Infallible>(DefaultBodyLimit::max(LONGEST_CALL)),
        )
        .route("/policy/versions/{entry}", get(versions::page))
        .route("/account", get(account::page))
        .route("/account/password", get(account::password_page).post(account::password))
        .route("/account/sessions/revoke", post(account::end_other_sessions))
        .route("/account/sessions/{id}/revoke", post(account::end_session))
        .route("/account/tokens/{id}/revoke", post(account::end_token))
        .route("/login", get(login::page).post(login::sign_in))
        .route("/login/link/{token}", get(login::link_page).post(login::sign_in_link))
        .route("/logout", post(login::sign_out))
        .route("/live", get(live::upgrade))
        .route("/assets/{file}", get(finish::asset))
        .route("/policy.schema.json", get(finish::policy_schema));
    let api = Router::new()
        .route("/api/v1/calls", get(api::list))
        .route("/api/v1/calls/{id}", get(api::show))
        .route("/api/v1/calls/{id}/finding", post(unknown::api))
        .route("/api/v1/calls/{id}/reveal", post(reveal::api))
        .route("/api/v1/calls/{id}/decision", post(api::decision))
        .route("/api/v1/calls/{id}/standing", post(standing_api::grant))
        .route("/api/v1/standing", get(standing_api::list))
        .route("/api/v1/standing/{id}/end", post(standing_api::end));
    pages
        .merge(api)
        .fallback(finish::not_found)
        .layer(DefaultBodyLimit::max(LONGEST_BODY))
        .layer(from_fn_with_state(review.clone(), gate::check))
        .layer(from_fn_with_state(review.clone(), finish::finish))
        .with_state(review)
}

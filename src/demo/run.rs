//! Puts the demo together: a folder that goes away, the small IAM, the real service, a reviewer, an agent.

use std::net::SocketAddr;
use std::path::Path;

use axum::serve::ListenerExt as _;
use tempfile::TempDir;
use tokio::net::TcpListener;

use super::{mails, server};
use crate::app::{App, Outside};
use crate::call::{AgentName, Email, GroupName, UpstreamName};
use crate::clock::{Clock, Entropy};
use crate::config::Config;
use crate::identity::{AddReviewer, Roles};
use crate::lifecycle::Tasks;
use crate::notify::{Mailer, MemoryMailbox, Transport};
use crate::telemetry::Metrics;

/// A running demo. Its folder is removed with it.
#[derive(Debug)]
pub struct Demo {
    /// The service.
    pub app: App,
    /// Where reviewers and agents find it, without a slash at the end.
    pub url: String,
    /// The sign-in link of the demo's reviewer.
    pub link: String,
    /// The code that goes with the link.
    pub code: String,
    /// The agent's token.
    pub token: String,
    server: Tasks,
    folder: TempDir,
}

impl Demo {
    /// Starts everything on `listen`.
    ///
    /// # Errors
    /// The address is taken, or no temporary folder can be made.
    pub async fn start(listen: SocketAddr) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(listen).await.map_err(|error| {
            anyhow::anyhow!(
                "it cannot listen on {listen}: {error}; stop what listens there, or choose another address \
                             with --listen 127.0.0.1:0"
            )
        })?;
        let address = listener.local_addr()?;
        let url = format!("http://localhost:{}", address.port());
        let folder = tempfile::Builder::new().prefix("placet-demo-").tempdir()?;
        let server = Tasks::default();
        let upstream = serve_iam(&server).await?;
        let config = configure(folder.path(), address, &url, upstream)?;
        let mailbox = MemoryMailbox::default();
        let mailer = Mailer::new(Transport::Memory(mailbox.clone()), "Placet demo <placet@localhost.invalid>")?;
        let outside = Outside {
            clock: Clock::system(),
            entropy: Entropy::System,
            mailer: Some(mailer),
            listener,
            metrics: Metrics::install()?,
            routes: mails::router(mailbox),
        };
        let app = App::start(&config, outside).await?;
        let reviewer = Email::parse("you@example.com")?;
        let add = AddReviewer {
            email: reviewer.clone(),
            name: Some("You".to_owned()),
            roles: Roles { reviewer: true, auditor: true, administrator: true },
            groups: [GroupName::new("iam")?].into(),
            password: None,
        };
        app.identity.reviewer_add(add).await?;
        let made = app.identity.link_make(reviewer).await?;
        let owner = Email::parse("team@example.com")?;
        let agent =
            app.identity.agent_add(AgentName::new("demo-agent")?, owner, vec![UpstreamName::new("iam")?]).await?;
        let link = format!("{url}/login/link/{}", made.link.token.reveal());
        let (code, token) = (made.link.code.expose().to_owned(), agent.token.reveal().to_owned());
        Ok(Self { app, url, link, code, token, server, folder })
    }

    /// Stops everything and removes the folder.
    ///
    /// # Errors
    /// The folder could not be removed.
    pub async fn stop(self, patience: std::time::Duration) -> anyhow::Result<()> {
        self.app.stop(patience).await;
        self.server.begin_stop();
        self.server.ended(patience).await;
        Ok(self.folder.close()?)
    }
}

async fn serve_iam(tasks: &Tasks) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let stopping = tasks.clone();
    tasks.spawn("demo_iam", async move {
        let served = axum::serve(listener, server::router()).with_graceful_shutdown(async move {
            stopping.stopped().await;
        });
        if let Err(error) = served.await {
            tracing::error!(%error, "the demo's IAM server ended");
        }
    });
    Ok(address)
}

/// The same two files that a real installation has.
fn configure(folder: &Path, listen: SocketAddr, url: &str, upstream: SocketAddr) -> anyhow::Result<Config> {
    let file = folder.join("placet.toml");
    std::fs::write(folder.join("policy.json"), include_str!("policy.json"))?;
    let text = format!(
        "listen = \"{listen}\"\npublic_url = \"{url}\"\ndata_dir = \"data\"\npolicy = \"policy.json\"\n\n\
         [[upstreams]]\nname = \"iam\"\nurl = \"http://{upstream}/mcp\"\n"
    );
    std::fs::write(&file, text)?;
    Config::load(&file).map_err(|problems| {
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!(problems.join("\n"))
    })
}

//! Placet's own look at the tools of each upstream, once after the start: the tools page can show them, held calls can
//! name the schema that they were made for, what changed while nobody looked is known before an agent calls it, and an
//! upstream that does not start is noticed before an agent needs it.

use std::time::Duration;

use uuid::Uuid;

use super::super::list;
use super::{KnownTool, Upstream, Upstreams};
use crate::call::{AgentId, Answer, json};
use crate::pins::Pins;

/// How long one page of a list may take; the first one includes the start of a process.
const PATIENCE: Duration = Duration::from_secs(30);

/// More pages than any server needs; a server whose list never ends is not followed.
const MOST_PAGES: usize = 50;

impl Upstreams {
    /// Lists the tools of every upstream, one after the other. What fails is logged; agents find it out for themselves.
    pub async fn learn_tools(&self, pins: &Pins) {
        for name in self.names() {
            let Some(upstream) = self.get(&name) else { continue };
            match upstream.list_tools(Some(pins)).await {
                Ok(tools) => tracing::info!(upstream = %name, tools = tools.len(), "the upstream answers"),
                Err(why) => tracing::warn!(upstream = %name, why, "the upstream's tools could not be listed"),
            }
        }
    }
}

impl Upstream {
    /// Lists its tools, every page, on a session of Placet's own, which nobody's calls share. `pins` hear each page; where nobody is
    /// served there are none.
    ///
    /// # Errors
    /// Why the list is not known, or not whole.
    pub async fn list_tools(&self, pins: Option<&Pins>) -> Result<Vec<KnownTool>, String> {
        let link = self.own(AgentId(Uuid::nil())).await.map_err(|error| error.to_string())?;
        let mut params = "{}".to_owned();
        for _ in 0..MOST_PAGES {
            let answer = link.request("tools/list", &params, &[], PATIENCE).await.map_err(|error| error.to_string())?;
            let Answer::Result(page) = answer else { return Err("it answered with an error".to_owned()) };
            self.note_tools(&page);
            let document = json::read_strict(page.as_bytes(), &list::LIMITS).map_err(|error| error.to_string())?;
            if let Some(pins) = pins {
                pins.listed(self.name(), list::said(&document, document.root()));
            }
            match document.root().get("nextCursor").and_then(json::Node::as_str) {
                Some(cursor) => params = format!(r#"{{"cursor":{}}}"#, json::quote(cursor)),
                None => return Ok(self.tools()),
            }
        }
        Err(format!("its list has more than {MOST_PAGES} pages"))
    }
}

//! From the file's tree to the configuration, with everything that is wrong with it.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use secrecy::{ExposeSecret as _, SecretString};

use crate::call::{Email, UpstreamName};
use crate::policy::Problem;
use crate::policy::duration::{self, duration, positive_duration};
use crate::policy::source::{At, Fields, Reader};

use super::secret::Secrets;
use super::{Anchor, AnchorTo, Config, Hold, Mail, MailSecurity, Partial, Retention, Server, Transport, Upstream};
use super::{address, toml_tree};

const KEYS: [&str; 10] =
    ["listen", "public_url", "data_dir", "policy", "hold", "server", "retention", "upstreams", "mail", "anchors"];
const HOLD: [&str; 6] =
    ["timeout", "budget", "max_pending_per_agent", "max_new_per_agent_per_hour", "result_ttl", "self_approval"];
const SERVER: [&str; 4] = ["allowed_hosts", "trusted_proxies", "session_idle", "session_max"];
const UPSTREAM: [&str; 7] = ["name", "command", "env", "user", "url", "headers", "shared"];
const MAIL: [&str; 4] = ["smtp", "user", "password", "from"];
const ANCHOR: [&str; 6] = ["file", "command", "url", "mail", "every", "allow_private"];

const SECRET_HINT: &str = "write \"env:NAME\" for an environment variable or \"file:PATH\" for a file";
const ADDRESS_HINT: &str = "write an address such as mira@example.com";

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

/// Reads the text. The configuration is complete where no error was reported.
pub(super) fn config(text: &str, path: &Path, secrets: &Secrets<'_>) -> (Option<Config>, Partial, Vec<Problem>) {
    let folder = path.parent().unwrap_or(Path::new(""));
    let mut source = Source { reader: Reader::new(text), folder, secrets };
    let mut partial = Partial::default();
    partial.policy = folder.join(&partial.policy);
    let tree = toml_tree::read(&mut source.reader, text);
    let config = tree.as_ref().and_then(|root| source.config(&At::root(root), &mut partial));
    (config, partial, source.reader.finish())
}

/// A file that is being read.
struct Source<'r, 's> {
    reader: Reader<'r>,
    folder: &'s Path,
    secrets: &'s Secrets<'s>,
}

impl Source<'_, '_> {
    fn config(&mut self, root: &At<'_, '_>, partial: &mut Partial) -> Option<Config> {
        let top = self.reader.object(root, &KEYS)?;
        let hint = "write an address and a port, such as \"127.0.0.1:8080\"";
        let listen = match top.get("listen") {
            Some(at) => self.reader.parsed(&at, hint, address::listen),
            None => Some(([127, 0, 0, 1], 8080).into()),
        };
        let hint = "write the address that browsers use, such as \"https://placet.example.com\"";
        let public_url = match (top.get("public_url"), listen) {
            (Some(at), _) => self.reader.parsed(&at, hint, address::origin),
            (None, Some(listen)) if listen.ip().is_loopback() => Some(format!("http://localhost:{}", listen.port())),
            (None, Some(_)) => {
                self.reader.error(&top.at, "\"public_url\" is missing: others could not follow a mail's link", hint);
                None
            }
            (None, None) => None,
        };
        let mut path = |key: &str, default: &str| match top.get(key) {
            Some(at) => self.reader.text(&at).map(|text| self.folder.join(text)),
            None => Some(self.folder.join(default)),
        };
        let data_dir = path("data_dir", "placet-data");
        let policy = path("policy", "policy.json");
        let hold = self.hold(top.get("hold"));
        let server = self.server(top.get("server"));
        let retention = self.retention(top.get("retention"), hold.as_ref());
        let upstreams = self.upstreams(&top);
        let mail = top.get("mail").map(|at| self.mail(&at));
        let anchors = self.anchors(&top);
        if mail.is_none() && anchors.iter().any(|anchor| matches!(anchor.to, AnchorTo::Mail(_))) {
            self.reader.error(&top.at, "an anchor is a mail, and no mail leaves", "add [mail], or another anchor");
        }
        if let Some(policy) = &policy {
            partial.policy.clone_from(policy);
        }
        partial.timeout = hold.as_ref().map_or(partial.timeout, |hold| hold.timeout);
        let upstreams: Option<Vec<_>> = upstreams.into_iter().collect();
        partial.upstreams = upstreams.iter().flatten().map(|upstream| upstream.name.clone()).collect();
        Some(Config {
            listen: listen?,
            public_url: public_url?,
            data_dir: data_dir?,
            policy: policy?,
            hold: hold?,
            server: server?,
            retention: retention?,
            upstreams: upstreams?,
            mail: mail.map_or(Some(None), |mail| mail.map(Some))?,
            anchors,
            warnings: Vec::new(),
        })
    }

    /// A table that may be left out; then every key has its default.
    fn table<'n, 't>(&mut self, at: Option<At<'n, 't>>, known: &[&str]) -> Option<Option<Fields<'n, 't>>> {
        match at {
            Some(at) => self.reader.object(&at, known).map(Some),
            None => Some(None),
        }
    }

    fn hold(&mut self, at: Option<At<'_, '_>>) -> Option<Hold> {
        let table = self.table(at, &HOLD)?;
        let get = |key: &str| table.as_ref().and_then(|table| table.get(key));
        let count = |reader: &mut Reader<'_>, key: &str, default: u32| match get(key) {
            Some(at) => reader.whole(&at, 1, 1_000_000).and_then(|count| u32::try_from(count).ok()),
            None => Some(default),
        };
        let pending = count(&mut self.reader, "max_pending_per_agent", 20);
        let new = count(&mut self.reader, "max_new_per_agent_per_hour", 30);
        let timeout = self.span(get("timeout"), minutes(15), positive_duration);
        let budget = self.span(get("budget"), Duration::from_secs(50), duration);
        let result_ttl = self.span(get("result_ttl"), minutes(60), duration);
        let self_approval = self.flag(get("self_approval"));
        Some(Hold {
            timeout: timeout?,
            budget: budget?,
            max_pending_per_agent: pending?,
            max_new_per_agent_per_hour: new?,
            result_ttl: result_ttl?,
            self_approval: self_approval?,
        })
    }

    fn server(&mut self, at: Option<At<'_, '_>>) -> Option<Server> {
        let table = self.table(at, &SERVER)?;
        let get = |key: &str| table.as_ref().and_then(|table| table.get(key));
        let allowed_hosts = self.each(get("allowed_hosts"), "write a host such as \"placet.internal\"", address::host);
        let hint = "write an address or a network, such as \"10.0.0.1\" or \"10.0.0.0/8\"";
        let trusted_proxies = self.each(get("trusted_proxies"), hint, address::network);
        let session_idle = self.span(get("session_idle"), minutes(12 * 60), positive_duration);
        let session_max = self.span(get("session_max"), minutes(7 * 24 * 60), positive_duration);
        if let (Some(idle), Some(max), Some(at)) =
            (session_idle, session_max, get("session_idle").or(get("session_max")))
            && idle > max
        {
            self.reader.error(&at, "session_idle is longer than session_max", "make session_max the longer one");
        }
        Some(Server { allowed_hosts, trusted_proxies, session_idle: session_idle?, session_max: session_max? })
    }

    fn retention(&mut self, at: Option<At<'_, '_>>, hold: Option<&Hold>) -> Option<Retention> {
        let table = self.table(at, &["arguments"])?;
        let at = table.and_then(|table| table.get("arguments"));
        let arguments = self.span(at.clone(), minutes(90 * 24 * 60), positive_duration)?;
        if let (Some(at), Some(hold)) = (at, hold)
            && arguments < hold.result_ttl
        {
            let message = "a result is erased before hold.result_ttl is over, so a caller that comes back may miss it";
            self.reader.warn(at.node.span.start, &at.pointer, message, "make retention.arguments the longer one");
        }
        Some(Retention { arguments })
    }

    fn upstreams(&mut self, top: &Fields<'_, '_>) -> Vec<Option<Upstream>> {
        let elements = top.get("upstreams").map(|at| self.reader.list(&at)).unwrap_or_default();
        if elements.is_empty() {
            let hint = "add [[upstreams]] with a name and a command or url";
            self.reader.warn(0, "", "no upstream is configured, so there is nothing that agents could call", hint);
        }
        let mut names: HashSet<&str> = HashSet::new();
        for name in elements.iter().filter_map(|at| at.get("name")) {
            if let Some(text) = name.node.as_str()
                && !names.insert(text)
            {
                let message = format!("another upstream is called {text:?} as well");
                self.reader.error(&name, message, "give each upstream a name of its own");
            }
        }
        elements.iter().map(|at| self.upstream(at)).collect()
    }

    fn upstream(&mut self, at: &At<'_, '_>) -> Option<Upstream> {
        let fields = self.reader.object(at, &UPSTREAM)?;
        let hint = "write a name of letters, digits, '-', '_' and '.'; agents see it in /mcp/{name}";
        let name = self.reader.required(&fields, "name", hint);
        let read = |text: &str| UpstreamName::new(text).map_err(|error| error.to_string());
        let name = name.and_then(|at| self.reader.parsed(&at, hint, read));
        let shared = self.flag(fields.get("shared"));
        let transport = match (fields.get("command"), fields.get("url")) {
            (Some(command), None) => self.stdio(&fields, &command),
            (None, Some(url)) => self.http(&fields, &url),
            (Some(_), Some(url)) => {
                self.reader.error(&url, "this upstream has a command and a url", "keep one of them");
                None
            }
            (None, None) => {
                let hint = "write command = [\"program\", \"argument\"] or url = \"https://…\"";
                self.reader.error(at, "this upstream has neither a command nor a url", hint);
                None
            }
        };
        Some(Upstream { name: name?, transport: transport?, shared: shared? })
    }

    fn stdio(&mut self, fields: &Fields<'_, '_>, command: &At<'_, '_>) -> Option<Transport> {
        self.refuse(fields, "headers", "only an upstream with a url has headers");
        let command = self.command(command);
        let name = |name: &str| {
            let bad = name.is_empty() || name.contains(['=', '\0']);
            if bad { Err(format!("{name:?} is not the name of an environment variable")) } else { Ok(()) }
        };
        let value = |value: &str| if value.contains('\0') { Err("the value has a null character") } else { Ok(()) };
        let env = self.pairs(fields.get("env"), name, value);
        let user = match fields.get("user") {
            Some(at) => self.reader.text(&at).map(Some),
            None => Some(None),
        };
        Some(Transport::Stdio { command: command?, env: env?, user: user? })
    }

    fn http(&mut self, fields: &Fields<'_, '_>, url: &At<'_, '_>) -> Option<Transport> {
        self.refuse(fields, "env", "only an upstream with a command has an environment");
        self.refuse(fields, "user", "only an upstream with a command runs as a user");
        let url =
            self.reader.parsed(url, "write an address such as \"https://mcp.example.com/mcp\"", address::endpoint);
        let headers = self.pairs(fields.get("headers"), address::header_name, address::header_value);
        let table = fields.get("headers").map(|at| at.members()).unwrap_or_default();
        for (name, offset, at) in table {
            let literal = at.node.as_str().is_some_and(|text| !text.starts_with("env:") && !text.starts_with("file:"));
            if literal
                && matches!(name.to_ascii_lowercase().as_str(), "authorization" | "proxy-authorization" | "cookie")
            {
                let message = format!("{name} stands in the file in clear, for everybody who can read it");
                self.reader.warn(offset, &at.pointer, message, SECRET_HINT);
            }
        }
        Some(Transport::Http { url: url?, headers: headers? })
    }

    fn refuse(&mut self, fields: &Fields<'_, '_>, key: &str, why: &str) {
        if let Some(at) = fields.get(key) {
            self.reader.error(&at, why, "leave it out");
        }
    }

    /// Program and arguments.
    fn command(&mut self, at: &At<'_, '_>) -> Option<Vec<String>> {
        let elements = self.reader.list(at);
        if elements.is_empty() && at.node.as_array().is_some() {
            self.reader.error(at, "this command is empty", "write the program and its arguments");
        }
        let mut words = Vec::new();
        for element in &elements {
            let word = self.reader.string(element)?;
            if word.contains('\0') || (words.is_empty() && word.trim().is_empty()) {
                self.reader.error(element, "this cannot be part of a command", "write the program and its arguments");
                return None;
            }
            // A program beside the file is found wherever Placet is started from; one without '/' is looked up in PATH.
            let beside = words.is_empty() && word.contains('/');
            words.push(if beside { self.folder.join(word).to_string_lossy().into_owned() } else { word.to_owned() });
        }
        (!words.is_empty()).then_some(words)
    }

    /// Names and values, the values perhaps secrets.
    fn pairs(
        &mut self,
        at: Option<At<'_, '_>>,
        name_is_good: impl Fn(&str) -> Result<(), String>,
        check: impl Fn(&str) -> Result<(), &'static str>,
    ) -> Option<Vec<(String, SecretString)>> {
        let Some(at) = at else { return Some(Vec::new()) };
        let mut pairs: Vec<(String, SecretString)> = Vec::new();
        for (name, offset, value) in self.reader.map(&at)? {
            if let Err(message) = name_is_good(name) {
                self.reader.error_at(offset, &value.pointer, message, "choose another name".to_owned());
            }
            let text = self.reader.string(&value)?;
            let secret = match self.secrets.named(text, self.folder) {
                Some(Ok(secret)) => secret,
                Some(Err(message)) => {
                    self.reader.error(&value, message, SECRET_HINT);
                    continue;
                }
                None => text.into(),
            };
            if let Err(message) = check(secret.expose_secret()) {
                self.reader.error(&value, message, "check where the value comes from");
            }
            pairs.push((name.to_owned(), secret));
        }
        pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
        Some(pairs)
    }

    fn mail(&mut self, at: &At<'_, '_>) -> Option<Mail> {
        let fields = self.reader.object(at, &MAIL)?;
        let hint = "write \"smtp://host:25\", \"smtp://host:587?tls=required\" (STARTTLS) or \"smtps://host:465\"; \
                    user and password are keys of their own";
        let smtp = self.reader.required(&fields, "smtp", hint);
        let smtp = smtp.and_then(|at| self.reader.parsed(&at, hint, address::smtp));
        let hint = "write \"Placet <placet@example.com>\"";
        let from = self.reader.required(&fields, "from", hint);
        let from = from.and_then(|at| self.reader.parsed(&at, hint, address::sender));
        let credentials = self.credentials(&fields);
        if let (Some((host, _, MailSecurity::Plain)), Some(Some(_)), Some(at)) =
            (&smtp, &credentials, fields.get("smtp"))
        {
            let local =
                host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
            if !local {
                let hint = "write smtps://, or ?tls=required behind the host";
                self.reader.warn(
                    at.node.span.start,
                    &at.pointer,
                    "the password would cross the network in clear",
                    hint,
                );
            }
        }
        let ((host, port, security), (from_name, from)) = (smtp?, from?);
        Some(Mail { host, port, security, credentials: credentials?, from_name, from })
    }

    fn credentials(&mut self, fields: &Fields<'_, '_>) -> Option<Option<(String, SecretString)>> {
        let user = match fields.get("user") {
            None => None,
            Some(at) => {
                let text = self.reader.text(&at)?;
                match self.secrets.named(&text, self.folder) {
                    Some(secret) => {
                        let secret = secret.map_err(|message| self.reader.error(&at, message, SECRET_HINT)).ok()?;
                        Some(secret.expose_secret().to_owned())
                    }
                    None => Some(text),
                }
            }
        };
        let password = match fields.get("password") {
            None => None,
            Some(at) => {
                let text = self.reader.text(&at)?;
                let secret = self.secrets.named(&text, self.folder);
                // Never repeated: what stands here may be the password itself.
                let secret = secret.unwrap_or_else(|| Err("a password may not stand in the file".to_owned()));
                Some(secret.map_err(|message| self.reader.error(&at, message, SECRET_HINT)).ok()?)
            }
        };
        match (user, password) {
            (Some(user), Some(password)) => Some(Some((user, password))),
            (None, None) => Some(None),
            _ => {
                self.reader.error(&fields.at, "user and password are only of use together", "add the other one");
                None
            }
        }
    }

    fn anchors(&mut self, top: &Fields<'_, '_>) -> Vec<Anchor> {
        let elements = top.get("anchors").map(|at| self.reader.list(&at)).unwrap_or_default();
        elements.iter().filter_map(|at| self.anchor(at)).collect()
    }

    fn anchor(&mut self, at: &At<'_, '_>) -> Option<Anchor> {
        let fields = self.reader.object(at, &ANCHOR)?;
        let every = self.span(fields.get("every"), minutes(5), positive_duration);
        let given: Vec<_> = ANCHOR[..4].iter().filter_map(|key| Some((*key, fields.get(key)?))).collect();
        let [(kind, place)] = given.as_slice() else {
            let message = format!("an anchor has one place, this one has {}", given.len());
            self.reader.error(at, message, "write one of file, command, url and mail");
            return None;
        };
        if let Some(at) = fields.get("allow_private").filter(|_| *kind != "url") {
            self.reader.error(&at, "\"allow_private\" is about a url", "leave it out");
        }
        let to = match *kind {
            "file" => AnchorTo::File(self.folder.join(self.reader.text(place)?)),
            "command" => AnchorTo::Command(self.command(place)?),
            "url" => {
                let allow_private = self.flag(fields.get("allow_private"))?;
                let read = |text: &str| address::anchor(text, allow_private);
                let url = self.reader.parsed(place, "write an address such as \"https://…\"", read)?;
                AnchorTo::Url { url, allow_private }
            }
            _ => {
                let read = |text: &str| Email::parse(text).map_err(|error| error.to_string());
                AnchorTo::Mail(self.reader.parsed(place, ADDRESS_HINT, read)?)
            }
        };
        Some(Anchor { offset: place.node.span.start, to, every: every? })
    }

    fn span(
        &mut self,
        at: Option<At<'_, '_>>,
        default: Duration,
        read: impl Fn(&str) -> Result<Duration, String>,
    ) -> Option<Duration> {
        match at {
            Some(at) => self.reader.parsed(&at, duration::HINT, read),
            None => Some(default),
        }
    }

    fn flag(&mut self, at: Option<At<'_, '_>>) -> Option<bool> {
        at.map_or(Some(false), |at| self.reader.flag(&at))
    }

    fn each(
        &mut self,
        at: Option<At<'_, '_>>,
        hint: &str,
        read: impl Fn(&str) -> Result<String, String>,
    ) -> Vec<String> {
        let elements = at.map(|at| self.reader.list(&at)).unwrap_or_default();
        elements.iter().filter_map(|at| self.reader.parsed(at, hint, &read)).collect()
    }
}

//! placet.toml, right and wrong.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use secrecy::ExposeSecret as _;

use super::*;

/// The file of the interface page, all of it.
const COMPLETE: &str = r#"
listen     = "127.0.0.1:8080"
public_url = "http://localhost:8080"     # links in mails come from here only; a host name, so that passkeys work
data_dir   = "placet-data"               # placet.db, keys
policy     = "policy.json"               # or .yaml; reloaded when it changes

[hold]
timeout = "15m"          # pending deadline where the policy names none
budget  = "50s"          # how long a plain response is kept open before "pending, call again"
max_pending_per_agent = 20
max_new_per_agent_per_hour = 30
result_ttl = "1h"        # how long a result is kept for the caller that comes back
self_approval = false    # true: solo use, an owner may decide; said on every page

[server]
allowed_hosts   = []     # besides public_url's and the listen address
trusted_proxies = []     # whose X-Forwarded-* count
session_idle = "12h"
session_max  = "7d"

[retention]
arguments = "90d"        # then redacted; the log still verifies

[[upstreams]]
name    = "iam"
command = ["awslabs.iam-mcp-server", "--allow-write"]
env     = { AWS_ENDPOINT_URL = "http://127.0.0.1:5555" }

[[upstreams]]
name = "far"
url = "https://mcp.example.com/mcp"
headers = { Authorization = "env:UPSTREAM_TOKEN" }

[mail]
smtp = "smtp://127.0.0.1:2525"           # smtps://, starttls, user and password from env: or file:
from = "Placet <placet@example.com>"

[[anchors]]
file  = "/mnt/elsewhere/placet.checkpoints"   # or command = [...], url = "https://…", mail = "auditor@example.com"
every = "5m"
"#;

fn environment(name: &str) -> Option<String> {
    match name {
        "UPSTREAM_TOKEN" => Some("Bearer s3cret".to_owned()),
        "LINES" => Some("a\nb".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

fn read(text: &str) -> Result<Config, Vec<ConfigProblem>> {
    Config::parse(text, Path::new("etc/placet.toml"), &Secrets::from(&environment)).0
}

/// Every problem, a line each, without the file's name.
fn problems(text: &str) -> String {
    let found = read(text).map_or_else(|problems| problems, |config| config.warnings);
    found.iter().fold(String::new(), |mut lines, found| {
        writeln!(lines, "{}", found.problem).unwrap();
        lines
    })
}

#[test]
fn the_file_of_the_interface_page_loads_as_it_stands() {
    let config = read(COMPLETE).unwrap();
    assert_eq!(config.warnings, []);
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.public_url, "http://localhost:8080");
    assert_eq!(
        (config.data_dir.as_path(), config.policy.as_path()),
        (Path::new("etc/placet-data"), Path::new("etc/policy.json"))
    );
    let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
    let hold = Hold {
        timeout: minutes(15),
        budget: Duration::from_secs(50),
        max_pending_per_agent: 20,
        max_new_per_agent_per_hour: 30,
        result_ttl: minutes(60),
        self_approval: false,
    };
    assert_eq!(config.hold, hold);
    assert_eq!(config.server.session_max, minutes(7 * 24 * 60));
    assert_eq!(config.retention.arguments, minutes(90 * 24 * 60));
    let Transport::Stdio { command, env, user: None } = &config.upstreams[0].transport else { panic!() };
    assert_eq!(command, &["awslabs.iam-mcp-server", "--allow-write"]);
    assert_eq!((env[0].0.as_str(), env[0].1.expose_secret()), ("AWS_ENDPOINT_URL", "http://127.0.0.1:5555"));
    let Transport::Http { url, headers } = &config.upstreams[1].transport else { panic!() };
    assert_eq!(url, "https://mcp.example.com/mcp");
    assert_eq!((headers[0].0.as_str(), headers[0].1.expose_secret()), ("Authorization", "Bearer s3cret"));
    let mail = config.mail.as_ref().unwrap();
    assert_eq!((mail.host.as_str(), mail.port, mail.security), ("127.0.0.1", 2525, MailSecurity::Plain));
    assert_eq!(mail.sender(), "Placet <placet@example.com>");
    assert_eq!(config.anchors[0].to, AnchorTo::File("/mnt/elsewhere/placet.checkpoints".into()));
    assert!(!format!("{config:?}").contains("s3cret"), "secrets are never printed");

    // Without any of the tables the same holds.
    let bare = read("[[upstreams]]\nname = \"iam\"\ncommand = [\"x\"]\n").unwrap();
    assert_eq!((bare.hold, bare.server, bare.retention), (config.hold, config.server, config.retention));
    assert_eq!((bare.listen, bare.public_url), (config.listen, config.public_url));
}

#[test]
fn mail_servers_are_named_by_url_and_signed_in_to_by_secrets() {
    for (smtp, host, port, security) in [
        ("smtp://mail", "mail", 25, MailSecurity::Plain),
        ("smtp://[::1]:2525", "::1", 2525, MailSecurity::Plain),
        ("smtp://mail?tls=required", "mail", 587, MailSecurity::StartTls),
        ("smtp://mail:25/?tls=starttls", "mail", 25, MailSecurity::StartTls),
        ("smtp://mail?starttls=required", "mail", 587, MailSecurity::StartTls),
        ("smtps://mail", "mail", 465, MailSecurity::Tls),
    ] {
        let text =
            format!("[mail]\nsmtp = \"{smtp}\"\nfrom = \"a@b\"\nuser = \"u\"\npassword = \"env:UPSTREAM_TOKEN\"\n");
        let mail = read(&text).unwrap().mail.unwrap();
        assert_eq!((mail.host.as_str(), mail.port, mail.security), (host, port, security), "{smtp}");
        let (user, password) = mail.credentials.unwrap();
        assert_eq!((user.as_str(), password.expose_secret()), ("u", "Bearer s3cret"));
    }
}

#[test]
fn secrets_come_from_files_beside_the_file_too_and_are_not_needed_by_every_command() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "from file\r\n").unwrap();
    let path = folder.path().join("placet.toml");
    let file = "[[upstreams]]\nname = \"a\"\nurl = \"http://h\"\nheaders = { X = \"file:token\", Y = \"env:UNSET\" }\n";
    std::fs::write(&path, file).unwrap();
    let config = Config::load_with(&path, &Secrets::from(&environment)).unwrap_err();
    assert_eq!(config.iter().filter(|found| found.problem.severity == Severity::Error).count(), 1, "{config:?}");
    let config = Config::load_without_secrets(&path).unwrap();
    let Transport::Http { headers, .. } = &config.upstreams[0].transport else { panic!() };
    assert!(headers.iter().all(|(_, value)| value.expose_secret().is_empty()));
    std::fs::write(&path, file.replace("env:UNSET", "env:UPSTREAM_TOKEN")).unwrap();
    let config = Config::load_with(&path, &Secrets::from(&environment)).unwrap();
    let Transport::Http { headers, .. } = &config.upstreams[0].transport else { panic!() };
    assert_eq!(headers[0].1.expose_secret(), "from file");
}

#[test]
fn a_file_that_is_not_there_says_what_writes_one() {
    let problems = Config::load(Path::new("/nowhere/placet.toml")).unwrap_err();
    assert_eq!(
        problems[0].to_string(),
        "/nowhere/placet.toml: there is no such file \
         (`placet init` writes one to start from, or name the right file)"
    );
}

#[test]
fn everything_wrong_is_said_at_once() {
    let broken = r#"listen = "localhost"
public_url = "https://user:pw@h"
data_dir = ""
polcy = "policy.json"
[hold]
timeout = "0s"
budget = "50"
max_pending_per_agent = 0
max_new_per_agent_per_hour = "30"
self_approval = "no"
[server]
allowed_hosts = ["a/b", 1]
trusted_proxies = ["10.0.0.0/33", "proxy"]
session_idle = "8d"
[retention]
argument = "90d"
[[upstreams]]
name = "a b"
command = []
[[upstreams]]
name = "x"
command = ["x"]
url = "https://h"
[[upstreams]]
name = "x"
url = "ftp://h"
env = {}
[[upstreams]]
comand = ["x"]
[[upstreams]]
name = "y"
url = "https://h"
headers = { Host = "h", "a b" = "c", Authorization = "Bearer x", X-A = "env:UNSET", X-B = "file:none", X-C = "env:LINES" }
[[upstreams]]
name = "y"
command = ["x", 1]
env = { "A=B" = "c", D = "env:EMPTY" }
[mail]
smtp = "smtp://u:p@h"
password = "hunter2"
from = "Placet"
[[anchors]]
every = "5m"
[[anchors]]
file = "f"
url = "https://h"
"#;
    insta::assert_snapshot!(problems(broken));
}

#[test]
fn each_of_these_is_refused_or_warned_of() {
    let mut said = String::new();
    for text in [
        "listen = \"0.0.0.0:80\"",
        "public_url = \"https://h/placet\"",
        "public_url = \"ftp://h\"",
        "public_url = \"h\"",
        "public_url = 1",
        "[hold]\ntimeout = 15",
        "[hold]\ntimeout = 15:00:00",
        "[hold]\nmax_pending_per_agent = 1e3",
        "[hold]\nmax_pending_per_agent = 20\nmax_pending_per_agent = 30",
        "[hold]\n[hold]",
        "hold = 3",
        "listen = ",
        "listen: \"x\"",
        "upstreams = {}",
        "[mail]\nsmtp = \"smtp://h\"",
        "[mail]\nsmtp = \"smtp://h\"\nfrom = \"a@b\"\nuser = \"u\"",
        "[mail]\nsmtp = \"smtp://h\"\nfrom = \"a@b\"\nuser = \"u\"\npassword = \"env:UPSTREAM_TOKEN\"",
        "[mail]\nsmtp = \"smtp://h?tls=opportunistic\"\nfrom = \"a@b\\r\\nBcc: c@d\"",
        "[mail]\nsmtp = \"smtps://h?tls=no\"\nfrom = \"a@b@c\"",
        "[mail]\nsmtp = \"http://h\"\nfrom = \"\"",
        "[[upstreams]]\nname = \"a\"\nname = \"b\"\ncommand = [\"x\"]",
        "[[upstreams]]\nname = \"a\"\ncommand = \"x\"",
        "[[upstreams]]\nname = \"a\"\nurl = \"https://h\"\nuser = \"u\"",
        "[[upstreams]]\nname = \"a\"\ncommand = [\"x\"]\nheaders = {}",
        "[[anchors]]\nmail = \"nobody\"",
        "[retention]\narguments = \"30m\"",
    ] {
        writeln!(said, "{text}\n{}", problems(text)).unwrap();
    }
    insta::assert_snapshot!(said);
}

//! A POST of the note. The note is signed, so that nothing else has to vouch for the request.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::CONTENT_TYPE;

use super::is_public;

/// How long a connection may take to be made, TLS included.
const CONNECT: Duration = Duration::from_secs(10);

/// Sends the note; any 2xx means that the other side has it. Redirects are not followed, the name is resolved once, and
/// what it leads to is judged before anything is sent.
pub(super) async fn post(url: &str, allow_private: bool, note: &str) -> Result<(), String> {
    let url = Url::parse(url).map_err(|error| format!("it is no URL: {error}"))?;
    let host = url.host_str().ok_or("it names no host")?.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = url.port_or_known_default().ok_or("it names no port")?;
    let addresses = tokio::net::lookup_host((host.as_str(), port)).await;
    let addresses: Vec<_> = addresses.map_err(|error| format!("its host was not found: {error}"))?.collect();
    judge(&url, &addresses, allow_private)?;
    // A proxy named by the environment would be asked for the address anew.
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .resolve_to_addrs(&host, &addresses)
        .connect_timeout(CONNECT)
        .user_agent(concat!("placet/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| format!("no HTTP client could be made: {error}"))?;
    let request = client.post(url).header(CONTENT_TYPE, "text/plain; charset=utf-8").body(note.to_owned());
    let answer = request.send().await.map_err(|error| cause(&error.without_url()))?;
    match answer.status() {
        status if status.is_success() => Ok(()),
        status if status.is_redirection() => {
            Err(format!("the server answered {}, and redirects are not followed", status.as_u16()))
        }
        status => Err(format!("the server answered {}", status.as_u16())),
    }
}

fn judge(url: &Url, addresses: &[SocketAddr], allow_private: bool) -> Result<(), String> {
    if addresses.is_empty() {
        return Err("its host has no address".to_owned());
    }
    let inside = addresses.iter().any(|address| !is_public(address.ip()));
    if inside && !allow_private {
        return Err(
            "its host is on this machine or in a private network; `allow_private = true` allows that".to_owned()
        );
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if allow_private && addresses.iter().all(|address| address.ip().is_loopback()) => Ok(()),
        _ => Err("only https leaves this machine".to_owned()),
    }
}

/// What went wrong, down to the innermost cause.
fn cause(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    plain(&text)
}

/// Somebody else's words in one short line.
pub(super) fn plain(text: &str) -> String {
    let words: Vec<_> =
        text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty()).collect();
    words.join(" ").chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_name_leads_to_decides() {
        let judged = |url: &str, addresses: &[&str], private| {
            let addresses: Vec<_> = addresses.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 443)).collect();
            judge(&Url::parse(url).unwrap(), &addresses, private)
        };
        assert_eq!(judged("https://a.example/x", &["1.1.1.1", "2606:4700::1"], false), Ok(()));
        // One private address among public ones is what rebinding looks like.
        for addresses in [&["1.1.1.1", "10.0.0.1"][..], &["::1"], &["169.254.169.254"], &["::ffff:127.0.0.1"]] {
            assert!(judged("https://a.example/", addresses, false).unwrap_err().contains("allow_private"));
            assert_eq!(judged("https://a.example/", addresses, true), Ok(()));
        }
        assert!(judged("https://a.example/", &[], true).is_err());
        assert_eq!(judged("http://localhost/", &["127.0.0.1", "::1"], true), Ok(()));
        for (url, address, private) in [
            ("http://a.example/", "1.1.1.1", false),
            ("http://a.example/", "1.1.1.1", true),
            ("http://a.example/", "10.0.0.1", true),
            ("http://localhost/", "127.0.0.1", false),
            ("ftp://localhost/", "127.0.0.1", true),
        ] {
            assert!(judged(url, &[address], private).is_err(), "{url} {address} {private}");
        }
    }
}

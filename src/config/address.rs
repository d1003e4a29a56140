//! Addresses as placet.toml writes them, each read or refused with a reason.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use reqwest::Url;

use super::MailSecurity;
use crate::call::Email;

pub(super) fn listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("{text:?} is not an address and a port"))
}

/// Scheme, host and port alone.
pub(super) fn origin(text: &str) -> Result<String, String> {
    let url = http(text)?;
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(format!("{text:?} has a path; Placet is served at the root of its host"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// Any http or https address.
pub(super) fn endpoint(text: &str) -> Result<String, String> {
    let url = http(text)?;
    if url.fragment().is_some() {
        return Err("what follows a # is never sent to a server".to_owned());
    }
    Ok(text.to_owned())
}

/// Where checkpoints are sent: https, or http to this machine where that is allowed.
pub(super) fn anchor(text: &str, allow_private: bool) -> Result<String, String> {
    let url = http(&endpoint(text)?)?;
    let host = url.host_str().unwrap_or_default();
    let here =
        matches!(host, "localhost" | "[::1]") || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback());
    match url.scheme() {
        "https" => Ok(text.to_owned()),
        _ if here && allow_private => Ok(text.to_owned()),
        _ if here => Err(format!("{text:?} is on this machine, which \"allow_private = true\" would allow")),
        _ => Err(format!("{text:?} is not https://")),
    }
}

fn http(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("{text:?} is not a URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("{text:?} is neither http:// nor https://"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(format!("{text:?} names no host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        // Not repeated: it may be a password.
        return Err("this URL holds a user or password, which would be printed and logged".to_owned());
    }
    Ok(url)
}

/// A host name or address, with or without a port.
pub(super) fn host(text: &str) -> Result<String, String> {
    let bad = || format!("{text:?} is not a host name");
    let url = Url::parse(&format!("http://{text}/")).map_err(|_| bad())?;
    let extra = text.contains(['/', '?', '#', '@', '\\']) || text.trim() != text || text.contains(char::is_whitespace);
    if extra || url.host_str().is_none_or(str::is_empty) { Err(bad()) } else { Ok(text.to_ascii_lowercase()) }
}

/// An address or a network such as 10.0.0.0/8.
pub(super) fn network(text: &str) -> Result<String, String> {
    let bad = || format!("{text:?} is neither an address nor a network");
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.parse().map_err(|_| bad())?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    match bits.map(str::parse::<u32>) {
        None => Ok(text.to_owned()),
        Some(Ok(bits)) if bits <= most => Ok(text.to_owned()),
        Some(_) => Err(bad()),
    }
}

/// A mail server's host, port and security.
pub(super) fn smtp(text: &str) -> Result<(String, u16, MailSecurity), String> {
    let url = Url::parse(text).map_err(|error| format!("this is not a URL: {error}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("this URL holds a user or password, which would be printed and logged".to_owned());
    }
    let wish: Vec<_> = url.query_pairs().map(|(key, value)| (key.into_owned(), value.into_owned())).collect();
    let wish: Vec<_> = wish.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let (security, port) = match (url.scheme(), wish.as_slice()) {
        ("smtp", []) => (MailSecurity::Plain, 25),
        ("smtp", [("tls", "required" | "starttls") | ("starttls", "required" | "true")]) => {
            (MailSecurity::StartTls, 587)
        }
        ("smtp", [("tls" | "starttls", "opportunistic")]) => {
            return Err("opportunistic TLS is none: whoever sits between could turn it off".to_owned());
        }
        ("smtps", []) => (MailSecurity::Tls, 465),
        ("smtp" | "smtps", _) => return Err(format!("{text:?} has an unknown option")),
        _ => return Err(format!("{text:?} is neither smtp:// nor smtps://")),
    };
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| format!("{text:?} names no host"))?;
    if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
        return Err(format!("{text:?} has a path"));
    }
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    Ok((host, url.port().unwrap_or(port), security))
}

/// `Name <address>` or an address alone.
pub(super) fn sender(text: &str) -> Result<(Option<String>, Email), String> {
    let bad = || format!("{text:?} is not a sender");
    if text.contains(char::is_control) {
        return Err(bad());
    }
    let (name, address) = match text.strip_suffix('>').and_then(|rest| rest.split_once('<')) {
        Some((name, address)) => (name.trim().trim_matches('"'), address),
        None => ("", text),
    };
    let email = Email::parse(address).map_err(|_| bad())?;
    Ok(((!name.is_empty()).then(|| name.to_owned()), email))
}

/// The value of such a header: visible ASCII, spaces and tabs.
pub(super) fn header_value(text: &str) -> Result<(), &'static str> {
    if text.bytes().all(|b| b == b'\t' || (b' '..=b'~').contains(&b)) {
        Ok(())
    } else {
        Err("the value has a line break or a character that no header may have")
    }
}

/// The name of a header that an operator may set on upstream requests.
pub(super) fn header_name(text: &str) -> Result<(), String> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if text.is_empty() || !text.bytes().all(token) {
        return Err(format!("{text:?} is not the name of a header"));
    }
    // They frame the request or belong to the protocol that Placet speaks itself.
    const OURS: [&str; 11] = [
        "accept",
        "connection",
        "content-length",
        "content-type",
        "host",
        "last-event-id",
        "mcp-protocol-version",
        "mcp-session-id",
        "te",
        "transfer-encoding",
        "upgrade",
    ];
    if OURS.contains(&text.to_ascii_lowercase().as_str()) {
        return Err(format!("Placet sets {text} itself"));
    }
    Ok(())
}

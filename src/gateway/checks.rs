//! What is checked of an HTTP request before its body is looked at: host, origin, token, media types.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use axum::http::{HeaderMap, HeaderName, StatusCode, header};

use super::error::{INVALID_REQUEST, RpcError};

/// The host names under which Placet answers. Any other is refused: a web page whose own name points at this address
/// (DNS rebinding) would otherwise speak to us in the browser's name.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    /// `host` or `host:port`, lower case.
    exact: BTreeSet<String>,
    /// Hosts that are allowed on any port.
    any_port: BTreeSet<String>,
}

impl Hosts {
    /// What `public_url`, the bound address and `allowed_hosts` name. An address of this machine alone also answers
    /// to its other names (`localhost`, `127.0.0.1`, `[::1]`).
    #[must_use]
    pub fn new(public_url: &str, listen: SocketAddr, allowed: &[String]) -> Self {
        let mut hosts = Self::default();
        if let Some((authority, port)) = authority(public_url) {
            hosts.exact.insert(authority.clone());
            if let Some(host) = authority.strip_suffix(&format!(":{port}")) {
                hosts.exact.insert(host.to_owned());
            }
        }
        hosts.exact.insert(listen.to_string());
        if listen.ip().is_loopback() || listen.ip().is_unspecified() {
            for name in ["localhost", "127.0.0.1", "[::1]"] {
                hosts.exact.insert(format!("{name}:{}", listen.port()));
            }
        }
        for host in allowed {
            let host = host.to_ascii_lowercase();
            let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
            if has_port {
                hosts.exact.insert(host)
            } else {
                hosts.any_port.insert(host)
            };
        }
        hosts
    }

    /// Whether this `Host` header, or the authority of an origin, is one of ours.
    #[must_use]
    pub fn allow(&self, authority: &str) -> bool {
        let authority = authority.to_ascii_lowercase();
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => &authority,
        };
        self.exact.contains(&authority) || self.any_port.contains(host)
    }

    /// Checks the `Host` header.
    ///
    /// # Errors
    /// 403 for a host that is not ours, or none, or several.
    pub fn check_host(&self, headers: &HeaderMap) -> Result<(), RpcError> {
        match single(headers, &header::HOST)? {
            Some(host) if self.allow(host) => Ok(()),
            _ => Err(forbidden(
                "This host name is not one that Placet answers to. Use the address in its public_url, or add the \
                 name to allowed_hosts under [server] in placet.toml.",
            )),
        }
    }

    /// Checks the `Origin` header, which only browsers send.
    ///
    /// # Errors
    /// 403 for an origin that is not ours.
    pub fn check_origin(&self, headers: &HeaderMap) -> Result<(), RpcError> {
        match single(headers, &header::ORIGIN)? {
            None => Ok(()),
            Some(origin) if authority(origin).is_some_and(|(authority, _)| self.allow(&authority)) => Ok(()),
            Some(_) => Err(forbidden(
                "This origin may not speak to Placet. Agents send no Origin header; a web page needs its host in \
                 allowed_hosts under [server] in placet.toml.",
            )),
        }
    }
}

/// The `host[:port]` of a URL or origin and the port that its scheme implies.
fn authority(url: &str) -> Option<(String, u16)> {
    let (scheme, rest) = url.split_once("://")?;
    let port = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return None,
    };
    let authority = rest.split(['/', '?', '#']).next().filter(|a| !a.is_empty() && !a.contains('@'))?;
    Some((authority.to_ascii_lowercase(), port))
}

fn forbidden(message: &str) -> RpcError {
    RpcError::bad(INVALID_REQUEST, message).status(StatusCode::FORBIDDEN)
}

/// The value of a header that may stand once.
///
/// # Errors
/// 400 where it stands twice, or is not plain ASCII: two readers could take different ones for the truth.
pub fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, RpcError> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(RpcError::bad(INVALID_REQUEST, format!("The header {name} stands there twice; send it once.")));
    }
    first
        .map(|value| value.to_str())
        .transpose()
        .map_err(|_| RpcError::bad(INVALID_REQUEST, format!("The header {name} has characters that are not ASCII.")))
}

/// The bearer token of the `Authorization` header.
///
/// # Errors
/// 401 that says how to send one.
pub fn bearer(headers: &HeaderMap) -> Result<&str, RpcError> {
    let missing = || {
        let message = "This needs an agent's token: send the header \"Authorization: Bearer …\". \
                       An operator makes one with `placet agent add NAME --owner EMAIL`.";
        RpcError::bad(INVALID_REQUEST, message).status(StatusCode::UNAUTHORIZED)
    };
    let value = single(headers, &header::AUTHORIZATION)?.ok_or_else(missing)?;
    match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() => Ok(token.trim()),
        _ => Err(missing()),
    }
}

/// Checks that the body is declared as JSON.
///
/// # Errors
/// 415 otherwise.
pub fn content_type(headers: &HeaderMap) -> Result<(), RpcError> {
    let value = single(headers, &header::CONTENT_TYPE)?.unwrap_or_default();
    let mut parts = value.split(';').map(str::trim);
    let json = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    let utf8 = parts.all(|parameter| match parameter.split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
            value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    });
    if json && utf8 {
        return Ok(());
    }
    let message = "The body must be JSON in UTF-8: send the header \"Content-Type: application/json\".";
    Err(RpcError::bad(INVALID_REQUEST, message).status(StatusCode::UNSUPPORTED_MEDIA_TYPE))
}

/// Checks that the sender takes every one of these media types.
///
/// # Errors
/// 406 otherwise.
pub fn accepts(headers: &HeaderMap, wanted: &[&str]) -> Result<(), RpcError> {
    let ranges: Vec<String> = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(acceptable_range)
        .collect();
    let takes = |kind: &str| {
        ranges.iter().any(|range| match range.strip_suffix("/*") {
            Some("*") => true,
            Some(major) => kind.split('/').next() == Some(major),
            None => range == kind,
        })
    };
    if wanted.iter().all(|kind| takes(kind)) {
        return Ok(());
    }
    let message =
        format!("The answer may come in each of these forms: send the header \"Accept: {}\".", wanted.join(", "));
    Err(RpcError::bad(INVALID_REQUEST, message).status(StatusCode::NOT_ACCEPTABLE))
}

/// The media range of one element of an `Accept` header, unless its weight is zero.
fn acceptable_range(element: &str) -> Option<String> {
    let mut parts = element.split(';').map(str::trim);
    let range = parts.next()?.to_ascii_lowercase();
    let refused = parts.any(|p| {
        p.split_once('=').is_some_and(|(name, q)| {
            name.trim().eq_ignore_ascii_case("q") && q.trim().parse::<f32>().is_ok_and(|weight| weight <= 0.0)
        })
    });
    (!range.is_empty() && !refused).then_some(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        map
    }

    fn hosts() -> Hosts {
        let allowed = ["Gate.example.org".to_owned(), "other.example:9000".to_owned()];
        Hosts::new("https://placet.example.com/", "127.0.0.1:8080".parse().unwrap(), &allowed)
    }

    #[test]
    fn only_our_own_host_names() {
        for good in [
            "placet.example.com",
            "PLACET.example.com",
            "127.0.0.1:8080",
            "localhost:8080",
            "[::1]:8080",
            "gate.example.org",
            "gate.example.org:1234",
            "other.example:9000",
        ] {
            assert!(hosts().allow(good), "{good}");
        }
        for bad in ["", "evil.example", "localhost", "127.0.0.1", "placet.example.com.evil", "other.example", "[::1]"] {
            assert!(!hosts().allow(bad), "{bad}");
        }
        assert!(hosts().check_host(&headers(&[])).is_err());
        assert!(hosts().check_host(&headers(&[("host", "localhost:8080"), ("host", "evil")])).is_err());
    }

    #[test]
    fn an_origin_is_absent_or_ours() {
        let status = |origin| hosts().check_origin(&headers(&[("origin", origin)])).map_err(|e| e.status);
        assert_eq!(hosts().check_origin(&headers(&[])), Ok(()));
        assert_eq!(status("http://localhost:8080"), Ok(()));
        assert_eq!(status("https://placet.example.com"), Ok(()));
        for bad in
            ["null", "", "https://evil.example", "http://placet.example.com@evil.example", "file://localhost:8080"]
        {
            assert_eq!(status(bad), Err(StatusCode::FORBIDDEN), "{bad}");
        }
    }

    #[test]
    fn a_bearer_token_or_401() {
        assert_eq!(bearer(&headers(&[("authorization", "bearer  abc")])), Ok("abc"));
        for bad in
            [&[][..], &[("authorization", "Basic abc")], &[("authorization", "Bearer ")], &[("authorization", "x")]]
        {
            assert_eq!(bearer(&headers(bad)).map_err(|e| e.status), Err(StatusCode::UNAUTHORIZED), "{bad:?}");
        }
        assert!(bearer(&headers(&[("authorization", "Bearer a"), ("authorization", "Bearer b")])).is_err());
    }

    #[test]
    fn media_types() {
        let kind = |value| content_type(&headers(&[("content-type", value)])).map_err(|e| e.status);
        assert_eq!(kind("application/json"), Ok(()));
        assert_eq!(kind("Application/JSON; charset=\"UTF-8\""), Ok(()));
        for bad in ["text/plain", "application/jsonx", "application/json; charset=utf-16", ""] {
            assert_eq!(kind(bad), Err(StatusCode::UNSUPPORTED_MEDIA_TYPE), "{bad}");
        }
        let both = ["application/json", "text/event-stream"];
        let takes = |value| accepts(&headers(&[("accept", value)]), &both).map_err(|e| e.status);
        assert_eq!(takes("application/json, text/event-stream"), Ok(()));
        assert_eq!(takes("text/*;q=0.1,Application/*"), Ok(()));
        assert_eq!(takes("*/*"), Ok(()));
        for bad in ["application/json", "text/event-stream", "", "application/json, text/event-stream;q=0"] {
            assert_eq!(takes(bad), Err(StatusCode::NOT_ACCEPTABLE), "{bad}");
        }
        let split = headers(&[("accept", "application/json"), ("accept", "text/event-stream")]);
        assert_eq!(accepts(&split, &both), Ok(()));
    }
}

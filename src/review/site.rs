//! Where this service lives, as browsers see it: which host names are its own, which origin its forms come from, and
//! which proxies are believed about the client behind them.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, Uri};

/// An address of this service that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadSite(String);

/// The service's own names.
#[derive(Clone, Debug)]
pub struct Site {
    scheme: &'static str,
    /// Host and port of the public URL, lower case, default port left out.
    authority: String,
    /// Host names that are ours, without ports: what DNS rebinding changes is the name.
    hosts: Vec<String>,
    proxies: Vec<Network>,
}

/// What is known of one request's way here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The client's address, from a believed proxy or from the connection.
    pub client: Option<IpAddr>,
    /// Origins that our own pages have on this way.
    origins: [String; 2],
}

impl Site {
    /// `public_url` as configured, `listen` as bound, `allowed_hosts` without ports, `trusted_proxies` as addresses
    /// or networks (`10.0.0.0/8`).
    ///
    /// # Errors
    /// The part that cannot be used.
    pub fn new(
        public_url: &str,
        listen: SocketAddr,
        allowed_hosts: &[String],
        trusted_proxies: &[String],
    ) -> Result<Self, BadSite> {
        let bad = |why: &str| BadSite(format!("public_url = \"{public_url}\" {why}"));
        let uri: Uri = public_url.parse().map_err(|_| bad("is not a URL such as https://placet.example.com"))?;
        let scheme = match uri.scheme_str() {
            Some("https") => "https",
            Some("http") => "http",
            _ => return Err(bad("must begin with https:// or http://")),
        };
        let authority = uri.authority().ok_or_else(|| bad("names no host"))?.as_str();
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() || authority.contains('@') {
            return Err(bad("must be scheme, host and port alone"));
        }
        let authority = canonical(scheme, authority);
        let mut hosts = vec![host_of(&authority).to_owned(), listen.ip().to_string()];
        if listen.ip().is_loopback() || listen.ip().is_unspecified() {
            hosts.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
        }
        hosts.extend(allowed_hosts.iter().map(|host| host_of(&host.to_ascii_lowercase()).to_owned()));
        let proxies = trusted_proxies.iter().map(|text| Network::parse(text)).collect::<Result<_, _>>()?;
        Ok(Self { scheme, authority, hosts, proxies })
    }

    /// Whether browsers reach it over https: cookies are then marked so.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.scheme == "https"
    }

    /// An absolute address of this service for links that leave it.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.authority)
    }

    /// How a request came here; `None` if it names a host that is not ours.
    #[must_use]
    pub fn way(&self, headers: &HeaderMap, uri: &Uri, peer: Option<IpAddr>) -> Option<Way> {
        let believed = peer.is_some_and(|peer| self.believes(peer));
        let one = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let first = |name: &str| one(name).and_then(|list| list.split(',').next()).map(str::trim);
        let forwarded = |name: &str| first(name).filter(|_| believed);
        if headers.get_all("host").iter().count() > 1 {
            return None;
        }
        let host = forwarded("x-forwarded-host")
            .or_else(|| uri.authority().map(axum::http::uri::Authority::as_str))
            .or_else(|| one("host"))?;
        let lower = host.to_ascii_lowercase();
        if !self.hosts.iter().any(|ours| ours == host_of(&lower)) {
            return None;
        }
        let scheme = match forwarded("x-forwarded-proto") {
            Some("https") => "https",
            Some(_) => "http",
            None if canonical(self.scheme, &lower) == self.authority => self.scheme,
            None => "http",
        };
        let origins = [format!("{scheme}://{}", canonical(scheme, &lower)), self.url("")];
        let client = if believed { self.client(headers).or(peer) } else { peer };
        Some(Way { client, origins })
    }

    /// The nearest address in X-Forwarded-For that no believed proxy has: what stands left of it could be invented.
    fn client(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let lists = headers.get_all("x-forwarded-for").iter().rev().filter_map(|value| value.to_str().ok());
        let mut addresses = lists.flat_map(|list| list.rsplit(',')).map_while(|text| text.trim().parse().ok());
        addresses.find(|address| !self.believes(*address))
    }

    fn believes(&self, address: IpAddr) -> bool {
        self.proxies.iter().any(|network| network.contains(address))
    }
}

impl Way {
    /// Whether an `Origin` header names our own pages.
    #[must_use]
    pub fn is_own(&self, origin: &str) -> bool {
        self.origins.iter().any(|ours| ours == origin)
    }
}

/// Lower case, without the scheme's own port.
fn canonical(scheme: &str, authority: &str) -> String {
    let lower = authority.to_ascii_lowercase();
    let port = if scheme == "https" { ":443" } else { ":80" };
    lower.strip_suffix(port).map(str::to_owned).unwrap_or(lower)
}

/// The host of `host:port`, brackets of an IPv6 address removed.
fn host_of(authority: &str) -> &str {
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split(']').next().unwrap_or(rest);
    }
    match authority.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') && port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// An address, or all that begin alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    base: IpAddr,
    bits: u32,
}

impl Network {
    fn parse(text: &str) -> Result<Self, BadSite> {
        let bad = || BadSite(format!("trusted_proxies: \"{text}\" is no address such as 10.0.0.1 or 10.0.0.0/8"));
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let base: IpAddr = address.trim().parse().map_err(|_| bad())?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), |bits| bits.trim().parse().map_err(|_| bad()))?;
        if bits > most { Err(bad()) } else { Ok(Self { base: base.to_canonical(), bits }) }
    }

    fn contains(self, address: IpAddr) -> bool {
        match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(other)) => {
                let shift = 32 - self.bits;
                base.to_bits().checked_shr(shift) == other.to_bits().checked_shr(shift)
            }
            (IpAddr::V6(base), IpAddr::V6(other)) => {
                let shift = 128 - self.bits;
                base.to_bits().checked_shr(shift) == other.to_bits().checked_shr(shift)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn site(public: &str, proxies: &[&str]) -> Site {
        let proxies: Vec<_> = proxies.iter().map(ToString::to_string).collect();
        Site::new(public, "127.0.0.1:8080".parse().unwrap(), &["Other.example".into()], &proxies).unwrap()
    }

    fn way(site: &Site, pairs: &[(&'static str, &str)], peer: &str) -> Option<Way> {
        site.way(&headers(pairs), &Uri::from_static("/"), peer.parse().ok())
    }

    #[test]
    fn only_our_own_hosts_are_served() {
        let site = site("http://placet.test:8080", &[]);
        for host in ["placet.test:8080", "PLACET.test", "localhost:8080", "127.0.0.1:9", "[::1]:8080", "other.example"]
        {
            assert!(way(&site, &[("host", host)], "127.0.0.1").is_some(), "{host}");
        }
        for host in ["evil.example", "", "placet.test.evil.example", "localhost.evil.example:8080", "127.0.0.1.nip.io"]
        {
            assert!(way(&site, &[("host", host)], "127.0.0.1").is_none(), "{host}");
        }
        assert!(way(&site, &[], "127.0.0.1").is_none(), "a request without a host");
        let twice = [("host", "localhost"), ("host", "evil.example")];
        let mut map = HeaderMap::new();
        for (name, value) in twice {
            map.append(name, value.parse().unwrap());
        }
        assert!(site.way(&map, &Uri::from_static("/"), None).is_none());
    }

    #[test]
    fn an_origin_is_ours_by_scheme_host_and_port() {
        let site = site("https://placet.test", &[]);
        let public = way(&site, &[("host", "placet.test")], "10.0.0.9").unwrap();
        assert!(public.is_own("https://placet.test"));
        for foreign in ["http://placet.test", "https://placet.test:8443", "https://evil.example", "null", ""] {
            assert!(!public.is_own(foreign), "{foreign}");
        }
        let local = way(&site, &[("host", "localhost:8080")], "127.0.0.1").unwrap();
        assert!(local.is_own("http://localhost:8080"));
        assert!(!local.is_own("http://localhost:9090"));
    }

    #[test]
    fn forwarded_headers_count_from_listed_proxies_only() {
        let site = site("https://placet.test", &["10.1.0.0/16", "::1"]);
        let sent = [
            ("host", "localhost"),
            ("x-forwarded-for", "198.51.100.7, 203.0.113.5, 10.1.2.3"),
            ("x-forwarded-host", "placet.test"),
            ("x-forwarded-proto", "https"),
        ];
        let through = way(&site, &sent, "10.1.9.9").unwrap();
        assert_eq!(through.client, "203.0.113.5".parse().ok(), "the nearest that is no proxy of ours");
        assert!(through.is_own("https://placet.test"));
        let direct = way(&site, &sent, "10.2.0.1").unwrap();
        assert_eq!(direct.client, "10.2.0.1".parse().ok());
        let spoofed = [("host", "localhost"), ("x-forwarded-host", "evil.example")];
        assert!(way(&site, &spoofed, "10.1.9.9").is_none());
        assert!(way(&site, &spoofed, "127.0.0.1").is_some(), "not believed, so not looked at");
    }

    #[test]
    fn addresses_of_the_service_are_checked() {
        let listen = "127.0.0.1:1".parse().unwrap();
        for bad in ["", "placet.example.com", "ftp://x", "http://", "http://x/path", "http://a@x", "http://x?y"] {
            assert!(Site::new(bad, listen, &[], &[]).is_err(), "{bad}");
        }
        for bad in ["", "x", "10.0.0.0/33", "10.0.0.0/x", "::/129"] {
            assert!(Site::new("http://x", listen, &[], &[bad.into()]).is_err(), "{bad}");
        }
        assert!(Site::new("http://x/", listen, &[], &["0.0.0.0/0".into(), "::/0".into()]).is_ok());
    }
}

//! Where a registry is: host, scheme, and which proxy leads there.

use std::net::IpAddr;

use ureq::http::Uri;

use super::super::error::{Error, Result};
use super::super::reference::DEFAULT_REGISTRY;
use super::super::{Config, Proxies};

/// The host that serves `docker.io`.
const DEFAULT_HOST: &str = "registry-1.docker.io";

/// The root URL of a registry, without a trailing slash.
pub(super) fn base_url(registry: &str, config: &Config) -> String {
    let host = if registry == DEFAULT_REGISTRY { DEFAULT_HOST } else { registry };
    let scheme = if plain_http_allowed(host, config) { "http" } else { "https" };
    format!("{scheme}://{host}")
}

/// True for loopback addresses and for hosts the user listed.
pub(super) fn plain_http_allowed(authority: &str, config: &Config) -> bool {
    is_loopback(host_of(authority)) || config.insecure_registries.iter().any(|listed| listed == authority)
}

/// `host:port` without its port and brackets.
fn host_of(authority: &str) -> &str {
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    if let Some(rest) = authority.strip_prefix('[') {
        return rest.split_once(']').map_or(rest, |(host, _)| host);
    }
    authority.split_once(':').map_or(authority, |(host, _)| host)
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Scheme, host and port: what credentials belong to.
pub(super) fn origin(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or("https");
    let port = uri.port_u16().unwrap_or(if scheme == "http" { 80 } else { 443 });
    format!("{scheme}://{}:{port}", uri.host().unwrap_or("").to_lowercase())
}

/// Parses a URL the engine put together or a registry sent.
pub(super) fn parse_url(text: &str) -> Result<Uri> {
    let bad = || Error::integrity(format!("invalid URL '{text}'"));
    let uri: Uri = text.parse().map_err(|_| bad())?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http" | "https"), Some(host)) if !host.is_empty() => Ok(uri),
        _ => Err(bad()),
    }
}

/// The target of a `Location` header received from `base`. A connection that was encrypted stays so.
pub(super) fn resolve(base: &Uri, location: &str) -> Result<Uri> {
    let scheme = base.scheme_str().unwrap_or("https");
    let authority = base.authority().map_or("", |authority| authority.as_str());
    let text = if location.starts_with("http://") || location.starts_with("https://") {
        location.to_string()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        let folder = base.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("{scheme}://{authority}{folder}/{location}")
    };
    let target = parse_url(&text)?;
    if scheme == "https" && target.scheme_str() != Some("https") {
        return Err(Error::integrity(format!("{} redirects to unencrypted {}", origin(base), origin(&target))));
    }
    Ok(target)
}

/// The proxy for a URL, if one is set for its scheme and its host is not excepted. Loopback is always direct.
pub(super) fn proxy_for(uri: &Uri, proxies: &Proxies) -> Option<String> {
    let proxy = if uri.scheme_str() == Some("http") { &proxies.http } else { &proxies.https };
    let proxy = proxy.as_deref().filter(|proxy| !proxy.is_empty())?;
    let host = host_of(uri.authority()?.as_str()).to_lowercase();
    let excepted = proxies.no_proxy.as_deref().unwrap_or("").split([',', ' ']).map(str::trim);
    if is_loopback(&host) || excepted.filter(|rule| !rule.is_empty()).any(|rule| matches(rule, &host, uri.port_u16())) {
        return None;
    }
    Some(proxy.to_string())
}

/// One word of a no-proxy list: `*`, an address, a range of addresses, a domain (its subdomains too), each with an
/// optional port.
fn matches(rule: &str, host: &str, port: Option<u16>) -> bool {
    if rule == "*" {
        return true;
    }
    if let (Some((net, bits)), Ok(address)) = (rule.split_once('/'), host.parse::<IpAddr>()) {
        return in_range(address, net, bits);
    }
    let rule = rule.to_lowercase();
    let (name, wanted) = match rule.rsplit_once(':') {
        Some((name, digits)) if !name.contains(':') || name.ends_with(']') => (name, digits.parse::<u16>().ok()),
        _ => (rule.as_str(), None),
    };
    if wanted.is_some() && wanted != port {
        return false;
    }
    let name = name.trim_start_matches("*.").trim_start_matches('.').trim_matches(['[', ']']);
    host == name || host.strip_suffix(name).is_some_and(|rest| rest.ends_with('.'))
}

fn in_range(address: IpAddr, net: &str, bits: &str) -> bool {
    let (Ok(net), Ok(bits)) = (net.parse::<IpAddr>(), bits.parse::<u32>()) else { return false };
    let same = |a: u128, b: u128, width: u32| bits <= width && (bits == 0 || (a ^ b) >> (width - bits) == 0);
    match (address, net) {
        (IpAddr::V4(a), IpAddr::V4(b)) => same(u32::from(a).into(), u32::from(b).into(), 32),
        (IpAddr::V6(a), IpAddr::V6(b)) => same(a.into(), b.into(), 128),
        _ => false,
    }
}

/// Escapes a value for a query string.
pub(super) fn escape(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => text.push(byte.into()),
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_resolve_against_their_base() {
        let base: Uri = "http://127.0.0.1:5000/v2/a/blobs/uploads/".parse().unwrap();
        let table = [
            ("/v2/x?state=1", "http://127.0.0.1:5000/v2/x?state=1"),
            ("http://other:1/y", "http://other:1/y"),
            ("//other/y", "http://other/y"),
            ("uuid", "http://127.0.0.1:5000/v2/a/blobs/uploads/uuid"),
        ];
        for (location, expected) in table {
            assert_eq!(resolve(&base, location).unwrap().to_string(), expected);
        }
        let secure: Uri = "https://r.example/v2/".parse().unwrap();
        assert_eq!(
            resolve(&secure, "http://other/y").unwrap_err().message(),
            "https://r.example:443 redirects to unencrypted http://other:80"
        );
        assert!(resolve(&secure, "http://").is_err());
    }

    #[test]
    fn the_proxy_depends_on_scheme_and_host() {
        let proxies = Proxies {
            http: Some("http://plain:3128".into()),
            https: Some("http://secure:3128".into()),
            no_proxy: Some("example.com, 10.0.0.0/8,.corp,one.test:5000, fd00::/8".into()),
        };
        let table = [
            ("http://r.test/", Some("http://plain:3128")),
            ("https://r.test/", Some("http://secure:3128")),
            ("https://example.com/", None),
            ("https://sub.example.com/", None),
            ("https://notexample.com/", Some("http://secure:3128")),
            ("http://10.1.2.3:5000/", None),
            ("http://11.1.2.3:5000/", Some("http://plain:3128")),
            ("https://a.corp/", None),
            ("https://one.test:5000/", None),
            ("https://one.test:5001/", Some("http://secure:3128")),
            ("http://127.0.0.1:5000/", None),
            ("http://[::1]:5000/", None),
            ("http://[fd00::1]:5000/", None),
        ];
        for (url, expected) in table {
            assert_eq!(proxy_for(&url.parse().unwrap(), &proxies).as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn an_origin_has_its_port() {
        assert_eq!(origin(&"https://Host.test/x".parse().unwrap()), "https://host.test:443");
        assert_ne!(origin(&"http://h:5000/".parse().unwrap()), origin(&"http://h:5001/".parse().unwrap()));
    }

    #[test]
    fn escapes_what_a_query_cannot_hold() {
        assert_eq!(escape("repository:a/b:pull,push"), "repository%3Aa%2Fb%3Apull%2Cpush");
    }
}

//! Who a request really comes from, where proxies that the owner trusts stand between.
//!
//! A trusted proxy's word is taken, nobody else's: of the chain that the headers tell, the right-most address that is
//! no trusted proxy is the client. What stands further left could be anybody's invention.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::IpNet;

use crate::limits;

const FORWARDED: &str = "forwarded";
const FORWARDED_FOR: &str = "x-forwarded-for";
const FORWARDED_HOST: &str = "x-forwarded-host";
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// Networks whose machines are trusted as proxies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(pub Vec<IpNet>);

/// Where a request comes from, and how the client calls this server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The client's address, of IPv4 where it is a mapped one.
    pub address: IpAddr,
    /// Whether a proxy told it.
    pub is_forwarded: bool,
    /// `http` or `https`, if a proxy says which.
    pub scheme: Option<&'static str>,
    /// Host and port, if a proxy says so; not checked.
    pub host: Option<String>,
}

/// What one proxy says of the request that it took.
#[derive(Debug, Default, PartialEq, Eq)]
struct Hop {
    /// `None`: it does not say, or hides it.
    address: Option<IpAddr>,
    scheme: Option<&'static str>,
    host: Option<String>,
}

impl TrustedProxies {
    /// Whether an address is that of a trusted proxy.
    pub fn has(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// Who asks. The headers are read if `peer`, whom the connection comes from, is trusted: those of the `X-Forwarded-` kind
/// if there is any, else `Forwarded` (RFC 7239). Headers over the bound say nothing.
pub fn client(peer: IpAddr, headers: &HeaderMap, trusted: &TrustedProxies) -> Client {
    let direct = Client {
        address: peer.to_canonical(),
        is_forwarded: false,
        scheme: None,
        host: None,
    };
    if !trusted.has(peer) {
        return direct;
    }
    let is_x = [FORWARDED_FOR, FORWARDED_PROTO, FORWARDED_HOST]
        .into_iter()
        .any(|name| headers.contains_key(name));
    let hops = if is_x {
        x_forwarded(headers)
    } else {
        joined(headers, FORWARDED).map(|text| forwarded(&text))
    };
    resolve(direct, hops.unwrap_or_default(), trusted)
}

/// Walks from the nearest proxy outwards, for as long as each hop is a trusted proxy.
fn resolve(direct: Client, hops: Vec<Hop>, trusted: &TrustedProxies) -> Client {
    let mut client = direct;
    for hop in hops.into_iter().rev().take(limits::FORWARDED_HOPS_MAX) {
        // Each is said by a proxy that is trusted; the outermost knows best what the client meant.
        client.scheme = hop.scheme.or(client.scheme);
        client.host = hop.host.or(client.host);
        let Some(address) = hop.address else { break };
        client.address = address;
        client.is_forwarded = true;
        if !trusted.has(address) {
            break;
        }
    }
    client
}

/// The addresses of `X-Forwarded-For`, and scheme and host as the nearest proxy put them.
fn x_forwarded(headers: &HeaderMap) -> Option<Vec<Hop>> {
    let list = |name: &str| joined(headers, name).unwrap_or_default();
    let last = |text: &str| text.rsplit(',').next().map(str::trim).unwrap_or_default().to_owned();
    let addresses = list(FORWARDED_FOR);
    let mut hops: Vec<Hop> = addresses
        .split(',')
        .map(|text| Hop {
            address: address(text.trim()),
            ..Hop::default()
        })
        .collect();
    let nearest = hops.last_mut()?;
    nearest.scheme = scheme(&last(&list(FORWARDED_PROTO)));
    nearest.host = Some(last(&list(FORWARDED_HOST))).filter(|host| !host.is_empty());
    Some(hops)
}

/// The elements of `Forwarded` (RFC 7239 section 4), outermost first.
fn forwarded(text: &str) -> Vec<Hop> {
    split(text, ',')
        .map(|element| {
            let mut hop = Hop::default();
            for pair in split(element, ';') {
                let Some((name, value)) = pair.split_once('=') else {
                    continue;
                };
                let value = unquoted(value.trim());
                match name.trim().to_ascii_lowercase().as_str() {
                    "for" => hop.address = address(&value),
                    "proto" => hop.scheme = scheme(&value),
                    "host" => hop.host = Some(value).filter(|host| !host.is_empty()),
                    _ => {}
                }
            }
            hop
        })
        .collect()
}

/// All lines of a header as one list; `None` if there is none, if it is no text, or over the bound.
fn joined(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut text = String::new();
    for value in headers.get_all(name) {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(value.to_str().ok()?);
        if text.len() > limits::FORWARDED_LEN_MAX {
            return None;
        }
    }
    (!text.is_empty()).then_some(text)
}

/// The parts between a separator that stands outside of quotes.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    let mut is_escaped = false;
    text.split(move |next: char| {
        if is_escaped {
            is_escaped = false;
            return false;
        }
        match next {
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ => {}
        }
        next == separator && !is_quoted
    })
}

/// A token, or what a quoted string holds.
fn unquoted(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) else {
        return text.to_owned();
    };
    let mut is_escaped = false;
    inner
        .chars()
        .filter(|next| {
            is_escaped = *next == '\\' && !is_escaped;
            !is_escaped
        })
        .collect()
}

/// An address with or without a port; what is hidden or unknown is none.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    let address = bare.parse().ok();
    let address = address.or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    address.map(|address: IpAddr| address.to_canonical())
}

fn scheme(text: &str) -> Option<&'static str> {
    ["http", "https"]
        .into_iter()
        .find(|scheme| text.eq_ignore_ascii_case(scheme))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use axum::http::HeaderName;

    use super::*;

    const PROXY: &str = "10.0.0.1";

    /// What is made of these headers, sent by this peer, where 10.0.0.0/8 and fd00::/8 are trusted.
    fn seen(peer: &str, lines: &[(&'static str, &str)]) -> (String, Option<&'static str>, Option<String>) {
        let trusted = TrustedProxies(
            ["10.0.0.0/8", "fd00::/8"]
                .map(|network| network.parse().unwrap())
                .to_vec(),
        );
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        let client = client(peer.parse().unwrap(), &headers, &trusted);
        assert_eq!(
            client.is_forwarded,
            client.address != peer.parse::<IpAddr>().unwrap().to_canonical()
        );
        (client.address.to_string(), client.scheme, client.host)
    }

    #[test]
    fn addresses() {
        let many = "10.0.0.9, ".repeat(limits::FORWARDED_HOPS_MAX);
        let far = format!("192.0.2.66, {many}10.0.0.8");
        let long = format!("{}192.0.2.7", " ".repeat(limits::FORWARDED_LEN_MAX));
        for (header, value, expected) in [
            ("x-forwarded-for", "192.0.2.7", "192.0.2.7"),
            ("x-forwarded-for", "192.0.2.7:1234", "192.0.2.7"),
            ("x-forwarded-for", "2001:db8::1", "2001:db8::1"),
            ("x-forwarded-for", "[2001:db8::1]", "2001:db8::1"),
            ("x-forwarded-for", "[2001:db8::1]:1234", "2001:db8::1"),
            ("x-forwarded-for", "::ffff:192.0.2.7", "192.0.2.7"),
            // What is left of the client is its own invention.
            ("x-forwarded-for", "198.51.100.1, 192.0.2.7", "192.0.2.7"),
            ("x-forwarded-for", "10.0.0.5, 192.0.2.7", "192.0.2.7"),
            (
                "x-forwarded-for",
                "198.51.100.1, 192.0.2.7, 10.0.0.2, fd00::3",
                "192.0.2.7",
            ),
            // All are proxies: the outermost asks itself.
            ("x-forwarded-for", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
            // Who hides the client is all that is known.
            ("x-forwarded-for", "192.0.2.7, unknown", PROXY),
            ("x-forwarded-for", "192.0.2.7, nonsense, 10.0.0.2", "10.0.0.2"),
            ("x-forwarded-for", "", PROXY),
            ("x-forwarded-for", ", ,", PROXY),
            ("x-forwarded-for", &far, "10.0.0.9"),
            ("x-forwarded-for", &long, PROXY),
            ("forwarded", "for=192.0.2.7", "192.0.2.7"),
            ("forwarded", "For=\"192.0.2.7:80\";by=10.0.0.1", "192.0.2.7"),
            ("forwarded", "for=\"[2001:db8::1]:4711\"", "2001:db8::1"),
            (
                "forwarded",
                "for=198.51.100.1, for=192.0.2.7;proto=https, for=10.0.0.2",
                "192.0.2.7",
            ),
            ("forwarded", "for=198.51.100.1;host=\"a,b\", for=192.0.2.7", "192.0.2.7"),
            ("forwarded", "for=192.0.2.7, for=_hidden", PROXY),
            ("forwarded", "for=192.0.2.7, for=unknown;proto=https", PROXY),
            ("forwarded", "proto=https", PROXY),
            ("forwarded", "for=\"192.0.2.7", PROXY),
            ("forwarded", ";;=,=;for", PROXY),
        ] {
            assert_eq!(seen(PROXY, &[(header, value)]).0, expected, "{header}: {value}");
            assert_eq!(
                seen("192.0.2.1", &[(header, value)]),
                ("192.0.2.1".to_owned(), None, None),
                "{value}"
            );
        }
        let lines = [("x-forwarded-for", "192.0.2.7"), ("x-forwarded-for", "10.0.0.2")];
        assert_eq!(seen(PROXY, &lines).0, "192.0.2.7", "lines are one list");
        assert_eq!(seen("::ffff:10.0.0.1", &lines).0, "192.0.2.7", "a mapped peer");
        // The kind that the proxy sets prevails: a client may have sent the other one.
        let both = [
            ("x-forwarded-for", "192.0.2.7"),
            ("forwarded", "for=198.51.100.1;host=evil"),
        ];
        assert_eq!(seen(PROXY, &both), ("192.0.2.7".to_owned(), None, None));
    }

    #[test]
    fn schemes_and_hosts() {
        let x = [
            ("x-forwarded-for", "192.0.2.7"),
            ("x-forwarded-proto", "HTTPS"),
            ("x-forwarded-host", "evil.example, video.example.com"),
        ];
        let host = |host: &str| Some(host.to_owned());
        assert_eq!(
            seen(PROXY, &x),
            ("192.0.2.7".to_owned(), Some("https"), host("video.example.com"))
        );
        assert_eq!(
            seen(PROXY, &x[1..]),
            (PROXY.to_owned(), Some("https"), host("video.example.com"))
        );
        assert_eq!(seen("192.0.2.1", &x), ("192.0.2.1".to_owned(), None, None));
        let rfc = "for=198.51.100.1;host=evil, for=192.0.2.7;proto=https;host=\"video.example.com:8443\", for=10.0.0.2;proto=http";
        let expected = ("192.0.2.7".to_owned(), Some("https"), host("video.example.com:8443"));
        assert_eq!(seen(PROXY, &[("forwarded", rfc)]), expected);
        assert_eq!(seen(PROXY, &[("x-forwarded-proto", "gopher")]).1, None);
        assert_eq!(unquoted(r#""a\"b\\c""#), r#"a"b\c"#);
    }
}

//! Which addresses callbacks may go to: public ones, and what the owner allows.
//!
//! Whoever may create a room names a URL that this server then asks, from where it stands. So what is
//! not for everybody (the machine itself, its networks, its cloud's metadata) is refused unless allowed.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// What an address is that is not public.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressKind {
    /// `0.0.0.0/8`, `::`.
    Unspecified,
    /// The machine itself.
    Loopback,
    /// RFC 1918 and RFC 4193.
    Private,
    /// RFC 3927 and RFC 4291.
    LinkLocal,
    /// Between a provider and its customers, RFC 6598.
    Shared,
    /// Where clouds tell their machines secrets.
    Metadata,
    /// RFC 5737, RFC 3849 and RFC 9637.
    Documentation,
    /// RFC 2544 and RFC 5180.
    Benchmark,
    /// To many.
    Multicast,
    /// To everybody.
    Broadcast,
    /// Anything else that is no single machine in the public network.
    Reserved,
}

use AddressKind::{
    Benchmark, Broadcast, Documentation, LinkLocal, Loopback, Metadata, Multicast, Private, Reserved, Shared,
    Unspecified,
};

/// Metadata services that stand at addresses of their own, by cloud: AWS, GCP, Azure and others; AWS
/// for containers; Alibaba; Oracle; Azure's agent.
const METADATA_V4: [[u8; 4]; 5] = [
    [169, 254, 169, 254],
    [169, 254, 170, 2],
    [100, 100, 100, 200],
    [192, 0, 0, 192],
    [168, 63, 129, 16],
];

/// The same over IPv6: AWS, AWS for containers, GCP.
const METADATA_V6: [[u16; 8]; 3] = [
    [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254],
    [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23],
    [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254],
];

/// Networks that are not public, the first that matches counts (IANA's registry of special-purpose addresses).
const SPECIAL_V4: [([u8; 4], u8, AddressKind); 18] = [
    ([0, 0, 0, 0], 8, Unspecified),
    ([10, 0, 0, 0], 8, Private),
    ([100, 64, 0, 0], 10, Shared),
    ([127, 0, 0, 0], 8, Loopback),
    ([169, 254, 0, 0], 16, LinkLocal),
    ([172, 16, 0, 0], 12, Private),
    ([192, 0, 0, 0], 24, Reserved),
    ([192, 0, 2, 0], 24, Documentation),
    ([192, 31, 196, 0], 24, Reserved),
    ([192, 52, 193, 0], 24, Reserved),
    ([192, 88, 99, 0], 24, Reserved),
    ([192, 168, 0, 0], 16, Private),
    ([192, 175, 48, 0], 24, Reserved),
    ([198, 18, 0, 0], 15, Benchmark),
    ([198, 51, 100, 0], 24, Documentation),
    ([203, 0, 113, 0], 24, Documentation),
    ([224, 0, 0, 0], 4, Multicast),
    ([255, 255, 255, 255], 32, Broadcast),
];

/// The same over IPv6. What is outside of 2000::/3 and not here is reserved.
const SPECIAL_V6: [([u16; 2], u8, AddressKind); 10] = [
    ([0xfc00, 0], 7, Private),
    ([0xfe80, 0], 10, LinkLocal),
    // Site-local, which RFC 3879 took back.
    ([0xfec0, 0], 10, Private),
    ([0xff00, 0], 8, Multicast),
    ([0x2001, 0xdb8], 32, Documentation),
    ([0x3fff, 0], 20, Documentation),
    // Teredo, which carries IPv4 addresses, is in here.
    ([0x2001, 0x0], 23, Reserved),
    // 6to4 carries IPv4 addresses.
    ([0x2002, 0], 16, Reserved),
    ([0x100, 0], 8, Reserved),
    ([0x5f00, 0], 16, Reserved),
];

/// What the address is if it is not public. Addresses that carry an IPv4 address, and reach it, are what that one is.
fn kind(ip: IpAddr) -> Option<AddressKind> {
    match canonical(ip) {
        IpAddr::V4(ip) => kind_v4(ip),
        IpAddr::V6(ip) => kind_v6(ip),
    }
}

fn kind_v4(ip: Ipv4Addr) -> Option<AddressKind> {
    if METADATA_V4.contains(&ip.octets()) {
        return Some(Metadata);
    }
    let in_network = |(net, len, _): &&([u8; 4], u8, AddressKind)| {
        Ipv4Net::new((*net).into(), *len).is_ok_and(|net| net.contains(&ip))
    };
    let special = SPECIAL_V4.iter().find(in_network).map(|(_, _, kind)| *kind);
    special.or_else(|| (ip.octets()[0] >= 240).then_some(Reserved))
}

fn kind_v6(ip: Ipv6Addr) -> Option<AddressKind> {
    if METADATA_V6.contains(&ip.segments()) {
        return Some(Metadata);
    }
    if ip.is_unspecified() {
        return Some(Unspecified);
    }
    if ip.is_loopback() {
        return Some(Loopback);
    }
    let in_network = |(start, len, _): &&([u16; 2], u8, AddressKind)| {
        let net = Ipv6Addr::new(start[0], start[1], 0, 0, 0, 0, 0, 0);
        Ipv6Net::new(net, *len).is_ok_and(|net| net.contains(&ip))
    };
    if let Some((_, _, kind)) = SPECIAL_V6.iter().find(in_network) {
        return Some(*kind);
    }
    let segments = ip.segments();
    let is_global = segments[0] & 0xe000 == 0x2000;
    // ISATAP carries an IPv4 address behind these (RFC 5214).
    let is_isatap = segments[4] & !0x0200 == 0 && segments[5] == 0x5efe;
    (!is_global || (is_isatap && kind_v4(last_four(ip)).is_some())).then_some(Reserved)
}

/// The IPv4 address that is reached by an IPv4-mapped address or through NAT64 (RFC 6052), else the address itself.
fn canonical(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let is_nat64 = v6.segments()[..6] == [0x64, 0xff9b, 0, 0, 0, 0];
    match v6.to_ipv4_mapped() {
        Some(v4) => v4.into(),
        None if is_nat64 => last_four(v6).into(),
        None => ip,
    }
}

fn last_four(ip: Ipv6Addr) -> Ipv4Addr {
    let [.., a, b, c, d] = ip.octets();
    Ipv4Addr::new(a, b, c, d)
}

impl AddressKind {
    const ALL: [Self; 11] = [
        Unspecified,
        Loopback,
        Private,
        LinkLocal,
        Shared,
        Metadata,
        Documentation,
        Benchmark,
        Multicast,
        Broadcast,
        Reserved,
    ];

    /// The word for it in options.
    pub const fn as_str(self) -> &'static str {
        match self {
            Unspecified => "unspecified",
            Loopback => "loopback",
            Private => "private",
            LinkLocal => "link-local",
            Shared => "shared",
            Metadata => "metadata",
            Documentation => "documentation",
            Benchmark => "benchmark",
            Multicast => "multicast",
            Broadcast => "broadcast",
            Reserved => "reserved",
        }
    }
}

impl fmt::Display for AddressKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something that is allowed though it is not public.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Allowed {
    Kind(AddressKind),
    Network(IpNet),
    /// A host name, whatever it stands for.
    Host(String),
}

/// Which addresses callbacks may go to. By default: public ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressRule(Vec<Allowed>);

impl AddressRule {
    /// Reads what is allowed: a word such as `private`, a network or an address, or a host name.
    ///
    /// # Errors
    /// The text that is none of these, and what was wanted.
    pub fn allowing<T: AsRef<str>>(texts: impl IntoIterator<Item = T>) -> Result<Self, String> {
        let each = texts.into_iter().map(|text| allowed(text.as_ref()));
        each.collect::<Result<_, _>>().map(Self)
    }

    /// Allows all addresses of these kinds.
    pub fn allowing_kinds(kinds: impl IntoIterator<Item = AddressKind>) -> Self {
        Self(kinds.into_iter().map(Allowed::Kind).collect())
    }

    /// Adds what another one allows.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// Whether a request for this host name may go to this address; `host` is `None` if the URL had the address itself.
    ///
    /// # Errors
    /// What the address is.
    pub fn check(&self, host: Option<&str>, ip: IpAddr) -> Result<(), AddressKind> {
        let Some(kind) = kind(ip) else { return Ok(()) };
        let is_allowed = self.0.iter().any(|allowed| match allowed {
            Allowed::Kind(allowed) => *allowed == kind,
            // A wide network does not hand out a cloud's secrets.
            Allowed::Network(net) if kind == Metadata && net.prefix_len() < net.max_prefix_len() => false,
            Allowed::Network(net) => net.contains(&ip) || net.contains(&canonical(ip)),
            Allowed::Host(name) => host.is_some_and(|host| bare(host) == *name),
        });
        if is_allowed { Ok(()) } else { Err(kind) }
    }
}

/// A name as it is compared.
fn bare(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

fn allowed(text: &str) -> Result<Allowed, String> {
    if let Some(kind) = AddressKind::ALL.into_iter().find(|kind| kind.as_str() == text) {
        return Ok(Allowed::Kind(kind));
    }
    if let Ok(net) = text.parse::<IpNet>() {
        return Ok(Allowed::Network(net));
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(Allowed::Network(ip.into()));
    }
    match url::Host::parse(text) {
        Ok(url::Host::Domain(name)) => Ok(Allowed::Host(bare(&name))),
        _ => Err(
            "a word (loopback, private, link-local, shared, ...), a network such as 10.1.0.0/16, an address or a host name"
                .to_owned(),
        ),
    }
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;

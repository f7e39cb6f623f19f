//! Looks up names of receivers, and lets through only the addresses that callbacks may go to.
//!
//! The addresses that are checked are the ones that are connected to, so a name that stands for
//! another address a moment later moves nothing.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use store::BoxFuture;

use super::address::{AddressKind, AddressRule};
use super::lookups::Lookups;

/// Finds the addresses of a name.
pub(super) type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// Why a receiver is not asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) host: String,
    pub(super) ip: IpAddr,
    pub(super) kind: AddressKind,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, ip, kind } = self;
        let a = if *kind == AddressKind::Unspecified { "an" } else { "a" };
        if *host == ip.to_string() {
            write!(f, "refused: {ip} is {a} {kind} address; callback_allow would allow it")
        } else {
            write!(
                f,
                "refused: {host} is {ip}, {a} {kind} address; callback_allow would allow it"
            )
        }
    }
}

impl std::error::Error for Refused {}

/// The resolver of the HTTP client.
pub(super) struct GuardedResolver {
    pub(super) rule: Arc<AddressRule>,
    pub(super) lookups: Arc<Lookups>,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (rule, host) = (Arc::clone(&self.rule), name.as_str().to_owned());
        let found = Arc::clone(&self.lookups).find(host.clone());
        Box::pin(async move {
            let mut refused = None;
            let mut addresses = Vec::new();
            for ip in found.await? {
                match rule.check(Some(&host), ip) {
                    Ok(()) => addresses.push(SocketAddr::new(ip, 0)),
                    Err(kind) => {
                        refused = Some(Refused {
                            host: host.clone(),
                            ip,
                            kind,
                        })
                    }
                }
            }
            match refused {
                Some(refused) if addresses.is_empty() => Err(refused.into()),
                _ => Ok(Box::new(addresses.into_iter()) as Addrs),
            }
        })
    }
}

/// Asks the system, as every other program on the machine does. Each question takes a thread until it is answered,
/// whether or not somebody still waits; so [`Lookups`] bounds them.
pub(super) fn system() -> Lookup {
    Arc::new(|host| {
        Box::pin(async move {
            let ask = move || {
                let found = (host.as_str(), 0).to_socket_addrs()?;
                Ok(found.map(|one| one.ip()).collect())
            };
            tokio::task::spawn_blocking(ask).await.map_err(io::Error::other)?
        })
    })
}

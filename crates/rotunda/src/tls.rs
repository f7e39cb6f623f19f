//! TLS: an own certificate, or a throw-away authority for development.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::Certificate;
use crate::server::StartError;

/// Where the certificate of a throw-away authority is served.
pub const AUTHORITY_PATH: &str = "/ca.pem";

/// Makes an authority for this run and a certificate of it for `localhost`, loopback and `addresses`.
/// The authority's key is forgotten here, so nobody can make another certificate with it.
///
/// # Errors
/// If the cryptographic library fails.
pub fn throwaway(addresses: &[IpAddr]) -> Result<Certificate, rcgen::Error> {
    let authority = CertifiedIssuer::self_signed(authority_params()?, KeyPair::generate()?)?;
    let mut params = CertificateParams::new(vec!["localhost".to_owned()])?;
    let loopback = IpAddr::from(Ipv4Addr::LOCALHOST);
    let others = addresses.iter().copied().filter(|ip| *ip != loopback);
    params
        .subject_alt_names
        .extend(std::iter::once(loopback).chain(others).map(SanType::IpAddress));
    params
        .distinguished_name
        .push(DnType::CommonName, "Rotunda for development");
    params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    (params.not_before, params.not_after) = lifetime();
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &authority)?;
    Ok(Certificate::Throwaway {
        chain: certificate.pem(),
        key: key.serialize_pem(),
        ca: authority.pem(),
    })
}

fn authority_params() -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
        .distinguished_name
        .push(DnType::CommonName, "Rotunda throw-away authority");
    (params.not_before, params.not_after) = lifetime();
    Ok(params)
}

/// A day ago, for clocks that are behind, to thirty days ahead: phones refuse long lives.
fn lifetime() -> (time::OffsetDateTime, time::OffsetDateTime) {
    let now = time::OffsetDateTime::now_utc();
    (now - time::Duration::days(1), now + time::Duration::days(30))
}

/// Ready to answer handshakes with the certificate.
pub(crate) fn acceptor(certificate: &Certificate) -> Result<TlsAcceptor, StartError> {
    let (chain, key, what) = match certificate {
        Certificate::Files { chain, key } => (read_chain(chain)?, read_key(key)?, chain.display().to_string()),
        Certificate::Throwaway { chain, key, .. } => {
            let fault = |error: &dyn std::fmt::Display| StartError::Certificate {
                what: "the throw-away certificate".to_owned(),
                why: error.to_string(),
            };
            let chain = CertificateDer::from_pem_slice(chain.as_bytes()).map_err(|error| fault(&error))?;
            (
                vec![chain],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|error| fault(&error))?,
                "the throw-away certificate".to_owned(),
            )
        }
    };
    let fault = |error: tokio_rustls::rustls::Error| StartError::Certificate {
        what: what.clone(),
        why: error.to_string(),
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(fault)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(fault)?;
    // WebSockets need HTTP/1.1.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Serves the certificate of a throw-away authority, so that a phone can fetch and trust it.
pub(crate) fn authority_router(ca: String) -> Router {
    Router::new().route(
        AUTHORITY_PATH,
        get(move || async move { ([(CONTENT_TYPE, "application/x-x509-ca-cert")], ca) }),
    )
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, StartError> {
    let fault = |why: String| StartError::Certificate {
        what: path.display().to_string(),
        why,
    };
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| fault(error.to_string()))?;
    let chain: Vec<_> = certificates
        .collect::<Result<_, _>>()
        .map_err(|error| fault(error.to_string()))?;
    if chain.is_empty() {
        Err(fault("it has no certificate".to_owned()))
    } else {
        Ok(chain)
    }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, StartError> {
    PrivateKeyDer::from_pem_file(path).map_err(|error| StartError::Certificate {
        what: path.display().to_string(),
        why: error.to_string(),
    })
}

//! The DTLS association with one client: handshake, keys for SRTP, and the records that carry SCTP
//! (RFC 5764, RFC 8261).

use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::digest;
use dimpl::{Config, Dtls, DtlsCertificate, Output, SrtpProfile};
use negotiation::{DtlsRole, Fingerprint};

use super::super::EngineError;

/// How many datagrams a handshake may refuse before it has failed.
const FAULTS_MAX: u32 = 8;

/// Largest datagram that we send, bytes of UDP payload.
const MTU: usize = 1200;

/// Room for what is polled: a record of the largest datagram that is read.
const BUFFER_BYTES: usize = 2048;

/// The certificate of this process, and how handshakes go.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    certificate: DtlsCertificate,
    config: Arc<Config>,
}

impl Identity {
    /// Makes a certificate.
    pub(super) fn new() -> Result<Self, EngineError> {
        let failed = |error: &dyn std::fmt::Display| EngineError::Failed(error.to_string());
        let certificate = dimpl::certificate::generate_self_signed_certificate().map_err(|error| failed(&error))?;
        // ICE has shown already that the client is where it says.
        let config = Config::builder().use_server_cookie(false).mtu(MTU);
        let config = config.build().map_err(|error| failed(&error))?;
        Ok(Self {
            certificate,
            config: Arc::new(config),
        })
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        fingerprint(&self.certificate.certificate)
    }
}

/// What SRTP begins with (RFC 5764 section 4.2).
pub(super) struct Keying {
    pub(super) profile: SrtpProfile,
    /// Keys and salts of both sides, in the order of the standard.
    pub(super) material: dimpl::KeyingMaterial,
}

/// What an association tells.
pub(super) enum Told {
    /// Send this to the client.
    Transmit(Vec<u8>),
    /// The keys are there.
    Keys(Keying),
    /// The handshake is over.
    Connected,
    /// The client wrote this.
    Data(Vec<u8>),
    /// The client closed it.
    Closed,
    /// Nothing more.
    Nothing,
}

/// One association.
pub(super) struct Association {
    /// Large, and of no use while media flows: not among what each packet reads.
    dtls: Option<Box<Dtls>>,
    identity: Identity,
    role: DtlsRole,
    announced: Fingerprint,
    verified: bool,
    connected: bool,
    faults: u32,
    deadline: Option<Instant>,
}

impl Association {
    /// With the client whose certificate was `announced`; it begins with [`Self::start`].
    pub(super) fn new(identity: Identity, role: DtlsRole, announced: Fingerprint) -> Self {
        Self {
            dtls: None,
            identity,
            role,
            announced,
            verified: false,
            connected: false,
            faults: 0,
            deadline: None,
        }
    }

    /// The client announces another certificate; after the handshake that is of no consequence.
    pub(super) fn announce(&mut self, announced: &Fingerprint) {
        if !self.verified {
            self.announced = announced.clone();
        }
    }

    pub(super) fn role(&self) -> DtlsRole {
        self.role
    }

    /// Begins the handshake, once.
    pub(super) fn start(&mut self, now: Instant) -> Result<(), EngineError> {
        if self.dtls.is_some() {
            return Ok(());
        }
        // DTLS 1.3 would get no AEAD SRTP profile from browsers yet.
        let mut dtls = Dtls::new_12(self.identity.config.clone(), self.identity.certificate.clone(), now);
        dtls.set_active(self.role == DtlsRole::Client);
        dtls.handle_timeout(now).map_err(failed)?;
        self.dtls = Some(Box::new(dtls));
        Ok(())
    }

    /// A datagram of DTLS.
    pub(super) fn receive(&mut self, datagram: &[u8], now: Instant) -> Result<(), EngineError> {
        let Some(dtls) = &mut self.dtls else { return Ok(()) };
        dtls.handle_timeout(now).map_err(failed)?;
        if let Err(error) = dtls.handle_packet(datagram) {
            // Once connected, a datagram that does not fit is a forgery, not the client's end.
            self.faults += u32::from(!self.connected);
            if self.faults > FAULTS_MAX {
                return Err(failed(error));
            }
            tracing::debug!(%error, "ignored a datagram of DTLS");
        }
        Ok(())
    }

    /// Time passed.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Result<(), EngineError> {
        match &mut self.dtls {
            Some(dtls) if self.deadline.is_some_and(|at| at <= now) => dtls.handle_timeout(now).map_err(failed),
            _ => Ok(()),
        }
    }

    /// Writes a record; what it becomes is polled before the next one is written.
    pub(super) fn send(&mut self, data: &[u8]) -> Result<(), EngineError> {
        match &mut self.dtls {
            Some(dtls) => dtls.send_application_data(data).map(|_| ()).map_err(failed),
            None => Ok(()),
        }
    }

    /// Says good-bye.
    pub(super) fn close(&mut self) -> Result<(), EngineError> {
        self.dtls.as_mut().map_or(Ok(()), |dtls| dtls.close().map_err(failed))
    }

    /// When it wants to be called.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// What it has to say.
    pub(super) fn poll(&mut self) -> Result<Told, EngineError> {
        let Some(dtls) = &mut self.dtls else {
            return Ok(Told::Nothing);
        };
        let mut buffer = [0; BUFFER_BYTES];
        loop {
            return Ok(match dtls.poll_output(&mut buffer) {
                Output::Packet(packet) => Told::Transmit(packet.to_vec()),
                Output::PeerCert(certificate) => {
                    if fingerprint(certificate) != self.announced {
                        return Err(EngineError::Dtls("the certificate is not the one announced".into()));
                    }
                    self.verified = true;
                    continue;
                }
                Output::KeyingMaterial(material, profile) if self.verified => Told::Keys(Keying { profile, material }),
                Output::Connected if self.verified => {
                    self.connected = true;
                    Told::Connected
                }
                Output::ApplicationData(data) if self.verified => Told::Data(data.to_vec()),
                Output::KeyingMaterial(..) | Output::Connected | Output::ApplicationData(_) => {
                    return Err(EngineError::Dtls("the client showed no certificate".into()));
                }
                Output::CloseNotify => Told::Closed,
                Output::Timeout(at) => {
                    self.deadline = Some(at);
                    Told::Nothing
                }
                Output::BufferTooSmall { needed } => {
                    return Err(EngineError::Failed(format!("DTLS wants to say {needed} bytes at once")));
                }
                // The library may learn to say more; nothing of that is for us.
                _ => continue,
            });
        }
    }
}

/// RFC 8122 section 5.
fn fingerprint(certificate: &[u8]) -> Fingerprint {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, certificate).as_ref());
    Fingerprint(bytes)
}

fn failed(error: dimpl::Error) -> EngineError {
    EngineError::Dtls(error.to_string())
}

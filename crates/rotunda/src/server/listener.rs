//! Accepts connections and serves HTTP/1.1 on them, with or without TLS.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::descriptors;
use crate::door::{ClientPlace, Door, Origin, Place};
use crate::limits;
use crate::proxy::{self, TrustedProxies};

/// Pause after a failed accept: the usual reason is that descriptors ran out, and they come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop`, then until the requests under way are answered.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    door: Arc<Door>,
    proxies: Arc<TrustedProxies>,
    stop: CancellationToken,
) {
    let origins = Origins { door, proxies };
    let places = Arc::new(Semaphore::new(descriptors::connections_max()));
    let mut accepting = Accepting::default();
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        accepting.note(&accepted);
        match accepted {
            Ok((stream, peer)) => {
                // Over the bound it is closed unheard: an answer would cost what a flood is after.
                let Ok(of_address) = origins.connection(peer.ip()) else {
                    continue;
                };
                let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                    turn_away(&stream, tls.is_some());
                    continue;
                };
                let (tls, router, stop) = (tls.clone(), router.clone(), stop.clone());
                let origins = origins.clone();
                connections.spawn(async move {
                    connection(stream, peer, tls, router, origins, stop).await;
                    drop((place, of_address));
                });
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

/// Who comes from where, and how much each may have at once.
#[derive(Clone)]
struct Origins {
    door: Arc<Door>,
    proxies: Arc<TrustedProxies>,
}

/// As many as may be are there of an address.
struct Full;

impl Origins {
    /// The place of a connection. That of a trusted proxy takes none: its requests are its clients'.
    fn connection(&self, peer: IpAddr) -> Result<Option<Place<Origin>>, Full> {
        if self.proxies.has(peer) {
            return Ok(None);
        }
        self.door.connection(peer, Instant::now()).map(Some).ok_or(Full)
    }

    /// Writes on the request whose it is, and takes the place of one that a proxy forwards. A WebSocket keeps it for as
    /// long as it is open.
    fn introduce(&self, peer: IpAddr, request: &mut Request<Body>) -> Result<Option<ClientPlace>, Full> {
        let client = proxy::client(peer, request.headers(), &self.proxies);
        let mut place = None;
        if client.is_forwarded {
            let taken = self.door.connection(client.address, Instant::now()).ok_or(Full)?;
            place = Some(ClientPlace::new(taken));
        }
        request.extensions_mut().insert(client);
        if let Some(place) = &place {
            request.extensions_mut().insert(place.clone());
        }
        Ok(place)
    }
}

/// Says once that nothing can be accepted, and once that it can again.
#[derive(Default)]
struct Accepting {
    failing_since: Option<Instant>,
}

impl Accepting {
    fn note<T>(&mut self, accepted: &io::Result<T>) {
        match (accepted, self.failing_since) {
            (Err(error), None) => {
                self.failing_since = Some(Instant::now());
                tracing::error!(%error, "connections cannot be accepted: those that there are go on");
            }
            (Ok(_), Some(since)) => {
                self.failing_since = None;
                tracing::warn!(
                    "connections are accepted again, after {:.0} s",
                    since.elapsed().as_secs_f64()
                );
            }
            _ => {}
        }
    }
}

/// Answers a connection for which there is no place, without waiting; inside of TLS nothing can be
/// said so shortly.
fn turn_away(stream: &TcpStream, is_tls: bool) {
    const ANSWER: &[u8] =
        b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    if !is_tls {
        // Whoever has a new connection full already hears nothing.
        stream.try_write(ANSWER).ok();
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    router: Router,
    origins: Origins,
    stop: CancellationToken,
) {
    // Signaling is small messages that wait for each other.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, %peer, "TCP_NODELAY could not be set");
    }
    let unread_ms = u32::try_from(limits::UNREAD_TIME_MAX.as_millis()).unwrap_or(u32::MAX);
    if let Err(error) = setsockopt(&stream, sockopt::TcpUserTimeout, &unread_ms) {
        tracing::debug!(%error, %peer, "TCP_USER_TIMEOUT could not be set");
    }
    let Some(tls) = tls else {
        return requests(stream, peer, router, origins, stop).await;
    };
    match tokio::time::timeout(limits::TLS_HANDSHAKE_TIME_MAX, tls.accept(stream)).await {
        Ok(Ok(stream)) => requests(stream, peer, router, origins, stop).await,
        Ok(Err(error)) => tracing::debug!(%error, %peer, "the TLS handshake failed"),
        Err(_) => tracing::debug!(%peer, "the TLS handshake took too long"),
    }
}

async fn requests(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: SocketAddr,
    router: Router,
    origins: Origins,
    stop: CancellationToken,
) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (router, origins) = (router.clone(), origins.clone());
        async move {
            let mut request = request.map(Body::new);
            let Ok(place) = origins.introduce(peer.ip(), &mut request) else {
                return Ok(crate::api::too_many_requests(limits::ADDRESS_FULL_WAIT));
            };
            let answer = router.oneshot(request).await;
            drop(place);
            answer
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits::REQUEST_HEAD_TIME_MAX)
        .max_buf_size(limits::REQUEST_HEAD_LEN_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, %peer, "a connection ended early");
    }
}

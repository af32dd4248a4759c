//! The admin listener with TLS: certificate and key from files that are read again when they change.

use axum::serve::Listener;
use parking_lot::RwLock;
use sfumato_admin_api::files::REREAD_INTERVAL;
use sfumato_admin_api::program::task;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::server::TlsStream;

/// Longest handshake. One that takes longer holds no other up.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);
/// Most handshakes at once; further connections wait in the kernel's queue.
const MAX_HANDSHAKES: usize = 128;

/// A listener whose connections have completed their handshake.
#[derive(Debug)]
pub struct TlsListener {
    address: SocketAddr,
    ready: mpsc::Receiver<(TlsStream<TcpStream>, SocketAddr)>,
}

/// Certificate and key in files.
#[derive(Debug, Clone)]
pub struct KeyFiles {
    /// Certificate chain, PEM.
    pub cert: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
}

impl TlsListener {
    /// Begins to accept. Must be called within a Tokio runtime.
    pub fn start(listener: TcpListener, files: KeyFiles) -> Result<Self, String> {
        let certificate = Arc::new(Followed(RwLock::new(load(&files)?)));
        follow(&certificate, files);
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_no_client_auth()
            .with_cert_resolver(certificate);
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let (sender, ready) = mpsc::channel(1);
        // It ends with its receiver.
        let accepting = accept(listener, TlsAcceptor::from(Arc::new(config)), sender);
        task::serving(task::process(), "accepting on the admin listener", accepting);
        Ok(Self { address, ready })
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.ready.recv().await {
            Some(connection) => connection,
            // The accepting task ends only with its receiver, which is here.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, ready: mpsc::Sender<(TlsStream<TcpStream>, SocketAddr)>) {
    let places = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = ready.closed() => return,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, most likely: trying again at once would only burn the core.
                tracing::warn!(%error, "the admin listener cannot accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (acceptor, ready) = (acceptor.clone(), ready.clone());
        task::brief("a TLS handshake on the admin listener", async move {
            let _place = place;
            match tokio::time::timeout(HANDSHAKE_DEADLINE, acceptor.accept(stream)).await {
                Ok(Ok(stream)) => drop(ready.send((stream, from)).await),
                Ok(Err(error)) => tracing::debug!(address = %from, %error, "no TLS on the admin listener"),
                Err(_) => tracing::debug!(address = %from, "a TLS handshake took too long"),
            }
        });
    }
}

/// The certificate of the moment.
#[derive(Debug)]
struct Followed(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Followed {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read()))
    }
}

fn follow(certificate: &Arc<Followed>, files: KeyFiles) {
    let followed = Arc::downgrade(certificate);
    task::serving(task::process(), "following the admin certificate", async move {
        let mut complained = false;
        loop {
            tokio::time::sleep(REREAD_INTERVAL).await;
            let Some(held) = followed.upgrade() else { return };
            let outcome = load(&files);
            match &outcome {
                Ok(now) if now.cert != held.0.read().cert => {
                    *held.0.write() = Arc::clone(now);
                    tracing::info!("the admin certificate has changed");
                }
                Ok(_) => {}
                Err(error) if !complained => tracing::warn!(%error, "the last good admin certificate stays in use"),
                Err(_) => {}
            }
            complained = outcome.is_err();
        }
    });
}

fn load(files: &KeyFiles) -> Result<Arc<CertifiedKey>, String> {
    let at = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let chain: Result<Vec<CertificateDer<'static>>, _> = CertificateDer::pem_file_iter(&files.cert)
        .map_err(|error| at(&files.cert, &error))?
        .collect();
    let chain = chain.map_err(|error| at(&files.cert, &error))?;
    if chain.is_empty() {
        return Err(at(&files.cert, &"it holds no certificate"));
    }
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| at(&files.key, &error))?;
    let key = CertifiedKey::from_der(chain, key, &ring::default_provider()).map_err(|error| at(&files.key, &error))?;
    Ok(Arc::new(key))
}

//! TLS for this server's own listeners: TLS 1.2 and 1.3 by rustls, and a certificate that is exchanged while it serves.
//!
//! New connections get the pair read last; those that are open keep theirs. A pair that cannot be read or does not fit
//! together never replaces a good one. No HTTP and no SQL. Called by the server, and by `config check`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ::aws_lc_rs::digest::{SHA256, digest};
use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, ServerConfig};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

/// Where the certificate chain and its private key lie, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Why there is no TLS with these files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("server.tls_certificate: {} cannot be read: {}", .0.display(), .1)]
    Certificate(PathBuf, rustls::pki_types::pem::Error),
    #[error("server.tls_certificate: {} holds no certificate", .0.display())]
    NoCertificate(PathBuf),
    #[error("server.tls_key: {} cannot be read: {}", .0.display(), .1)]
    Key(PathBuf, rustls::pki_types::pem::Error),
    #[error("server.tls_key: {} cannot be used: {}", .0.display(), .1)]
    UnusableKey(PathBuf, rustls::Error),
    #[error("server.tls_key: {} is not the key of the certificate in {}", .0.display(), .1.display())]
    Mismatch(PathBuf, PathBuf),
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// The pair that is served, and where the next one comes from.
#[derive(Debug)]
pub struct Certificates {
    files: TlsFiles,
    served: ArcSwap<CertifiedKey>,
}

impl Certificates {
    /// Reads the pair and sees that it fits together.
    pub fn load(files: TlsFiles) -> Result<Arc<Self>, TlsError> {
        let pair = read(&files)?;
        Ok(Arc::new(Self { files, served: ArcSwap::from_pointee(pair) }))
    }

    /// Reads the pair anew. Tells whether it is another one.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let pair = read(&self.files)?;
        let is_new = self.served.load().cert != pair.cert;
        self.served.store(Arc::new(pair));
        Ok(is_new)
    }

    /// For a listener: TLS 1.2 and later. Which protocols are offered inside is the listener's matter.
    pub fn config(self: &Arc<Self>) -> Result<ServerConfig, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let versions = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        Ok(versions.with_no_client_auth().with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>))
    }

    /// SHA-256 of the certificate served, as browsers and `openssl x509 -fingerprint` show it.
    pub fn fingerprint(&self) -> String {
        let pair = self.served.load();
        let hash = pair.cert.first().map(|certificate| digest(&SHA256, certificate));
        let bytes: Vec<String> =
            hash.iter().flat_map(AsRef::as_ref).map(|byte: &u8| format!("{byte:02X}")).collect();
        bytes.join(":")
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.served.load_full())
    }
}

fn read(files: &TlsFiles) -> Result<CertifiedKey, TlsError> {
    let unreadable = |error| TlsError::Certificate(files.certificate.clone(), error);
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.certificate)
        .map_err(unreadable)?
        .collect::<Result<_, _>>()
        .map_err(unreadable)?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate(files.certificate.clone()));
    }
    let key =
        PrivateKeyDer::from_pem_file(&files.key).map_err(|error| TlsError::Key(files.key.clone(), error))?;
    let unusable = |error| TlsError::UnusableKey(files.key.clone(), error);
    let key = aws_lc_rs::sign::any_supported_type(&key).map_err(unusable)?;
    let pair = CertifiedKey::new(chain, key);
    match pair.keys_match() {
        // A key that does not tell its public half is found out in the first handshake.
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(pair),
        Err(_) => Err(TlsError::Mismatch(files.key.clone(), files.certificate.clone())),
    }
}

/// Looks for a new pair at every SIGHUP, and by itself every so often: what renews certificates cannot always send a signal.
/// Goes on until it is dropped.
pub async fn follow(certificates: Arc<Certificates>, every: Duration) {
    let mut hangups = signal(SignalKind::hangup()).ok();
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let mut was_well = true;
    loop {
        let asked = async {
            match &mut hangups {
                Some(hangups) => hangups.recv().await,
                None => std::future::pending().await,
            }
        };
        let by_signal = tokio::select! {
            _ = ticks.tick() => false,
            _ = asked => true,
        };
        let reading = Arc::clone(&certificates);
        let reloaded = tokio::task::spawn_blocking(move || reading.reload()).await;
        match reloaded {
            Ok(Ok(is_new)) => {
                if is_new || by_signal || !was_well {
                    let fingerprint = certificates.fingerprint();
                    tracing::info!(event = "tls_certificate_loaded", %fingerprint);
                }
                was_well = true;
            }
            Ok(Err(error)) => {
                // Said once, or whenever somebody asked.
                if was_well || by_signal {
                    tracing::warn!(event = "tls_certificate_kept", %error);
                }
                was_well = false;
            }
            Err(error) => tracing::warn!(event = "tls_certificate_kept", %error),
        }
    }
}

//! TLS to providers: public authorities, plus what the configuration adds.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Files with certificates, in PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Further authorities.
    pub ca: Option<PathBuf>,
    /// The certificate chain that weir shows, with its key.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// Why TLS can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that does not read.
    #[error("{path}: {problem}")]
    File {
        /// The file.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// Certificates that don't fit together.
    #[error("the client certificate can't be used: {0}")]
    Client(rustls::Error),
    /// The library refuses its own defaults.
    #[error("TLS can't be set up: {0}")]
    Setup(rustls::Error),
}

/// The client side of TLS: HTTP/2 where the provider offers it, else HTTP/1.1.
pub(super) fn client_config(files: &TlsFiles) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = &files.ca {
        for certificate in certificates(path)? {
            roots.add(certificate).map_err(|error| file(path, &error))?;
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Setup)?;
    let builder = builder.with_root_certificates(roots);
    let mut config = match &files.client {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => {
            let key_der = PrivateKeyDer::from_pem_file(key).map_err(|error| file(key, &error))?;
            builder.with_client_auth_cert(certificates(chain)?, key_der).map_err(TlsError::Client)?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(path: &PathBuf) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read {
        Ok(list) if list.is_empty() => Err(file(path, &"no certificate in it")),
        Ok(list) => Ok(list),
        Err(error) => Err(file(path, &error)),
    }
}

fn file(path: &std::path::Path, problem: &dyn std::fmt::Display) -> TlsError {
    TlsError::File { path: path.display().to_string(), problem: problem.to_string() }
}

//! TLS for websockets: rustls with the ring provider and Mozilla's roots.

use std::sync::{Arc, OnceLock};

use rustls::{ClientConfig, RootCertStore};

/// Makes ring the process's provider; later calls change nothing. Call before anything speaks TLS.
pub fn install_provider() {
    // An error only says that one is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The client configuration, made once.
pub(super) fn client() -> Arc<ClientConfig> {
    static CLIENT: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    let config = CLIENT.get_or_init(|| {
        install_provider();
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
    });
    Arc::clone(config)
}

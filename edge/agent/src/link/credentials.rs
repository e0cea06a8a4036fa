//! Joining, and the certificate's life afterwards.

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use edgeward_pki::{Identity, JoinToken, NodeRequest, Peer, tls};
use edgeward_service::{Backoff, Counter, clock};
use rustls_pki_types::PrivateKeyDer;
use rustls_pki_types::pem::PemObject;

use super::{Options, http};
use crate::Error;

/// What a node needs to be let in.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The cloud's CA, DER.
    pub ca: Vec<u8>,
    /// This node's certificate and key.
    pub identity: Identity,
}

/// A certificate is used at least this long, however short a life the cloud gives it.
const LEAST_LIFE: Duration = Duration::from_secs(5);

struct Files {
    ca: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

impl Files {
    fn of(options: &Options) -> Self {
        let file = |name| options.folder.join(name);
        Self { ca: file("ca.der"), certificate: file("node.crt"), key: file("node.key") }
    }

    /// The certificate and key, if they are of this very node: one that was renamed joins again under its new name.
    fn identity(&self, node: &str) -> Result<Option<Identity>, Error> {
        if !self.certificate.exists() {
            return Ok(None);
        }
        let Some(identity) = Identity::load(&self.certificate, &self.key).map_err(broken)? else { return Ok(None) };
        let peer = Peer::from_certificate(identity.certificate().map_err(broken)?).map_err(broken)?;
        Ok(Some(identity).filter(|_| peer.node_name() == Some(node)))
    }

    /// Complete credentials that are still valid, if there are any. A node that was off for longer than its certificate
    /// lived needs a token again.
    fn load(&self, node: &str) -> Result<Option<Credentials>, Error> {
        let Some(identity) = self.identity(node)?.filter(|_| self.ca.exists()) else { return Ok(None) };
        let ends = edgeward_pki::expires_ms(identity.certificate().map_err(broken)?).map_err(broken)?;
        if ends <= clock::now_ms() {
            tracing::warn!(node, "node certificate has expired; the node joins again");
            return Ok(None);
        }
        let ca = std::fs::read(&self.ca).map_err(|error| Error::io("CA certificate", &self.ca, &error))?;
        Ok(Some(Credentials { ca, identity }))
    }

    /// The request to send: with the key of an interrupted join or of an expired certificate, since the cloud remembers
    /// the first key of a name.
    fn request(&self, node: &str) -> Result<NodeRequest, Error> {
        if self.key.exists() && (!self.certificate.exists() || self.identity(node)?.is_some()) {
            let key = PrivateKeyDer::from_pem_file(&self.key)
                .map_err(|_| Error::Credentials(format!("{} holds no private key; remove it", self.key.display())))?;
            return NodeRequest::renew(node, &key).map_err(broken);
        }
        let request = NodeRequest::new(node).map_err(broken)?;
        let key = Identity { chain: Vec::new(), key: request.key().clone_key() };
        write_new(&self.key, key.key_pem().as_bytes())?;
        // A certificate of another name or key would no longer fit.
        remove(&self.certificate)?;
        Ok(request)
    }
}

/// The node's credentials: read from disk, or asked for with the join token (CA fetched and checked against the token's
/// hash, key made here, certificate signed by the cloud). Errors: [`Error::NoToken`], [`Error::Token`],
/// [`Error::Refused`] will not go away by themselves; [`Error::Unreachable`] may.
pub async fn join(options: &Options) -> Result<Credentials, Error> {
    let files = Files::of(options);
    if let Some(credentials) = files.load(&options.node)? {
        return Ok(credentials);
    }
    let token = JoinToken::parse(options.token.as_deref().ok_or(Error::NoToken)?)?;
    let folder = &options.folder;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| Error::io("credentials", folder, &error))?;
    let ca = fetch_ca(options, &token).await?;
    let request = files.request(&options.node)?;
    let config = tls::client_config(&ca, None, tls::Versions::Kubeedge).map_err(broken)?;
    let bearer = format!("Bearer {}", token.bearer());
    let certificate = certify(options, config, &request, Some(bearer)).await?;
    let identity = request.complete(certificate.to_vec()).map_err(broken)?;
    write_new(&files.ca, &ca)?;
    identity.save(&files.certificate, &files.key).map_err(broken)?;
    tracing::info!(node = options.node, server = options.https, "joined the cloud");
    JOINS.inc();
    Ok(Credentials { ca, identity })
}

/// Waits for the moment to renew the certificate, renews it and returns: the session is then opened anew with it. Fails
/// never: as long as the cloud does not answer, it tries again.
pub(super) async fn rotate(options: &Options, credentials: &Credentials) {
    let Ok(certificate) = credentials.identity.certificate() else { return std::future::pending().await };
    match edgeward_pki::rotate_after(certificate) {
        Ok(wait) => tokio::time::sleep(wait.max(LEAST_LIFE)).await,
        Err(error) => {
            tracing::error!(%error, "node certificate is not readable; it will not be renewed");
            return std::future::pending().await;
        }
    }
    // KubeEdge 1.23 waits up to 32 s between two attempts.
    let mut backoff = Backoff::new(Duration::from_secs(2), Duration::from_secs(32));
    while let Err(error) = renew(options, credentials).await {
        tracing::warn!(%error, "node certificate could not be renewed");
        tokio::time::sleep(backoff.next_delay()).await;
    }
    ROTATIONS.inc();
    tracing::info!(node = options.node, "node certificate renewed");
}

async fn renew(options: &Options, credentials: &Credentials) -> Result<(), Error> {
    let request = NodeRequest::renew(&options.node, &credentials.identity.key).map_err(broken)?;
    let config = tls::client_config(&credentials.ca, Some(&credentials.identity), tls::Versions::Kubeedge);
    let certificate = certify(options, config.map_err(broken)?, &request, None).await?;
    let files = Files::of(options);
    let identity = request.complete(certificate.to_vec()).map_err(broken)?;
    identity.save(&files.certificate, &files.key).map_err(broken)
}

/// The CA as the server presents it, believed only if the token names its hash.
async fn fetch_ca(options: &Options, token: &JoinToken) -> Result<Vec<u8>, Error> {
    let config = tls::unverified_client_config().map_err(broken)?;
    let request = ::http::Request::get("/ca.crt");
    let (status, ca) = http::fetch(config, &options.https, request, Vec::new(), options.connect_timeout).await?;
    if !status.is_success() {
        let reason = format!("/ca.crt answered {status}");
        return Err(Error::Unreachable { server: options.https.clone(), reason });
    }
    token.check_authority(&ca)?;
    Ok(ca.to_vec())
}

/// `GET /edge.crt` with the request as its body (KubeEdge 1.23).
async fn certify(
    options: &Options,
    config: rustls::ClientConfig,
    request: &NodeRequest,
    bearer: Option<String>,
) -> Result<Bytes, Error> {
    let mut call = ::http::Request::get("/edge.crt").header("NodeName", &options.node);
    if let Some(bearer) = bearer {
        call = call.header(::http::header::AUTHORIZATION, bearer);
    }
    let (status, body) =
        http::fetch(config, &options.https, call, request.der().to_vec(), options.connect_timeout).await?;
    if status.is_success() {
        return Ok(body);
    }
    let text: String = String::from_utf8_lossy(&body).trim().chars().take(500).collect();
    let reason = if text.is_empty() { status.to_string() } else { text };
    let server = options.https.clone();
    // Too many refusals of this address: that passes.
    if status.is_client_error() && status != ::http::StatusCode::TOO_MANY_REQUESTS {
        Err(Error::Refused { server, node: options.node.clone(), reason })
    } else {
        Err(Error::Unreachable { server, reason })
    }
}

/// Writes a new file beside the old one, 0600, and moves it over.
fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let fail = |error: std::io::Error| Error::io("credentials", path, &error);
    let temporary = path.with_extension("new");
    remove(&temporary)?;
    let mut file =
        std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary).map_err(fail)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(fail)?;
    std::fs::rename(&temporary, path).map_err(fail)
}

fn remove(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("credentials", path, &error)),
        _ => Ok(()),
    }
}

fn broken(error: edgeward_pki::Error) -> Error {
    Error::Credentials(error.to_string())
}

static JOINS: Counter = Counter::new("edgeward_link_joins_total", "certificates obtained with a join token");
static ROTATIONS: Counter = Counter::new("edgeward_link_rotations_total", "certificates renewed");

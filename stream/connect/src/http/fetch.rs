//! Getting what a URL of a request names: a plugin's package, an uploaded file.
//!
//! Whoever may call REST could otherwise make this machine ask others behind the firewall: addresses of private networks
//! are refused unless `basic.enablePrivateNet` is set.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Uri, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioExecutor;

use crate::{Props, tls};

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(300);
/// Redirections that are followed.
const HOPS: usize = 5;

/// The body of a GET, of `max_bytes` at most. `private` allows addresses of private networks and of this machine.
///
/// # Errors
/// It cannot be had; the text says why.
pub async fn fetch(url: &str, max_bytes: u64, private: bool) -> Result<Bytes, String> {
    let whole = async {
        let response = follow(url, private).await?;
        let limit = usize::try_from(max_bytes).unwrap_or(usize::MAX);
        match Limited::new(response.into_body(), limit).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(error) if error.is::<LengthLimitError>() => Err(format!("it is larger than {max_bytes} bytes")),
            Err(error) => Err(error.to_string()),
        }
    };
    tokio::time::timeout(PATIENCE, whole).await.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")))
}

async fn follow(url: &str, private: bool) -> Result<Response<Incoming>, String> {
    let mut uri: Uri = url.parse().map_err(|error| format!("invalid URL: {error}"))?;
    for _ in 0..=HOPS {
        let response = get(uri.clone(), private).await?;
        if !response.status().is_redirection() {
            return match response.status().is_success() {
                true => Ok(response),
                false => Err(format!("{uri} answered {}", response.status())),
            };
        }
        uri = next(&uri, response.headers())?;
    }
    Err(format!("more than {HOPS} redirections"))
}

/// Where a redirection leads.
pub(super) fn next(from: &Uri, headers: &HeaderMap) -> Result<Uri, String> {
    let location = headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
    let location = location.ok_or_else(|| format!("{from} redirects to nowhere"))?;
    let to: Uri = location.parse().map_err(|error| format!("{from} redirects to an invalid URL: {error}"))?;
    if to.authority().is_some() {
        return Ok(to);
    }
    let mut parts = from.clone().into_parts();
    parts.path_and_query = to.into_parts().path_and_query;
    Uri::from_parts(parts).map_err(|error| format!("{from} redirects to an invalid URL: {error}"))
}

async fn get(uri: Uri, private: bool) -> Result<Response<Incoming>, String> {
    // Addresses in the URL itself are never resolved.
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = host.parse::<IpAddr>() {
        allowed(ip, private)?;
    }
    let tls = tls::client_config(&Props::default(), false).map_err(|error| error.to_string())?;
    let mut http = HttpConnector::new_with_resolver(tower::service_fn(move |name: Name| resolve(name, private)));
    http.enforce_http(false);
    let connector = HttpsConnectorBuilder::new().with_tls_config(Arc::unwrap_or_clone(tls)).https_or_http();
    let connector = connector.enable_http1().wrap_connector(http);
    let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build::<_, Full<Bytes>>(connector);
    let request = Request::get(uri).body(Full::new(Bytes::new())).map_err(|error| error.to_string())?;
    client.request(request).await.map_err(|error| super::client::reasons(&error))
}

async fn resolve(name: Name, private: bool) -> io::Result<std::vec::IntoIter<SocketAddr>> {
    let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
    let good = found.into_iter().map(|address| allowed(address.ip(), private).map(|()| address));
    // All of them have to be good: a name that also stands for a private address is up to something.
    let good: Result<Vec<SocketAddr>, String> = good.collect();
    good.map(Vec::into_iter).map_err(io::Error::other)
}

fn allowed(ip: IpAddr, private: bool) -> Result<(), String> {
    if !private && is_private(ip) {
        return Err(format!("{ip} is a private address; set basic.enablePrivateNet to allow such"));
    }
    Ok(())
}

fn is_private(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [first, second, ..] = ip.octets();
            ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_multicast()
                || first == 0
                || first >= 240
                // Shared by customers of a provider (RFC 6598).
                || (first == 100 && second & 0xc0 == 64)
        }
        IpAddr::V6(ip) => {
            ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn private_addresses_are_known() {
        for (text, expect) in [
            ("127.0.0.1", true),
            ("10.1.2.3", true),
            ("172.16.0.1", true),
            ("192.168.1.1", true),
            ("169.254.169.254", true),
            ("100.64.0.1", true),
            ("0.0.0.0", true),
            ("255.255.255.255", true),
            ("::1", true),
            ("::ffff:10.0.0.1", true),
            ("fd00::1", true),
            ("fe80::1", true),
            ("1.1.1.1", false),
            ("100.128.0.1", false),
            ("2606:4700::1", false),
        ] {
            assert_eq!(is_private(text.parse().unwrap()), expect, "{text}");
        }
    }

    /// Answers `/there` with a body and everything else with a redirection to it.
    async fn serve(listener: TcpListener) {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            let read = stream.read(&mut request).await.unwrap();
            let answer = match request[..read].starts_with(b"GET /there ") {
                true => "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
                false => "HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            };
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    }

    #[tokio::test]
    async fn what_may_be_fetched() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tasks = edgeward_service::Tasks::root("test");
        tasks.spawn_until_cancelled("server", serve(listener));
        let url = format!("http://{address}/here");
        assert_eq!(fetch(&url, 5, true).await.unwrap(), "hello");
        assert!(fetch(&url, 4, true).await.unwrap_err().contains("larger than 4 bytes"));
        for url in [url.clone(), url.replace("127.0.0.1", "localhost")] {
            let error = fetch(&url, 5, false).await.unwrap_err();
            assert!(error.contains("is a private address"), "{error}");
        }
        assert!(fetch("no url at all", 5, true).await.is_err());
    }
}

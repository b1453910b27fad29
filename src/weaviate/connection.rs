//! What it takes to reach one server.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use crate::error::{Error, IoContext, Kind, Result};

/// Which protocols may be used for objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// gRPC where it is reachable and exact, else REST.
    #[default]
    Auto,
    /// gRPC, or fail.
    Grpc,
    /// REST alone.
    Rest,
}

/// The receive window of one gRPC reply, in bytes: a page on its way over a long line.
const STREAM_WINDOW: u32 = 16 << 20;
/// The receive window of all of them together.
const CONNECTION_WINDOW: u32 = 64 << 20;

/// An address with everything that goes with it. Secrets show as `[REDACTED]` when printed.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Scheme, host and port, without `/v1`.
    pub url: String,
    /// Scheme, host and port of gRPC; without it REST is used for everything.
    pub grpc_url: Option<String>,
    /// Which of them may be used.
    pub transport: Transport,
    /// Sent as a bearer token.
    pub api_key: Option<SecretString>,
    /// Where the key was read from; it is read again once after a 401.
    pub key_file: Option<PathBuf>,
    /// Sent with every request.
    pub headers: Vec<(String, SecretString)>,
    /// Certificates added to the system's roots, PEM.
    pub ca_cert: Option<PathBuf>,
    /// The client's certificate chain, PEM.
    pub client_cert: Option<PathBuf>,
    /// The client's key, PEM.
    pub client_key: Option<PathBuf>,
    /// Accepts any certificate.
    pub insecure: bool,
    /// Until a connection stands.
    pub connect_timeout: Duration,
    /// Without a byte of the reply to a read.
    pub read_timeout: Duration,
    /// Without a byte of the reply to a write.
    pub write_timeout: Duration,
    /// Goes on though a collection has fewer replicas at hand than it should have; see [`super::Client::degraded`].
    pub allow_degraded: bool,
}

impl Connection {
    /// A connection without credentials and with the default time-outs.
    pub fn to(url: impl Into<String>) -> Self {
        Connection {
            url: url.into(),
            grpc_url: None,
            transport: Transport::Auto,
            api_key: None,
            key_file: None,
            headers: Vec::new(),
            ca_cert: None,
            client_cert: None,
            client_key: None,
            insecure: false,
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_secs(90),
            allow_degraded: false,
        }
    }

    /// The address, checked and without a trailing slash or `/v1`. User names and passwords in it are refused:
    /// they would be printed.
    pub(super) fn base(&self) -> Result<reqwest::Url> {
        let bad = |why: &str| {
            Error::new(
                Kind::Usage,
                format!(
                    "`{}` is not the address of a server: {why}",
                    self.url_without_secrets()
                ),
            )
            .with_hint("an address looks like http://localhost:8080 or https://cluster.example.com")
        };
        let mut url =
            reqwest::Url::parse(self.url.trim()).map_err(|cause| bad(&cause.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(bad("it needs http:// or https:// and a host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad("credentials belong in --api-key-file"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(bad("it has a query or a fragment"));
        }
        let path = url
            .path()
            .trim_end_matches('/')
            .trim_end_matches("/v1")
            .trim_end_matches('/')
            .to_owned();
        url.set_path(&path);
        Ok(url)
    }

    fn url_without_secrets(&self) -> String {
        match self.url.split_once('@') {
            Some((_, host)) => format!("…@{host}"),
            None => self.url.clone(),
        }
    }

    /// An HTTP client with this connection's certificates and headers, and `patience` between two bytes.
    pub(super) fn http(&self, patience: Duration) -> Result<reqwest::Client> {
        // The server closes idle connections after 10 s.
        let builder = self.builder(&self.url, patience)?;
        self.build(builder.pool_idle_timeout(Duration::from_secs(8)))
    }

    /// As [`Connection::http`], but speaks HTTP/2 from the first byte, with windows wide enough for pages.
    pub(super) fn http2(&self, url: &str, patience: Duration) -> Result<reqwest::Client> {
        let builder = self
            .builder(url, patience)?
            .http2_prior_knowledge()
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(CONNECTION_WINDOW);
        self.build(builder)
    }

    fn build(&self, builder: reqwest::ClientBuilder) -> Result<reqwest::Client> {
        builder.build().map_err(|cause| {
            Error::new(Kind::Usage, "the connection settings do not work").with_cause(cause)
        })
    }

    fn builder(&self, url: &str, patience: Duration) -> Result<reqwest::ClientBuilder> {
        // A second installation is refused and changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .default_headers(self.header_map()?)
            .user_agent(concat!("elysiactl/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.connect_timeout)
            .read_timeout(patience)
            .tcp_nodelay(true)
            // A redirect could carry the key to another host.
            .redirect(reqwest::redirect::Policy::none())
            .danger_accept_invalid_certs(self.insecure);
        if !needs_roots(url) {
            // Reading the system's certificates takes longer than all the requests of a small job.
            builder = builder.tls_certs_only(Vec::new());
        }
        for certificate in self.roots()? {
            builder = builder.add_root_certificate(certificate);
        }
        if let Some(identity) = self.identity()? {
            builder = builder.identity(identity);
        }
        Ok(builder)
    }

    fn header_map(&self) -> Result<HeaderMap> {
        let mut map = HeaderMap::new();
        for (name, value) in &self.headers {
            let bad = || {
                Error::new(
                    Kind::Usage,
                    format!("`{name}` is not a header that can be sent"),
                )
            };
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?;
            let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|_| bad())?;
            value.set_sensitive(true);
            map.append(name, value);
        }
        Ok(map)
    }

    fn roots(&self) -> Result<Vec<reqwest::Certificate>> {
        let Some(path) = &self.ca_cert else {
            return Ok(Vec::new());
        };
        let pem = std::fs::read(path)
            .doing(|| format!("cannot read the certificates in `{}`", path.display()))?;
        let roots = reqwest::Certificate::from_pem_bundle(&pem);
        let roots = roots.map_err(|cause| not_pem(path, cause))?;
        match roots.is_empty() {
            true => Err(Error::new(
                Kind::Usage,
                format!("`{}` holds no certificate", path.display()),
            )),
            false => Ok(roots),
        }
    }

    fn identity(&self) -> Result<Option<reqwest::Identity>> {
        let (Some(cert), Some(key)) = (&self.client_cert, &self.client_key) else {
            return Ok(None);
        };
        let mut pem = std::fs::read(cert)
            .doing(|| format!("cannot read the certificate `{}`", cert.display()))?;
        pem.push(b'\n');
        pem.extend(
            std::fs::read(key).doing(|| format!("cannot read the key `{}`", key.display()))?,
        );
        reqwest::Identity::from_pem(&pem)
            .map(Some)
            .map_err(|cause| not_pem(cert, cause))
    }
}

/// Without TLS there is nothing to check; a proxy on the way may have it.
fn needs_roots(url: &str) -> bool {
    let has_proxy = std::env::vars_os().any(|(name, _)| {
        let name = name.to_string_lossy().to_ascii_lowercase();
        name == "http_proxy" || name == "all_proxy"
    });
    has_proxy || !url.trim().starts_with("http://")
}

fn not_pem(path: &std::path::Path, cause: reqwest::Error) -> Error {
    Error::new(
        Kind::Usage,
        format!("`{}` holds no usable PEM", path.display()),
    )
    .with_cause(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lose_their_slash_and_version_and_bad_ones_are_refused() {
        for (given, base) in [
            ("http://localhost:8080", "http://localhost:8080/"),
            ("http://localhost:8080/", "http://localhost:8080/"),
            ("https://h/v1", "https://h/"),
            ("https://h/weaviate/v1/", "https://h/weaviate"),
        ] {
            assert_eq!(Connection::to(given).base().unwrap().as_str(), base);
        }
        for bad in [
            "",
            "localhost:8080",
            "ftp://h",
            "http://",
            "http://u:p@h",
            "http://h?x=1",
        ] {
            assert_eq!(
                Connection::to(bad).base().unwrap_err().kind(),
                Kind::Usage,
                "{bad}"
            );
        }
    }

    #[test]
    fn a_file_without_certificates_is_not_taken_for_authorities() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let connection = Connection {
            ca_cert: Some(file.path().to_owned()),
            ..Connection::to("https://h")
        };
        assert_eq!(connection.roots().unwrap_err().kind(), Kind::Usage);
    }

    #[test]
    fn a_password_in_an_address_is_not_repeated() {
        let error = Connection::to("http://user:secret@h").base().unwrap_err();
        assert!(!error.to_string().contains("secret"));
    }
}

//! Addresses: a URL taken apart and checked, and where its gRPC is.

use std::fmt;

use crate::error::{Error, Kind, Result};

/// The default port of Weaviate's gRPC.
const GRPC_PORT: u16 = 50051;
/// Hosts of Weaviate Cloud end like this.
const CLOUD: [&str; 3] = [".weaviate.cloud", ".weaviate.network", ".weaviate.io"];

/// An address of a server; shown as a URL without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// True for https.
    pub is_tls: bool,
    /// The host in lower case; an IPv6 address has its brackets.
    pub host: String,
    /// The port, if it is written.
    pub port: Option<u16>,
    /// The path in front of Weaviate's own, without a slash at its end; mostly empty.
    pub path: String,
}

impl Address {
    /// Reads a URL. A cloud host may come without `https://`, as the cloud's console shows it.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let lower = text.to_ascii_lowercase();
        let (is_tls, rest) = match lower.split_once("://") {
            Some(("http" | "grpc", _)) => (false, after_scheme(text)),
            Some(("https" | "grpcs", _)) => (true, after_scheme(text)),
            None if is_cloud(lower.split(['/', ':']).next().unwrap_or("")) => (true, text),
            _ => return Err(without_scheme(text)),
        };
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, ""),
        };
        if authority.contains('@') {
            return Err(
                Error::new(Kind::Usage, "the URL holds a user name or a password")
                    .with_hint("pass the key with --api-key-file or in `WEAVIATE_API_KEY`"),
            );
        }
        if rest.contains(['?', '#', ' ']) {
            return Err(unusable(text, "it has more than host, port and path"));
        }
        let (host, port) =
            host_and_port(authority).ok_or_else(|| unusable(text, "its host or port is wrong"))?;
        let path = path.trim_end_matches('/').to_owned();
        Ok(Address {
            is_tls,
            host: host.to_ascii_lowercase(),
            port,
            path,
        })
    }

    /// Where gRPC is, if nobody says otherwise: in the cloud a host of its own on 443 with TLS; else the same
    /// host on 50051, with TLS if the URL has it.
    pub fn grpc(&self) -> Address {
        let at = |host: String, port| Address {
            is_tls: self.is_tls,
            host,
            port: Some(port),
            path: String::new(),
        };
        if !self.is_tls || !is_cloud(&self.host) {
            return at(self.host.clone(), GRPC_PORT);
        }
        match self.host.split_once('.') {
            Some((id, domain)) if self.host.ends_with(".weaviate.network") => {
                at(format!("{id}.grpc.{domain}"), 443)
            }
            _ => at(format!("grpc-{}", self.host), 443),
        }
    }

    /// True if both lead to the same server: what one may know, the other may.
    pub fn is_same_server(&self, other: &Address) -> bool {
        let key = |address: &Address| {
            (
                address.is_tls,
                address.host.clone(),
                address.effective_port(),
            )
        };
        key(self) == key(other)
    }

    fn effective_port(&self) -> u16 {
        self.port.unwrap_or(if self.is_tls { 443 } else { 80 })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(&self.path)
    }
}

fn is_cloud(host: &str) -> bool {
    CLOUD.iter().any(|domain| host.ends_with(domain))
}

fn after_scheme(text: &str) -> &str {
    text.split_once("://").map_or(text, |(_, rest)| rest)
}

fn host_and_port(authority: &str) -> Option<(&str, Option<u16>)> {
    let colon = match authority.strip_prefix('[') {
        Some(_) => authority.find(']').map(|end| end + 1)?,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at(colon);
    let port = match rest.strip_prefix(':') {
        Some(port) => Some(port.parse().ok().filter(|port| *port > 0)?),
        None if rest.is_empty() => None,
        None => return None,
    };
    let is_good = |letter: char| letter.is_ascii_alphanumeric() || "-._[]:".contains(letter);
    (!host.is_empty() && host.chars().all(is_good)).then_some((host, port))
}

fn without_scheme(text: &str) -> Error {
    // What stands before an @ may be a password.
    let shown = text.rsplit('@').next().unwrap_or(text);
    Error::new(Kind::Usage, format!("`{shown}` is not a URL of Weaviate")).with_hint(format!(
        "write http:// or https:// in front, such as `http://{}`",
        after_scheme(shown)
    ))
}

fn unusable(text: &str, why: &str) -> Error {
    Error::new(
        Kind::Usage,
        format!("`{text}` is not a URL of Weaviate: {why}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        Address::parse(text).unwrap().to_string()
    }

    #[test]
    fn urls_are_read_and_shown_alike() {
        for (text, expected) in [
            ("http://localhost:8080", "http://localhost:8080"),
            (" HTTPS://Example.COM/ ", "https://example.com"),
            ("https://proxy/weaviate/", "https://proxy/weaviate"),
            ("http://[::1]:8080", "http://[::1]:8080"),
            (
                "abc.c0.europe-west3.gcp.weaviate.cloud",
                "https://abc.c0.europe-west3.gcp.weaviate.cloud",
            ),
            ("grpcs://host:443", "https://host:443"),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn what_is_no_url_is_refused_with_a_remedy() {
        for bad in [
            "",
            "http://",
            "http://host:0",
            "http://host:99999",
            "http://a b",
            "http://h?x=1",
            "ftp://h",
        ] {
            assert_eq!(
                Address::parse(bad).unwrap_err().kind(),
                Kind::Usage,
                "{bad}"
            );
        }
        let error = Address::parse("localhost:8080").unwrap_err();
        assert_eq!(error.message(), "`localhost:8080` is not a URL of Weaviate");
        assert_eq!(
            error.hint(),
            Some("write http:// or https:// in front, such as `http://localhost:8080`")
        );
    }

    #[test]
    fn a_password_in_a_url_is_refused_and_never_shown() {
        for text in [
            "https://me:secret@host",
            "me:secret@host",
            "ftp://me:secret@host",
        ] {
            let error = Address::parse(text).unwrap_err();
            let said = format!("{error} {:?}", error.hint());
            assert!(!said.contains("secret"), "{said}");
        }
    }

    #[test]
    fn grpc_is_found_from_the_url() {
        for (url, grpc) in [
            ("http://localhost:8080", "http://localhost:50051"),
            (
                "https://weaviate.example.com",
                "https://weaviate.example.com:50051",
            ),
            (
                "https://abc.gcp.weaviate.cloud",
                "https://grpc-abc.gcp.weaviate.cloud:443",
            ),
            (
                "https://abc.weaviate.network",
                "https://abc.grpc.weaviate.network:443",
            ),
        ] {
            assert_eq!(Address::parse(url).unwrap().grpc().to_string(), grpc);
        }
    }

    #[test]
    fn a_default_port_written_down_is_the_same_server() {
        let same = |one: &str, two: &str| {
            Address::parse(one)
                .unwrap()
                .is_same_server(&Address::parse(two).unwrap())
        };
        assert!(same("https://a/x", "https://A:443"));
        assert!(!same("https://a", "http://a"));
        assert!(!same("http://a", "http://a:8080"));
    }
}

//! weaviate-cli's own settings, `~/.config/weaviate/config.json`, for whoever has nothing else.
//!
//! Two shapes are read: `host` with ports (and `grpc_host`), and the older `url`. Keys that we do not know are not
//! ours to judge. Destructive commands never come here.

use std::path::Path;

use secrecy::SecretString;
use serde_json::Value;

use super::address::Address;
use crate::error::{Error, IoContext, Kind, Result};

/// What weaviate-cli would use.
pub(super) struct Fallback {
    pub(super) url: Address,
    pub(super) grpc_url: Option<Address>,
    pub(super) api_key: Option<SecretString>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) warning: Option<String>,
}

/// Reads the file; `None` if there is none, or if it names no host.
pub(super) fn read(path: &Path) -> Result<Option<Fallback>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        failed => failed.doing(|| format!("cannot read `{}`", path.display()))?,
    };
    let wrong = |why: &str| {
        Error::new(Kind::Usage, format!("`{}`: {why}", path.display()))
            .with_hint("pass --url, and settings of weaviate-cli are not looked at")
    };
    let file: Value = serde_json::from_str(&text).map_err(|_| wrong("it is not JSON"))?;
    let Some(url) = url(&file)? else {
        return Ok(None);
    };
    let (api_key, warning) = api_key(&file);
    Ok(Some(Fallback {
        grpc_url: grpc(&file, &url)?,
        url,
        api_key,
        headers: headers(&file),
        warning,
    }))
}

fn url(file: &Value) -> Result<Option<Address>> {
    let Some(host) = file["host"].as_str().or(file["url"].as_str()) else {
        return Ok(None);
    };
    let port = port(&file["http_port"]);
    let mut address = parse_host(host, port == Some(443))?;
    address.port = address.port.or(port);
    Ok(Some(address))
}

fn grpc(file: &Value, url: &Address) -> Result<Option<Address>> {
    let port = port(&file["grpc_port"]);
    let Some(host) = file["grpc_host"].as_str() else {
        return Ok(port.map(|port| Address {
            port: Some(port),
            path: String::new(),
            ..url.clone()
        }));
    };
    let mut address = parse_host(host, port == Some(443))?;
    address.port = address.port.or(port);
    Ok(Some(address))
}

fn parse_host(host: &str, is_tls: bool) -> Result<Address> {
    match Address::parse(host) {
        Err(_) if !host.contains("://") => {
            let scheme = if is_tls { "https" } else { "http" };
            Address::parse(&format!("{scheme}://{host}"))
        }
        parsed => parsed,
    }
}

fn port(value: &Value) -> Option<u16> {
    match value {
        Value::Number(number) => number.as_u64()?.try_into().ok(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn api_key(file: &Value) -> (Option<SecretString>, Option<String>) {
    let auth = &file["auth"];
    match (auth["type"].as_str(), auth["api_key"].as_str()) {
        (Some("api_key"), Some(key)) => (Some(SecretString::from(key)), None),
        (Some(other), _) => {
            let warning =
                format!("authentication of type `{other}` in weaviate-cli's settings is not used");
            (None, Some(warning))
        }
        _ => (None, None),
    }
}

fn headers(file: &Value) -> Vec<(String, String)> {
    let pairs = file["headers"].as_object().into_iter().flatten();
    pairs
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn read_text(text: &str) -> Result<Option<Fallback>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read(file.path())
    }

    #[test]
    fn the_shapes_of_weaviate_cli_are_read() {
        let cases = [
            (
                r#"{"host":"localhost","http_port":"8080","grpc_port":"50051"}"#,
                ("http://localhost:8080", Some("http://localhost:50051")),
            ),
            (
                r#"{"host":"abc.gcp.weaviate.cloud"}"#,
                ("https://abc.gcp.weaviate.cloud", None),
            ),
            (
                r#"{"host":"https://w.example.com","grpc_host":"https://g.example.com","grpc_port":443}"#,
                ("https://w.example.com", Some("https://g.example.com:443")),
            ),
            (
                r#"{"url":"http://old:8080","auth":null}"#,
                ("http://old:8080", None),
            ),
        ];
        for (text, (url, grpc)) in cases {
            let found = read_text(text).unwrap().unwrap();
            assert_eq!(found.url.to_string(), url);
            assert_eq!(
                found.grpc_url.map(|grpc| grpc.to_string()).as_deref(),
                grpc,
                "{text}"
            );
        }
    }

    #[test]
    fn only_a_plain_key_is_taken() {
        let key =
            r#"{"host":"h","auth":{"type":"api_key","api_key":"secret"},"headers":{"X":"y"}}"#;
        let found = read_text(key).unwrap().unwrap();
        assert_eq!(found.api_key.unwrap().expose_secret(), "secret");
        assert_eq!(found.headers, [("X".to_owned(), "y".to_owned())]);
        let user = read_text(r#"{"host":"h","auth":{"type":"user","me":"secret"}}"#)
            .unwrap()
            .unwrap();
        assert!(user.api_key.is_none() && user.warning.unwrap().contains("`user`"));
    }

    #[test]
    fn no_host_is_no_fallback_and_no_json_is_an_error() {
        assert!(read_text("{}").unwrap().is_none());
        assert!(read(Path::new("/nonexistent")).unwrap().is_none());
        assert_eq!(
            read_text("host = x").map(|_| ()).unwrap_err().kind(),
            Kind::Usage
        );
    }
}

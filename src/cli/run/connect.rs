//! Which server, how, and who said so; and where jobs are kept.

use std::path::PathBuf;

use super::super::args::{Environment, Invocation};
use crate::error::{Error, Kind, Result};
use crate::journal::StoreKind;
use crate::weaviate::Connection;

/// A connection with the origin of its address.
pub(super) struct Connected {
    pub connection: Connection,
    /// Where the address came from, for people.
    pub origin: String,
    /// True if nobody named an address.
    pub is_default: bool,
    /// True if the address came from another program's configuration.
    pub is_fallback: bool,
    /// Names that the profile protects.
    pub protect: Vec<String>,
}

impl Connected {
    /// Destructive commands never act on an address that another program's file happens to hold.
    pub fn refuse_fallback(&self) -> Result<()> {
        match self.is_fallback {
            false => Ok(()),
            true => Err(Error::new(
                Kind::Usage,
                format!(
                    "the address comes from {}, which is never used for destructive commands",
                    self.origin
                ),
            )
            .with_hint("pass --url or --profile")),
        }
    }
}

pub(super) fn connect(invocation: &Invocation, environment: &Environment) -> Result<Connected> {
    let args = &invocation.cli.connection;
    let (url, origin) = match (
        &args.url,
        environment.get("WEAVIATE_URL"),
        environment.get("WCD_URL"),
    ) {
        (Some(url), ..) => (url.clone(), "--url"),
        (None, Some(url), _) => (url.to_owned(), "WEAVIATE_URL"),
        (None, None, Some(url)) => (url.to_owned(), "WCD_URL"),
        _ => ("http://localhost:8080".to_owned(), "default"),
    };
    let mut connection = Connection::to(url);
    if let Some(path) = &args.api_key_file {
        let key = std::fs::read_to_string(path).map_err(|cause| {
            Error::new(
                Kind::Usage,
                format!("cannot read the key in `{}`", path.display()),
            )
            .with_cause(cause)
        })?;
        connection.api_key = Some(key.trim().to_owned().into());
        connection.key_file = Some(path.clone());
    } else if let Some(key) = environment.get("WEAVIATE_API_KEY") {
        connection.api_key = Some(key.to_owned().into());
    }
    if let Some(timeouts) = &args.timeout {
        connection.connect_timeout = timeouts.connect;
        connection.read_timeout = timeouts.read;
        connection.write_timeout = timeouts.write;
    }
    Ok(Connected {
        connection,
        origin: origin.to_owned(),
        is_default: origin == "default",
        is_fallback: false,
        protect: Vec::new(),
    })
}

pub(super) fn state_dir(invocation: &Invocation, environment: &Environment) -> Result<PathBuf> {
    if let Some(folder) = &invocation.cli.connection.state_dir {
        return Ok(folder.clone());
    }
    if let Some(folder) = environment
        .get("XDG_STATE_HOME")
        .filter(|folder| !folder.is_empty())
    {
        return Ok(PathBuf::from(folder).join("elysiactl"));
    }
    match environment.get("HOME").filter(|home| !home.is_empty()) {
        Some(home) => Ok(PathBuf::from(home).join(".local/state/elysiactl")),
        None => Err(Error::new(
            Kind::Usage,
            "there is no home directory to keep job journals in",
        )
        .with_hint("pass --state-dir")),
    }
}

/// `ELYSIACTL_JOURNAL_STORE=file` is the way out where sled fails.
pub(super) fn journal_store(environment: &Environment) -> Result<StoreKind> {
    environment
        .get("ELYSIACTL_JOURNAL_STORE")
        .map_or(Ok(StoreKind::default()), StoreKind::parse)
}

pub(super) fn show(invocation: &Invocation, environment: &Environment) -> Result<Vec<Vec<String>>> {
    let connected = connect(invocation, environment)?;
    Ok(vec![vec![
        "url".to_owned(),
        connected.connection.url,
        connected.origin,
    ]])
}

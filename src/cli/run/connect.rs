//! Which server, how, and who said so; and where jobs are kept.

use std::path::PathBuf;

use super::super::args::globals as args;
use super::super::args::{Environment, Invocation};
use super::super::config::{self, Origin, Purpose, Request, Settings, Sourced, places};
use crate::error::Result;
use crate::journal::StoreKind;
use crate::weaviate::{Connection, Transport};

/// A connection with the origin of its address.
pub(super) struct Connected {
    pub connection: Connection,
    /// Where the address came from, for people.
    pub origin: String,
    /// True if nobody named an address.
    pub is_default: bool,
    /// Names that the profile protects.
    pub protect: Vec<String>,
    /// What the user should know, one sentence fragment each.
    pub warnings: Vec<String>,
}

/// The connection for a command of this purpose; a profile may forbid it.
pub(super) fn connect(
    invocation: &Invocation,
    environment: &Environment,
    purpose: Purpose,
) -> Result<Connected> {
    let settings = settings(invocation, environment, purpose)?;
    settings.allow(purpose)?;
    let found = settings.connect()?;
    Ok(Connected {
        connection: Connection {
            url: found.url,
            grpc_url: Some(found.grpc_url),
            transport: transport(found.transport),
            api_key: found.api_key,
            key_file: found.key_file,
            headers: found.headers,
            ca_cert: found.ca_cert,
            client_cert: found.client_cert,
            client_key: found.client_key,
            insecure: found.insecure,
            connect_timeout: found.connect_timeout,
            read_timeout: found.read_timeout,
            write_timeout: found.write_timeout,
        },
        origin: settings.url.origin.to_string(),
        is_default: settings.url.origin == Origin::Default,
        protect: settings.protect,
        warnings: settings.warnings,
    })
}

fn transport(chosen: args::Transport) -> Transport {
    match chosen {
        args::Transport::Auto => Transport::Auto,
        args::Transport::Grpc => Transport::Grpc,
        args::Transport::Rest => Transport::Rest,
    }
}

fn settings(
    invocation: &Invocation,
    environment: &Environment,
    purpose: Purpose,
) -> Result<Settings> {
    let args = &invocation.cli.connection;
    config::resolve(Request {
        args,
        variables: &invocation.variables,
        environment,
        purpose,
    })
}

fn places(invocation: &Invocation, environment: &Environment) -> Result<Sourced<PathBuf>> {
    let origin = match invocation.variables.get("state-dir") {
        Some(variable) => Origin::Environment(variable.clone()),
        None => Origin::Flag("state-dir"),
    };
    places::state_dir(
        invocation.cli.connection.state_dir.as_deref(),
        origin,
        environment,
    )
}

/// The folder that jobs are kept in.
pub(super) fn state_dir(invocation: &Invocation, environment: &Environment) -> Result<PathBuf> {
    places(invocation, environment).map(|found| found.value)
}

/// `ELYSIACTL_JOURNAL_STORE=file` is the way out where sled fails.
pub(super) fn journal_store(environment: &Environment) -> Result<StoreKind> {
    environment
        .get("ELYSIACTL_JOURNAL_STORE")
        .map_or(Ok(StoreKind::default()), StoreKind::parse)
}

/// Every setting with its value and origin; secrets are not shown.
pub(super) fn show(invocation: &Invocation, environment: &Environment) -> Result<Vec<Vec<String>>> {
    let settings = settings(invocation, environment, Purpose::Read)?;
    let rows = config::settings_rows(&settings, &places(invocation, environment)?);
    Ok(rows.into_iter().map(Vec::from).collect())
}

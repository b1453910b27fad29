//! Which server, how, and who said so; and where jobs are kept.

use std::path::{Path, PathBuf};

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
            allow_degraded: false,
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

/// The connection of an end of a comparison, to read it. Whatever names a server in the environment or a typed flag is
/// about the first end; the second one is named by `--target-url` or by a profile in front of its name.
pub(super) struct Named<'a> {
    /// The profile in front of the name.
    pub profile: Option<&'a str>,
    /// `--target-url`
    pub target_url: Option<&'a str>,
    /// `--target-api-key-file`
    pub target_key_file: Option<&'a Path>,
}

impl Named<'_> {
    pub fn connect(&self, invocation: &Invocation, environment: &Environment) -> Result<Connected> {
        let mut invocation = invocation.clone();
        let mut environment = environment.clone();
        if self.profile.is_some() || self.target_url.is_some() {
            environment = environment.without_server();
            self.forget_server(&mut invocation);
        }
        let args = &mut invocation.cli.connection;
        if let Some(profile) = self.profile {
            args.profile = Some(profile.to_owned());
        }
        if let Some(url) = self.target_url {
            args.url = Some(url.to_owned());
        }
        if let Some(file) = self.target_key_file {
            args.api_key_file = Some(file.to_owned());
            args.token_file = None;
        }
        connect(&invocation, &environment, Purpose::Read)
    }

    /// A key must not go to a server that it is not for.
    fn forget_server(&self, invocation: &mut Invocation) {
        let is_second = self.target_url.is_some();
        let variables = &mut invocation.variables;
        let args = &mut invocation.cli.connection;
        let mut is_forgotten = |name: &str| variables.remove(name).is_some() || is_second;
        if is_forgotten("url") {
            args.url = None;
        }
        if is_forgotten("grpc-url") {
            args.grpc_url = None;
        }
        if is_forgotten("api-key-file") {
            args.api_key_file = None;
        }
        if is_forgotten("token-file") {
            args.token_file = None;
        }
        if is_forgotten("header") {
            args.headers.clear();
        }
        if is_forgotten("profile") {
            args.profile = None;
        }
        if is_second {
            (args.client_cert, args.client_key) = (None, None);
        }
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

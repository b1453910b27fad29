//! Settings of the connection, each with where it came from: flag > environment > profile > default.
//!
//! What a profile says about the way to its server (keys, headers, certificates, gRPC) is used only with that
//! server: a key is never sent to another host because a flag or a variable changed the address. What it says
//! about caution (`access`, `protect`) always holds. Secrets are read only by [`Settings::connect`].

pub mod address;
pub mod places;
pub mod profile;
mod resolve;
pub mod secrets;
mod show;
mod sources;
mod weaviate_cli;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

pub use resolve::{Request, resolve};
pub use show::{settings_rows, show};

use super::args::globals::Transport;
use super::args::values::Timeouts;
use crate::error::{Error, Kind, Result};
use profile::Access;
use secrets::{Credential, Header};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A flag that was typed, without its hyphens.
    Flag(&'static str),
    /// A variable of the environment.
    Environment(String),
    /// A profile.
    Profile(String),
    /// weaviate-cli's settings.
    WeaviateCli,
    /// It follows from the URL.
    Url,
    /// Nobody said anything.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag(name) => write!(f, "flag --{name}"),
            Origin::Environment(name) => write!(f, "environment {name}"),
            Origin::Profile(name) => write!(f, "profile {name}"),
            Origin::WeaviateCli => f.write_str("weaviate-cli, ~/.config/weaviate/config.json"),
            Origin::Url => f.write_str("from the URL"),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// A value, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Where it came from.
    pub origin: Origin,
}

/// What a command does to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// It changes nothing.
    Read,
    /// It adds something.
    Write,
    /// It may remove or replace something: clear, rm, restore --merge.
    Destroy,
}

/// The settings of one end.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address of REST.
    pub url: Sourced<String>,
    /// The address of gRPC.
    pub grpc_url: Sourced<String>,
    /// The key or the token.
    pub credential: Option<Sourced<Credential>>,
    /// Headers, each name once.
    pub headers: Vec<Sourced<Header>>,
    /// A certificate authority to trust besides the system's.
    pub ca_cert: Option<Sourced<PathBuf>>,
    /// Our certificate.
    pub client_cert: Option<Sourced<PathBuf>>,
    /// Its private key.
    pub client_key: Option<Sourced<PathBuf>>,
    /// True if the server's certificate is not checked.
    pub insecure: Sourced<bool>,
    /// How long a silent server is waited for.
    pub timeouts: Sourced<Timeouts>,
    /// Which protocol moves the objects.
    pub transport: Sourced<Transport>,
    /// The profile in use.
    pub profile: Option<Sourced<String>>,
    /// What the profile allows.
    pub access: Access,
    /// Names that the profile protects.
    pub protect: Vec<String>,
    /// What the user should know, one sentence fragment each.
    pub warnings: Vec<String>,
}

/// All that a client needs, secrets read.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The address of REST, without a slash at its end.
    pub url: String,
    /// The address of gRPC; https means TLS.
    pub grpc_url: String,
    /// What goes as `Authorization: Bearer …`: the API key or the token.
    pub api_key: Option<SecretString>,
    /// The file of the key or the token, to be read again once after a 401.
    pub key_file: Option<PathBuf>,
    /// True if it is an OIDC token, not an API key.
    pub is_token: bool,
    /// Headers of every request.
    pub headers: Vec<(String, SecretString)>,
    /// A certificate authority to trust besides the system's (PEM).
    pub ca_cert: Option<PathBuf>,
    /// Our certificate (PEM).
    pub client_cert: Option<PathBuf>,
    /// Its private key (PEM).
    pub client_key: Option<PathBuf>,
    /// True if the server's certificate is not checked.
    pub insecure: bool,
    /// Until a connection stands.
    pub connect_timeout: Duration,
    /// Without a byte while reading.
    pub read_timeout: Duration,
    /// Without a byte while writing.
    pub write_timeout: Duration,
    /// Which protocol moves the objects.
    pub transport: Transport,
}

impl Settings {
    /// The address with its origin, for plans and prompts: `http://localhost:8080 (default)`.
    pub fn address(&self) -> String {
        format!("{} ({})", self.url.value, self.url.origin)
    }

    /// Refuses a purpose that the profile or the origin of the address does not allow.
    pub fn allow(&self, purpose: Purpose) -> Result<()> {
        if purpose != Purpose::Read && self.access == Access::Read {
            let name = self
                .profile
                .as_ref()
                .map_or("", |profile| profile.value.as_str());
            return Err(
                Error::new(Kind::Usage, format!("profile `{name}` is for reading only"))
                    .with_kept("nothing was touched")
                    .with_hint("choose another profile with --profile"),
            );
        }
        if purpose == Purpose::Destroy && self.url.origin == Origin::WeaviateCli {
            return Err(Error::new(
                Kind::Usage,
                format!("the address `{}` is from weaviate-cli's settings, and nothing is destroyed there", self.url.value),
            )
            .with_kept("nothing was touched")
            .with_hint("name the server with --url or --profile"));
        }
        Ok(())
    }

    /// Reads the secrets. May run the profile's `api_key_command`, which may ask for a passphrase.
    pub fn connect(&self) -> Result<Connection> {
        let credential = self.credential.as_ref().map(|credential| &credential.value);
        let headers = self
            .headers
            .iter()
            .map(|header| Ok((header.value.name.clone(), header.value.read()?)));
        let path = |path: &Option<Sourced<PathBuf>>| path.as_ref().map(|path| path.value.clone());
        Ok(Connection {
            url: self.url.value.clone(),
            grpc_url: self.grpc_url.value.clone(),
            api_key: credential.map(Credential::read).transpose()?,
            key_file: credential.and_then(Credential::file).map(PathBuf::from),
            is_token: matches!(credential, Some(Credential::TokenFile(_))),
            headers: headers.collect::<Result<_>>()?,
            ca_cert: path(&self.ca_cert),
            client_cert: path(&self.client_cert),
            client_key: path(&self.client_key),
            insecure: self.insecure.value,
            connect_timeout: self.timeouts.value.connect,
            read_timeout: self.timeouts.value.read,
            write_timeout: self.timeouts.value.write,
            transport: self.transport.value,
        })
    }
}

#[cfg(test)]
mod tests;

//! What the settings are made from: the profile that is meant, the URL that is given, and who comes last.

use std::collections::BTreeMap;

use super::super::args::Environment;
use super::super::args::globals::ConnectionArgs;
use super::address::Address;
use super::profile::{self, Profile};
use super::sources::Sources;
use super::weaviate_cli::{self, Fallback};
use super::{Origin, Purpose, Settings, Sourced, places};
use crate::error::{Error, Kind, Result};

const DEFAULT_PROFILE: &str = "default";

/// What settings are made from.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The flags.
    pub args: &'a ConnectionArgs,
    /// Which of them came from the environment, by name.
    pub variables: &'a BTreeMap<String, String>,
    /// The environment.
    pub environment: &'a Environment,
    /// What the command does.
    pub purpose: Purpose,
}

/// Decides every setting, and whether the command may use them. Reads config.toml, and weaviate-cli's settings if
/// neither a URL nor a profile is given; no secret is read.
pub fn resolve(request: Request<'_>) -> Result<Settings> {
    let chosen = choose_profile(&request)?;
    let given = given_url(&request)?;
    let fallback = match (&given, &chosen) {
        (None, None) => read_fallback(&request)?,
        _ => None,
    };
    let from = Sources::new(request, given, chosen, fallback)?;
    let settings = from.settings()?;
    settings.allow(request.purpose)?;
    Ok(settings)
}

pub(super) struct Chosen {
    pub(super) name: Sourced<String>,
    pub(super) profile: Profile,
    pub(super) address: Option<Address>,
}

impl Chosen {
    pub(super) fn origin(&self) -> Origin {
        Origin::Profile(self.name.value.clone())
    }
}

impl Request<'_> {
    pub(super) fn flag(&self, name: &'static str) -> Origin {
        match self.variables.get(name) {
            Some(variable) => Origin::Environment(variable.clone()),
            None => Origin::Flag(name),
        }
    }

    pub(super) fn variable(&self, names: &[&str]) -> Option<Sourced<&str>> {
        names.iter().find_map(|name| {
            let value = self.environment.get(name)?;
            Some(Sourced {
                value,
                origin: Origin::Environment((*name).to_owned()),
            })
        })
    }
}

fn choose_profile(request: &Request<'_>) -> Result<Option<Chosen>> {
    let (name, origin) = match &request.args.profile {
        Some(name) => (name.as_str(), request.flag("profile")),
        None => (DEFAULT_PROFILE, Origin::Default),
    };
    let found = match places::config_file(request.environment) {
        Some(path) => profile::read(&path, name, request.environment)?,
        None => (None, Vec::new()),
    };
    match found {
        (Some(profile), _) => {
            let address = profile.url.as_deref().map(Address::parse).transpose()?;
            Ok(Some(Chosen {
                name: Sourced {
                    value: name.to_owned(),
                    origin,
                },
                profile,
                address,
            }))
        }
        (None, _) if origin == Origin::Default => Ok(None),
        (None, names) => Err(no_profile(name, &names, request)),
    }
}

fn no_profile(name: &str, names: &[String], request: &Request<'_>) -> Error {
    let hint = match (places::config_file(request.environment), names.is_empty()) {
        (Some(path), true) => format!(
            "profiles stand in `{}` as `[profile.{name}]`",
            path.display()
        ),
        (Some(path), false) => format!("`{}` has {}", path.display(), names.join(", ")),
        (None, _) => "set XDG_CONFIG_HOME: without it and HOME there is no config.toml".to_owned(),
    };
    Error::new(Kind::Usage, format!("there is no profile `{name}`")).with_hint(hint)
}

fn given_url(request: &Request<'_>) -> Result<Option<Sourced<Address>>> {
    let typed = request.args.url.as_deref().map(|value| Sourced {
        value,
        origin: request.flag("url"),
    });
    typed
        .or_else(|| request.variable(&["WEAVIATE_URL", "WCD_URL"]))
        .map(|url| {
            Ok(Sourced {
                value: Address::parse(url.value)?,
                origin: url.origin,
            })
        })
        .transpose()
}

fn read_fallback(request: &Request<'_>) -> Result<Option<Fallback>> {
    match places::weaviate_cli_file(request.environment) {
        Some(path) => weaviate_cli::read(&path),
        None => Ok(None),
    }
}

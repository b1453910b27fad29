//! Where settings and journals lie, by the XDG rules: an absolute variable, else a folder below the home.

use std::path::{Path, PathBuf};

use super::super::args::Environment;
use super::{Origin, Sourced};
use crate::error::{Error, Kind, Result};

/// Our settings: `$XDG_CONFIG_HOME/elysiactl/config.toml`. `None` without a home.
pub fn config_file(environment: &Environment) -> Option<PathBuf> {
    below(environment, "XDG_CONFIG_HOME", ".config")
        .map(|(folder, _)| folder.join("elysiactl/config.toml"))
}

/// weaviate-cli's settings, which it keeps below the home whatever XDG says.
pub fn weaviate_cli_file(environment: &Environment) -> Option<PathBuf> {
    home(environment).map(|home| home.join(".config/weaviate/config.json"))
}

/// Where jobs are kept: `--state-dir`, else `$XDG_STATE_HOME/elysiactl`, else `~/.local/state/elysiactl`.
pub fn state_dir(
    flag: Option<&Path>,
    flag_origin: Origin,
    environment: &Environment,
) -> Result<Sourced<PathBuf>> {
    if let Some(folder) = flag {
        return Ok(Sourced {
            value: folder.to_owned(),
            origin: flag_origin,
        });
    }
    let (folder, origin) =
        below(environment, "XDG_STATE_HOME", ".local/state").ok_or_else(|| {
            Error::new(
                Kind::Usage,
                "there is no place for the journals: neither HOME nor XDG_STATE_HOME is set",
            )
            .with_hint("pass --state-dir <DIR>, a folder that outlives this run")
        })?;
    Ok(Sourced {
        value: folder.join("elysiactl"),
        origin,
    })
}

/// The home folder; a relative one is none.
pub(super) fn home(environment: &Environment) -> Option<PathBuf> {
    environment
        .get("HOME")
        .map(PathBuf::from)
        .filter(|home| home.is_absolute())
}

// The XDG rules: a relative path is to be ignored.
fn below(environment: &Environment, variable: &str, folder: &str) -> Option<(PathBuf, Origin)> {
    let set = environment
        .get(variable)
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    match set {
        Some(path) => Some((path, Origin::Environment(variable.to_owned()))),
        None => home(environment).map(|home| (home.join(folder), Origin::Default)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(flag: Option<&str>, variables: &[(&str, &str)]) -> Result<(PathBuf, String)> {
        let environment = Environment::of(variables.iter().copied());
        state_dir(flag.map(Path::new), Origin::Flag("state-dir"), &environment)
            .map(|found| (found.value, found.origin.to_string()))
    }

    #[test]
    fn the_state_folder_is_the_flag_then_xdg_then_the_home() {
        let both = [("HOME", "/home/me"), ("XDG_STATE_HOME", "/xdg")];
        assert_eq!(
            state(Some("/flag"), &both).unwrap(),
            ("/flag".into(), "flag --state-dir".into())
        );
        assert_eq!(
            state(None, &both).unwrap(),
            ("/xdg/elysiactl".into(), "environment XDG_STATE_HOME".into())
        );
        let home = state(
            None,
            &[("HOME", "/home/me"), ("XDG_STATE_HOME", "relative")],
        )
        .unwrap();
        assert_eq!(
            home,
            ("/home/me/.local/state/elysiactl".into(), "default".into())
        );
    }

    #[test]
    fn no_home_is_a_clear_error() {
        for variables in [&[][..], &[("HOME", "")], &[("HOME", "relative")]] {
            let error = state(None, variables).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
            assert_eq!(
                error.hint(),
                Some("pass --state-dir <DIR>, a folder that outlives this run")
            );
        }
        assert!(state(Some("x"), &[]).is_ok());
        assert_eq!(config_file(&Environment::default()), None);
    }
}

//! Profiles: `[profile.NAME]` in config.toml. Every key is known, or it is an error.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::super::args::Environment;
use super::places::home;
use crate::error::{Error, IoContext, Kind, Result};

const KEYS: [&str; 11] = [
    "url",
    "grpc_url",
    "api_key_file",
    "api_key_command",
    "token_file",
    "headers",
    "ca_cert",
    "client_cert",
    "client_key",
    "access",
    "protect",
];

/// What a profile allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Everything.
    #[default]
    Write,
    /// Commands that change nothing at the server.
    Read,
}

/// One profile, as written; paths are made absolute from the file's folder or the home.
#[derive(Clone, Default)]
pub struct Profile {
    /// `url`
    pub url: Option<String>,
    /// `grpc_url`
    pub grpc_url: Option<String>,
    /// `api_key_file`
    pub api_key_file: Option<PathBuf>,
    /// `api_key_command`, for `sh -c`
    pub api_key_command: Option<String>,
    /// `token_file`
    pub token_file: Option<PathBuf>,
    /// `headers`: name and value; `@FILE` is read later
    pub headers: Vec<(String, String)>,
    /// `ca_cert`
    pub ca_cert: Option<PathBuf>,
    /// `client_cert`
    pub client_cert: Option<PathBuf>,
    /// `client_key`
    pub client_key: Option<PathBuf>,
    /// `access`
    pub access: Access,
    /// `protect`: globs
    pub protect: Vec<String>,
}

/// Reads the profile `name` of the file at `path`. `None` if there is no such file or no such profile.
/// Every profile of the file is checked, so that a mistake shows before it is needed.
pub fn read(
    path: &Path,
    name: &str,
    environment: &Environment,
) -> Result<(Option<Profile>, Vec<String>)> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok((None, Vec::new()));
        }
        failed => failed.doing(|| format!("cannot read `{}`", path.display()))?,
    };
    let file = File {
        path,
        home: home(environment),
    };
    let mut profiles = file.profiles(&text)?;
    let names = profiles.iter().map(|(name, _)| name.clone()).collect();
    let found = profiles.iter().position(|(found, _)| found == name);
    Ok((found.map(|index| profiles.swap_remove(index).1), names))
}

struct File<'a> {
    path: &'a Path,
    home: Option<PathBuf>,
}

impl File<'_> {
    fn profiles(&self, text: &str) -> Result<Vec<(String, Profile)>> {
        // The message alone: the parser's own text quotes the line, which may hold a header's value.
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error.span().map_or(1, |span| {
                text[..span.start.min(text.len())].matches('\n').count() + 1
            });
            self.wrong(
                format!("line {line} is not TOML"),
                "strings stand in quotes, tables in brackets",
            )
        })?;
        if let Some(key) = table.keys().find(|key| *key != "profile") {
            return Err(self.wrong(
                format!("unknown key `{key}`"),
                "settings stand below `[profile.NAME]`",
            ));
        }
        let Some(profiles) = table.get("profile") else {
            return Ok(Vec::new());
        };
        let profiles = profiles
            .as_table()
            .ok_or_else(|| self.wrong_type("profile", "a table"))?;
        profiles
            .iter()
            .map(|(name, value)| Ok((name.clone(), self.profile(name, value)?)))
            .collect()
    }

    fn profile(&self, name: &str, value: &Value) -> Result<Profile> {
        let table = value
            .as_table()
            .ok_or_else(|| self.wrong_type(name, "a table"))?;
        if let Some(key) = table.keys().find(|key| !KEYS.contains(&key.as_str())) {
            let hint = match key.as_str() {
                "api_key" => "keep the key in a file and name it with `api_key_file`".to_owned(),
                _ => format!("known keys are {}", KEYS.join(", ")),
            };
            return Err(self.wrong(format!("unknown key `{key}` in profile `{name}`"), hint));
        }
        Ok(Profile {
            url: self.text(table, "url")?,
            grpc_url: self.text(table, "grpc_url")?,
            api_key_file: self.file(table, "api_key_file")?,
            api_key_command: self.text(table, "api_key_command")?,
            token_file: self.file(table, "token_file")?,
            headers: self.headers(table)?,
            ca_cert: self.file(table, "ca_cert")?,
            client_cert: self.file(table, "client_cert")?,
            client_key: self.file(table, "client_key")?,
            access: self.access(table)?,
            protect: self.protect(table)?,
        })
    }

    fn text(&self, table: &Table, key: &str) -> Result<Option<String>> {
        match table.get(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(self.wrong_type(key, "a string")),
        }
    }

    fn file(&self, table: &Table, key: &str) -> Result<Option<PathBuf>> {
        Ok(self.text(table, key)?.map(|path| self.absolute(&path)))
    }

    fn absolute(&self, path: &str) -> PathBuf {
        match (path.strip_prefix("~/"), &self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => self.path.parent().unwrap_or(Path::new("")).join(path),
        }
    }

    fn headers(&self, table: &Table) -> Result<Vec<(String, String)>> {
        let Some(value) = table.get("headers") else {
            return Ok(Vec::new());
        };
        let headers = value
            .as_table()
            .ok_or_else(|| self.wrong_type("headers", "a table of strings"))?;
        let pair = |(name, value): (&String, &Value)| match value.as_str() {
            Some(value) => Ok((name.clone(), self.header_value(value))),
            None => Err(self.wrong_type("headers", "a table of strings")),
        };
        headers.iter().map(pair).collect()
    }

    fn header_value(&self, value: &str) -> String {
        match value.strip_prefix('@') {
            Some(path) => format!("@{}", self.absolute(path).display()),
            None => value.to_owned(),
        }
    }

    fn access(&self, table: &Table) -> Result<Access> {
        match self.text(table, "access")?.as_deref() {
            None | Some("write") => Ok(Access::Write),
            Some("read") => Ok(Access::Read),
            Some(other) => Err(self.wrong(
                format!("`access` cannot be `{other}`"),
                "write \"read\" or \"write\"",
            )),
        }
    }

    fn protect(&self, table: &Table) -> Result<Vec<String>> {
        let Some(value) = table.get("protect") else {
            return Ok(Vec::new());
        };
        let wrong = || self.wrong_type("protect", "a list of strings");
        let globs = value.as_array().ok_or_else(wrong)?;
        globs
            .iter()
            .map(|glob| glob.as_str().map(str::to_owned).ok_or_else(wrong))
            .collect()
    }

    fn wrong_type(&self, key: &str, expected: &str) -> Error {
        self.wrong(
            format!("`{key}` must be {expected}"),
            "see `elysiactl config show --help`",
        )
    }

    fn wrong(&self, what: impl std::fmt::Display, hint: impl Into<String>) -> Error {
        Error::new(Kind::Usage, format!("`{}`: {what}", self.path.display())).with_hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str, name: &str) -> Result<(Option<Profile>, Vec<String>)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        read(&path, name, &Environment::of([("HOME", "/home/me")])).map_err(|error| {
            let shown = format!("{}/", folder.path().display());
            Error::new(error.kind(), error.message().replace(&shown, ""))
                .with_hint(error.hint().unwrap_or(""))
        })
    }

    fn refused(text: &str) -> String {
        let error = read_text(text, "x").map(|_| ()).unwrap_err();
        assert_eq!(error.kind(), Kind::Usage);
        error.message().to_owned()
    }

    #[test]
    fn a_whole_profile_is_read() {
        let text = r#"
            [profile.prod]
            url = "https://prod.example.com"
            grpc_url = "https://prod.example.com:50051"
            api_key_file = "~/keys/prod"
            headers = { X-OpenAI-Api-Key = "@/keys/openai", X-Team = "blue" }
            ca_cert = "/etc/ca.pem"
            access = "read"
            protect = ["Prod*", "Users"]
            [profile.dev]
            api_key_command = "pass dev"
        "#;
        let (profile, names) = read_text(text, "prod").unwrap();
        let profile = profile.unwrap();
        assert_eq!(names, ["dev", "prod"]);
        assert_eq!(profile.url.as_deref(), Some("https://prod.example.com"));
        assert_eq!(
            profile.api_key_file.as_deref(),
            Some(Path::new("/home/me/keys/prod"))
        );
        assert_eq!(
            profile.headers[0],
            ("X-OpenAI-Api-Key".into(), "@/keys/openai".into())
        );
        assert_eq!((profile.access, profile.protect.len()), (Access::Read, 2));
        assert!(read_text(text, "none").unwrap().0.is_none());
    }

    #[test]
    fn mistakes_are_named_without_values() {
        assert_eq!(
            refused("[profile.a]\nulr = \"x\""),
            "`config.toml`: unknown key `ulr` in profile `a`"
        );
        assert_eq!(
            refused("[profile.a]\napi_key = \"secret\""),
            "`config.toml`: unknown key `api_key` in profile `a`"
        );
        assert_eq!(refused("url = \"x\""), "`config.toml`: unknown key `url`");
        assert_eq!(
            refused("[profile.a]\nurl = 5"),
            "`config.toml`: `url` must be a string"
        );
        assert_eq!(
            refused("[profile.a]\nprotect = \"A\""),
            "`config.toml`: `protect` must be a list of strings"
        );
        assert_eq!(
            refused("[profile.a]\naccess = \"all\""),
            "`config.toml`: `access` cannot be `all`"
        );
        assert_eq!(
            refused("[profile.a]\n\nheaders = { X = secret }"),
            "`config.toml`: line 3 is not TOML"
        );
    }

    #[test]
    fn no_file_is_no_profile() {
        let (profile, names) = read(
            Path::new("/nonexistent/x.toml"),
            "a",
            &Environment::default(),
        )
        .unwrap();
        assert!(profile.is_none() && names.is_empty());
    }
}

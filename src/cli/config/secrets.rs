//! Keys and header values: where they are, and reading them when they are needed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use secrecy::{ExposeSecret, SecretString};

use crate::error::{Error, IoContext, Kind, Result};

/// Where the bearer of the `Authorization` header is.
#[derive(Clone, Debug)]
pub enum Credential {
    /// An API key in a file.
    KeyFile(PathBuf),
    /// A token (OIDC) in a file.
    TokenFile(PathBuf),
    /// A command that prints the key; run by `sh -c`. Its words may hold a secret of their own.
    Command(SecretString),
    /// The key itself, from the environment or from weaviate-cli.
    Key(SecretString),
}

impl Credential {
    /// Reads it. A file is read as it is now: ask again after a 401.
    pub fn read(&self) -> Result<SecretString> {
        match self {
            Credential::KeyFile(path) => read_file(path, "API key"),
            Credential::TokenFile(path) => read_file(path, "token"),
            Credential::Command(command) => run(command.expose_secret()),
            Credential::Key(key) => Ok(key.clone()),
        }
    }

    /// The file to read again after a 401.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Credential::KeyFile(path) | Credential::TokenFile(path) => Some(path),
            Credential::Command(_) | Credential::Key(_) => None,
        }
    }
}

/// A header that goes with every request.
#[derive(Clone, Debug)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value, or `@` and the file that holds it.
    pub value: SecretString,
}

impl Header {
    /// Checks the name and, as far as it is known, the value; a mistake is told without the value.
    pub fn new(name: &str, value: &str) -> Result<Self> {
        let is_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(Error::new(Kind::Usage, "a header has no usable name")
                .with_hint("write --header 'X-Name=@FILE'"));
        }
        if name.eq_ignore_ascii_case("authorization") {
            return Err(Error::new(
                Kind::Usage,
                "the header `Authorization` is made from the key",
            )
            .with_hint("pass --api-key-file or --token-file"));
        }
        Ok(Header {
            name: name.to_owned(),
            value: checked(name, value)?,
        })
    }

    /// Reads `NAME=VALUE` or `NAME=@FILE`.
    pub fn parse(typed: &SecretString) -> Result<Self> {
        let typed = typed.expose_secret();
        let (name, value) = typed.split_once('=').unwrap_or(("", ""));
        Header::new(name.trim(), value.trim())
    }

    /// The value; a file is read now.
    pub fn read(&self) -> Result<SecretString> {
        match self.value.expose_secret().strip_prefix('@') {
            Some(path) => {
                let value = read_file(Path::new(path), &format!("header `{}`", self.name))?;
                checked(&self.name, value.expose_secret())
            }
            None => Ok(self.value.clone()),
        }
    }
}

fn checked(name: &str, value: &str) -> Result<SecretString> {
    match value.chars().any(char::is_control) {
        true => Err(Error::new(
            Kind::Usage,
            format!("the value of header `{name}` has control characters"),
        )),
        false => Ok(SecretString::from(value)),
    }
}

fn read_file(path: &Path, what: &str) -> Result<SecretString> {
    let text = std::fs::read_to_string(path)
        .doing(|| format!("cannot read the {what} from `{}`", path.display()))
        .map_err(|error| error.with_kind(Kind::Usage))?;
    not_empty(&text, || {
        format!(
            "`{}` is empty, and the {what} should be in it",
            path.display()
        )
    })
}

fn run(command: &str) -> Result<SecretString> {
    // Its stdin and stderr stay ours: it may ask for a passphrase.
    let output = Command::new("sh")
        .args(["-c", command])
        .stderr(Stdio::inherit())
        .stdin(Stdio::inherit())
        .output()
        .doing(|| "cannot run `api_key_command`".to_owned())?;
    if !output.status.success() {
        return Err(Error::new(
            Kind::Usage,
            format!("`api_key_command` failed: {}", output.status),
        )
        .with_hint("run the command of the profile by hand"));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    not_empty(&text, || "`api_key_command` printed nothing".to_owned())
}

fn not_empty(text: &str, message: impl FnOnce() -> String) -> Result<SecretString> {
    match text.trim() {
        "" => Err(Error::new(Kind::Usage, message())),
        key => Ok(SecretString::from(key)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_read_anew_each_time() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let credential = Credential::KeyFile(file.path().to_owned());
        for key in ["first", "second"] {
            std::fs::write(file.path(), format!("{key}\n")).unwrap();
            assert_eq!(credential.read().unwrap().expose_secret(), key);
        }
        std::fs::write(file.path(), "\n").unwrap();
        assert_eq!(credential.read().unwrap_err().kind(), Kind::Usage);
        let missing = Credential::KeyFile("/nonexistent/key".into())
            .read()
            .unwrap_err();
        assert_eq!(
            missing.message(),
            "cannot read the API key from `/nonexistent/key`: no such file or directory"
        );
    }

    #[test]
    fn a_command_prints_the_key_or_fails() {
        let read = |command: &str| Credential::Command(command.into()).read();
        assert_eq!(read("echo s3cret").unwrap().expose_secret(), "s3cret");
        assert_eq!(
            read("true").unwrap_err().message(),
            "`api_key_command` printed nothing"
        );
        assert_eq!(
            read("exit 3").unwrap_err().message(),
            "`api_key_command` failed: exit status: 3"
        );
    }

    #[test]
    fn a_header_is_checked_and_never_shown() {
        let parse = |text: &str| Header::parse(&SecretString::from(text));
        let header = parse("X-Key=a=b").unwrap();
        assert_eq!(
            (header.name.as_str(), header.read().unwrap().expose_secret()),
            ("X-Key", "a=b")
        );
        assert!(!format!("{header:?}").contains("a=b"));
        for bad in [
            "secret",
            "=secret",
            "X Y=secret",
            "X=sec\nret",
            "authorization=Bearer secret",
        ] {
            let error = parse(bad).unwrap_err();
            assert!(!format!("{error:?}").contains("secret"), "{error:?}");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "from file\n").unwrap();
        let header = parse(&format!("X-Key=@{}", file.path().display())).unwrap();
        assert_eq!(header.read().unwrap().expose_secret(), "from file");
    }
}

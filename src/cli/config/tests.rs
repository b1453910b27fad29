//! Precedence, origins, and who may know a key.

use std::ffi::OsString;

use secrecy::ExposeSecret;

use super::super::args::{Environment, Invocation, parse};
use super::*;

/// A home with settings in it.
struct Home(tempfile::TempDir);

impl Home {
    fn new(config: &str, weaviate_cli: Option<&str>) -> Self {
        let home = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = home.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(".config/elysiactl/config.toml", config);
        if let Some(text) = weaviate_cli {
            write(".config/weaviate/config.json", text);
        }
        Home(home)
    }

    fn resolve(
        &self,
        flags: &str,
        variables: &[(&str, &str)],
        purpose: Purpose,
    ) -> Result<Settings> {
        let home = self.0.path().to_str().unwrap();
        let environment = Environment::of(variables.iter().copied().chain([("HOME", home)]));
        let words = ["elysiactl", "health"]
            .into_iter()
            .chain(flags.split_whitespace())
            .map(OsString::from);
        let Invocation { cli, variables } = parse(words, &environment).unwrap();
        resolve(Request {
            args: &cli.connection,
            variables: &variables,
            environment: &environment,
            purpose,
        })
    }

    fn read(&self, flags: &str, variables: &[(&str, &str)]) -> Settings {
        self.resolve(flags, variables, Purpose::Read).unwrap()
    }
}

const PROD: &str = "[profile.prod]\nurl = \"https://prod.example.com\"\napi_key_command = \"echo prodkey\"\n\
                    headers = { X-Team = \"blue\" }\nprotect = [\"Users\"]\n";

fn url_of(settings: &Settings) -> (String, String) {
    (settings.url.value.clone(), settings.url.origin.to_string())
}

fn pair(value: &str, origin: &str) -> (String, String) {
    (value.to_owned(), origin.to_owned())
}

#[test]
fn flag_beats_environment_beats_profile_beats_default() {
    let home = Home::new(PROD, None);
    let environment = [
        ("WEAVIATE_URL", "http://env:8080/"),
        ("WCD_URL", "http://wcd:8080"),
    ];
    let own = [
        ("ELYSIACTL_URL", "http://own:8080"),
        ("WEAVIATE_URL", "http://env:8080"),
    ];
    for (flags, variables, expected) in [
        (
            "--url http://flag:8080 -P prod",
            &environment[..],
            pair("http://flag:8080", "flag --url"),
        ),
        (
            "-P prod",
            &own[..],
            pair("http://own:8080", "environment ELYSIACTL_URL"),
        ),
        (
            "-P prod",
            &environment[..],
            pair("http://env:8080", "environment WEAVIATE_URL"),
        ),
        (
            "-P prod",
            &environment[1..],
            pair("http://wcd:8080", "environment WCD_URL"),
        ),
        (
            "-P prod",
            &[][..],
            pair("https://prod.example.com", "profile prod"),
        ),
        ("", &[][..], pair("http://localhost:8080", "default")),
    ] {
        assert_eq!(url_of(&home.read(flags, variables)), expected, "{flags}");
    }
}

#[test]
fn the_address_of_grpc_has_its_own_precedence() {
    let home = Home::new(
        "[profile.p]\nurl = \"http://p:8080\"\ngrpc_url = \"http://p:9000\"\n",
        None,
    );
    let host = ("WEAVIATE_GRPC_HOST", "g");
    let port = ("WEAVIATE_GRPC_PORT", "9");
    let url = ("WEAVIATE_GRPC_URL", "http://u:1");
    for (flags, variables, expected) in [
        (
            "--grpc-url http://f:1",
            &[url, host][..],
            pair("http://f:1", "flag --grpc-url"),
        ),
        (
            "-P p",
            &[url, host, port][..],
            pair("http://u:1", "environment WEAVIATE_GRPC_URL"),
        ),
        (
            "-P p",
            &[host, port][..],
            pair("http://g:9", "environment WEAVIATE_GRPC_HOST"),
        ),
        (
            "-P p",
            &[host][..],
            pair("http://g:50051", "environment WEAVIATE_GRPC_HOST"),
        ),
        (
            "-P p",
            &[port][..],
            pair("http://p:9", "environment WEAVIATE_GRPC_PORT"),
        ),
        ("-P p", &[][..], pair("http://p:9000", "profile p")),
        ("", &[][..], pair("http://localhost:50051", "from the URL")),
    ] {
        let found = home.read(flags, variables).grpc_url;
        assert_eq!(
            (found.value, found.origin.to_string()),
            expected,
            "{flags} {variables:?}"
        );
    }
}

#[test]
fn the_key_follows_the_same_precedence() {
    let home = Home::new(PROD, None);
    let key = |flags: &str, variables: &[(&str, &str)]| {
        let settings = home.read(flags, variables);
        let origin = settings
            .credential
            .as_ref()
            .map(|credential| credential.origin.to_string());
        let connection = settings.connect().unwrap();
        (
            connection.api_key.map(|key| key.expose_secret().to_owned()),
            origin.unwrap_or_default(),
        )
    };
    let both = [("WEAVIATE_API_KEY", " envkey\n"), ("WCD_API_KEY", "wcdkey")];
    assert_eq!(
        key("-P prod", &both),
        (Some("envkey".into()), "environment WEAVIATE_API_KEY".into())
    );
    assert_eq!(
        key("-P prod", &both[1..]),
        (Some("wcdkey".into()), "environment WCD_API_KEY".into())
    );
    assert_eq!(
        key("-P prod", &[]),
        (Some("prodkey".into()), "profile prod".into())
    );
    assert_eq!(key("", &[]), (None, String::new()));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "filekey\n").unwrap();
    let path = file.path().to_str().unwrap();
    let flags = format!("-P prod --api-key-file {path}");
    assert_eq!(
        key(&flags, &both),
        (Some("filekey".into()), "flag --api-key-file".into())
    );
    let connection = home.read(&flags, &[]).connect().unwrap();
    assert_eq!(
        (connection.key_file.as_deref(), connection.is_token),
        (Some(file.path()), false)
    );
    let connection = home
        .read(&format!("--token-file {path}"), &both)
        .connect()
        .unwrap();
    assert!(connection.is_token && connection.api_key.unwrap().expose_secret() == "filekey");
}

#[test]
fn a_profiles_key_is_never_sent_to_another_server() {
    let home = Home::new(PROD, None);
    let elsewhere = home.read("-P prod --url http://evil:8080", &[]);
    assert!(elsewhere.credential.is_none() && elsewhere.headers.is_empty());
    assert_eq!(elsewhere.protect, ["Users"]);
    assert_eq!(
        elsewhere.warnings,
        [
            "profile `prod` is for https://prod.example.com; its keys, headers and certificates are not used with \
          http://evil:8080 (flag --url)"
        ]
    );
    let same = home.read(
        "-P prod",
        &[("WEAVIATE_URL", "https://prod.example.com:443/")],
    );
    assert!(same.credential.is_some() && same.warnings.is_empty());
}

#[test]
fn headers_of_flags_replace_those_of_the_profile() {
    let home = Home::new(PROD, None);
    let names = |settings: Settings| -> Vec<(String, String)> {
        settings
            .headers
            .iter()
            .map(|header| pair(&header.value.name, &header.origin.to_string()))
            .collect()
    };
    assert_eq!(
        names(home.read("-P prod", &[])),
        [pair("X-Team", "profile prod")]
    );
    let replaced = home.read("-P prod --header x-team=red --header X-Key=k", &[]);
    assert_eq!(
        names(replaced.clone()),
        [
            pair("x-team", "flag --header"),
            pair("X-Key", "flag --header")
        ]
    );
    assert_eq!(
        replaced.connect().unwrap().headers[0].1.expose_secret(),
        "red"
    );
}

#[test]
fn a_profile_called_default_needs_no_flag_and_a_missing_one_is_named() {
    let home = Home::new(
        "[profile.default]\nurl = \"http://d:1\"\n[profile.x]\n",
        None,
    );
    let settings = home.read("", &[]);
    assert_eq!(url_of(&settings), pair("http://d:1", "profile default"));
    assert!(home.read("--url http://e:1", &[]).warnings.is_empty());
    let error = home
        .resolve("", &[("ELYSIACTL_PROFILE", "prd")], Purpose::Read)
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (Kind::Usage, "there is no profile `prd`")
    );
    assert!(
        error
            .hint()
            .unwrap()
            .ends_with("/.config/elysiactl/config.toml` has default, x")
    );
}

#[test]
fn a_profile_for_reading_refuses_to_write() {
    let home = Home::new("[profile.r]\naccess = \"read\"\n", None);
    assert!(home.resolve("-P r", &[], Purpose::Read).is_ok());
    for purpose in [Purpose::Write, Purpose::Destroy] {
        let error = home
            .resolve("-P r --url http://elsewhere", &[], purpose)
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.message()),
            (Kind::Usage, "profile `r` is for reading only")
        );
    }
}

#[test]
fn weaviate_clis_settings_are_the_last_resort_and_never_for_destruction() {
    let file = r#"{"host":"abc.weaviate.cloud","auth":{"type":"api_key","api_key":"clikey"}}"#;
    let home = Home::new("", Some(file));
    let settings = home.read("", &[]);
    assert_eq!(
        url_of(&settings),
        pair(
            "https://abc.weaviate.cloud",
            "weaviate-cli, ~/.config/weaviate/config.json"
        )
    );
    assert_eq!(
        settings.grpc_url.value,
        "https://grpc-abc.weaviate.cloud:443"
    );
    assert_eq!(
        settings.connect().unwrap().api_key.unwrap().expose_secret(),
        "clikey"
    );
    let error = home.resolve("", &[], Purpose::Destroy).unwrap_err();
    assert_eq!(
        error.message(),
        "the address `https://abc.weaviate.cloud` is from weaviate-cli's settings, and nothing is destroyed there"
    );
    let elsewhere = home
        .resolve("--url http://localhost:8080", &[], Purpose::Destroy)
        .unwrap();
    assert!(elsewhere.credential.is_none());
}

#[test]
fn half_a_client_certificate_is_refused_and_no_check_is_warned_about() {
    let home = Home::new("", None);
    assert_eq!(
        home.resolve("--client-cert c", &[], Purpose::Read)
            .unwrap_err()
            .kind(),
        Kind::Usage
    );
    assert!(
        home.resolve("--client-cert c --client-key k", &[], Purpose::Read)
            .is_ok()
    );
    assert_eq!(home.read("--insecure-skip-verify", &[]).warnings.len(), 1);
}

#[test]
fn show_names_every_origin_and_no_secret() {
    let config = "[profile.p]\nurl = \"https://p.example.com\"\napi_key_command = \"echo hidden\"\naccess = \"read\"\n\
                  headers = { X-Key = \"hidden\" }\nca_cert = \"/etc/ca.pem\"\nprotect = [\"A\", \"B*\"]\n";
    let settings =
        Home::new(config, None).read("-P p --timeout 60s", &[("ELYSIACTL_TRANSPORT", "rest")]);
    let state = Sourced {
        value: "/state".into(),
        origin: Origin::Default,
    };
    let text = show(&settings, &state);
    let expected = "\
        setting               value                                 origin\n\
        url                   https://p.example.com                 profile p\n\
        grpc-url              https://p.example.com:50051           from the URL\n\
        api-key               (set)                                 profile p\n\
        header X-Key          (set)                                 profile p\n\
        ca-cert               /etc/ca.pem                           profile p\n\
        insecure-skip-verify  no                                    default\n\
        timeout               connect 10s, read 1m 00s, write 1m 00s  flag --timeout\n\
        transport             rest                                  environment ELYSIACTL_TRANSPORT\n\
        profile               p                                     flag --profile\n\
        access                read                                  profile p\n\
        protect               A, B*                                 profile p\n\
        state-dir             /state                                default";
    let words = |text: &str| -> Vec<Vec<String>> {
        text.lines()
            .map(|line| line.split_whitespace().map(str::to_owned).collect())
            .collect()
    };
    assert_eq!(words(&text), words(expected), "{text}");
    assert!(!format!("{settings:?}").contains("hidden"), "{settings:?}");
}

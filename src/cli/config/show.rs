//! `config show`: each value with its origin; of a secret only that it is set.

use std::path::PathBuf;

use super::super::numbers;
use super::super::render::render_table;
use super::profile::Access;
use super::secrets::Credential;
use super::{Origin, Settings, Sourced};

/// Setting, value, origin: one row each.
pub fn settings_rows(settings: &Settings, state_dir: &Sourced<PathBuf>) -> Vec<[String; 3]> {
    let mut rows = vec![
        row("url", &settings.url.value, &settings.url.origin),
        row(
            "grpc-url",
            &settings.grpc_url.value,
            &settings.grpc_url.origin,
        ),
        credential(settings),
    ];
    for header in &settings.headers {
        rows.push(row(
            &format!("header {}", header.value.name),
            "(set)",
            &header.origin,
        ));
    }
    for (name, path) in [
        ("ca-cert", &settings.ca_cert),
        ("client-cert", &settings.client_cert),
        ("client-key", &settings.client_key),
    ] {
        rows.extend(
            path.as_ref()
                .map(|path| row(name, &path.value.display().to_string(), &path.origin)),
        );
    }
    rows.push(row(
        "insecure-skip-verify",
        yes(settings.insecure.value),
        &settings.insecure.origin,
    ));
    rows.push(row(
        "timeout",
        &timeouts(settings),
        &settings.timeouts.origin,
    ));
    let transport = format!("{:?}", settings.transport.value).to_lowercase();
    rows.push(row("transport", &transport, &settings.transport.origin));
    rows.extend(caution(settings));
    rows.push(row(
        "state-dir",
        &state_dir.value.display().to_string(),
        &state_dir.origin,
    ));
    rows
}

/// The rows as a table.
pub fn show(settings: &Settings, state_dir: &Sourced<PathBuf>) -> String {
    let rows = settings_rows(settings, state_dir)
        .into_iter()
        .map(Vec::from);
    render_table(&["setting", "value", "origin"], rows, &[])
}

fn row(name: &str, value: &str, origin: &Origin) -> [String; 3] {
    [name.to_owned(), value.to_owned(), origin.to_string()]
}

fn yes(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

fn credential(settings: &Settings) -> [String; 3] {
    let Some(credential) = &settings.credential else {
        return row("api-key", "(not set)", &Origin::Default);
    };
    // A file's name is no secret; a command may hold one.
    let (name, value) = match &credential.value {
        Credential::KeyFile(path) => ("api-key-file", path.display().to_string()),
        Credential::TokenFile(path) => ("token-file", path.display().to_string()),
        Credential::Command(_) | Credential::Key(_) => ("api-key", "(set)".to_owned()),
    };
    row(name, &value, &credential.origin)
}

fn timeouts(settings: &Settings) -> String {
    let timeouts = settings.timeouts.value;
    format!(
        "connect {}, read {}, write {}",
        numbers::duration(timeouts.connect),
        numbers::duration(timeouts.read),
        numbers::duration(timeouts.write)
    )
}

fn caution(settings: &Settings) -> Vec<[String; 3]> {
    let Some(profile) = &settings.profile else {
        return vec![row("profile", "(none)", &Origin::Default)];
    };
    let origin = Origin::Profile(profile.value.clone());
    let access = match settings.access {
        Access::Read => "read",
        Access::Write => "write",
    };
    let mut rows = vec![
        row("profile", &profile.value, &profile.origin),
        row("access", access, &origin),
    ];
    if !settings.protect.is_empty() {
        rows.push(row("protect", &settings.protect.join(", "), &origin));
    }
    rows
}

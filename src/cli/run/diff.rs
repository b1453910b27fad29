//! `col diff`, and how a comparison is shown.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::super::args::diff::DiffArgs;
use super::super::args::restore::VerifyArgs;
use super::super::exit::ExitCode;
use super::super::numbers;
use super::super::render::clean;
use super::connect::Named;
use super::{Done, Run};
use crate::archive::Archive;
use crate::commands::{self, Comparison, DiffRequest, Difference, End};
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Reporter};
use crate::format::Part;
use crate::model::CollectionName;
use crate::retry::Policy;

pub(super) async fn diff(run: &Run, args: &DiffArgs) -> Result<Done> {
    let request = request(run, args)?;
    let mut session = run.looking_session()?;
    session.policy.patience = args.patience();
    let found = commands::diff(&session, &request).await?;
    let code = found.exit_code();
    run.show_comparison(&found, code)?;
    Ok(Done {
        code: ExitCode(code),
        ..Done::default()
    })
}

/// So many differences are shown by a verification.
const SHOWN: usize = 20;

/// `col verify FILE --live [NAME]`, once the archive is known to be whole.
pub(super) async fn verify_live(run: &Run, args: &VerifyArgs, name: Option<&str>) -> Result<Done> {
    let path = Path::new(&args.file);
    let name = match name {
        Some(name) => name.to_owned(),
        None => Archive::open(path)?.header().collection.to_string(),
    };
    let live = end(run, &name, OF_FIRST)?;
    if let End::Archive(_) = live {
        return Err(
            Error::new(Kind::Usage, format!("`{name}` is not a collection"))
                .with_hint("`elysiactl col diff` compares two archives"),
        );
    }
    let mut session = run.looking_session()?;
    session.policy.patience = match args.retry_for {
        None => Policy::default().patience,
        Some(patience) => (!patience.is_zero()).then_some(patience),
    };
    let skip = args.skip_inactive;
    let found = commands::verify_live(&session, path, &live, skip, SHOWN).await?;
    let code = found.exit_code();
    run.show_comparison(&found, code)?;
    Ok(Done {
        code: ExitCode(code),
        ..Done::default()
    })
}

const OF_FIRST: Named<'static> = Named {
    profile: None,
    target_url: None,
    target_key_file: None,
};

fn request(run: &Run, args: &DiffArgs) -> Result<DiffRequest> {
    let of_second = Named {
        target_url: args.target_url.as_deref(),
        target_key_file: args.target_api_key_file.as_deref(),
        ..OF_FIRST
    };
    let is_target_named = args.target_url.is_some() || args.target_api_key_file.is_some();
    if is_target_named && path_of(&args.two).is_some() {
        return Err(Error::new(
            Kind::Usage,
            format!("`{}` is an archive: it has no server", args.two),
        )
        .with_hint("leave --target-url and --target-api-key-file out"));
    }
    Ok(DiffRequest {
        one: end(run, &args.one, OF_FIRST)?,
        two: end(run, &args.two, of_second)?,
        limit: args.limit as usize,
        skip_inactive: args.skip_inactive,
    })
}

/// The path, if an end is written as one.
fn path_of(end: &str) -> Option<&str> {
    match end.strip_prefix("file:") {
        Some(path) => Some(path.strip_prefix("//").unwrap_or(path)),
        None => end.contains('/').then_some(end),
    }
}

fn end(run: &Run, text: &str, named: Named<'_>) -> Result<End> {
    let is_remote = |scheme: &&&str| text.starts_with(**scheme);
    if let Some(scheme) = ["s3://", "gs://", "az://"].iter().find(is_remote) {
        return Err(Error::new(
            Kind::Usage,
            format!("this version does not read archives from `{scheme}`"),
        ));
    }
    if let Some(path) = path_of(text) {
        return Ok(End::Archive(PathBuf::from(path)));
    }
    let (profile, name) = match text.split_once(':') {
        Some((profile, name)) => (Some(profile), name),
        None => (None, text),
    };
    let name = CollectionName::parse(name).map_err(|error| {
        error.with_hint(format!(
            "an end is [PROFILE:]COLLECTION; an archive is written with a `/`: ./{text}"
        ))
    })?;
    let connected = Named { profile, ..named }.connect(&run.invocation, &run.environment)?;
    for warning in &connected.warnings {
        run.screen.event(&Event::Warning(warning));
    }
    Ok(End::Collection {
        connection: Box::new(connected.connection),
        name,
    })
}

impl Run {
    /// The differences, then how many there are. A run that is quiet and ends well shows nothing.
    pub(super) fn show_comparison(&self, found: &Comparison, code: u8) -> Result<()> {
        for note in &found.notes {
            self.screen.event(&Event::Note(note));
        }
        for what in &found.left_out {
            let left_out = format!("not compared: {what}");
            self.screen.event(&Event::Warning(&left_out));
        }
        let output = &self.invocation.cli.output;
        if output.quiet && !output.json && code == ExitCode::DONE.0 {
            return Ok(());
        }
        for difference in &found.shown {
            self.screen.data_of(
                "difference",
                || clean(&difference.to_string()),
                members(difference),
            )?;
        }
        let fields = fields(found, code);
        let text = || super::super::render::render_fields(&fields);
        self.screen.data_of("comparison", text, totals(found, code))
    }
}

fn members(difference: &Difference) -> Value {
    match difference {
        Difference::Setting { detail } => json!({"what": "setting", "detail": detail}),
        Difference::Alias { name, change } => {
            json!({"what": "alias", "name": name, "change": change.name()})
        }
        Difference::Tenant { name, one, two } => {
            json!({"what": "tenant", "name": name, "one": one, "two": two})
        }
        Difference::Object {
            key,
            change,
            parts,
            part_count,
        } => json!({
            "what": "object", "id": key.id.to_string(), "tenant": key.tenant.name(), "change": change.name(),
            "parts": parts.iter().map(part_members).collect::<Vec<Value>>(), "part_count": part_count,
        }),
    }
}

fn part_members(part: &Part) -> Value {
    match part {
        Part::Property { name, one, two } => json!({"property": name, "one": one, "two": two}),
        Part::VectorForm { name, one, two } => json!({"vector": name, "one": one, "two": two}),
        Part::VectorNumber {
            name,
            index,
            one,
            two,
        } => json!({
            "vector": name, "index": index,
            "one": f32::from_bits(*one), "two": f32::from_bits(*two), "one_bits": one, "two_bits": two,
        }),
    }
}

fn verdict(code: u8) -> &'static str {
    match code {
        0 => "identical",
        13 => "different",
        _ => "not shown to be identical",
    }
}

fn fields(found: &Comparison, code: u8) -> Vec<(String, String)> {
    let counts = &found.counts;
    let mut fields = vec![
        ("one".to_owned(), found.one.title.clone()),
        ("other".to_owned(), found.two.title.clone()),
        (
            "objects of one".to_owned(),
            numbers::count(found.one.objects),
        ),
        (
            "objects of other".to_owned(),
            numbers::count(found.two.objects),
        ),
    ];
    let counted = [
        ("settings that differ", counts.settings),
        ("aliases that differ", counts.aliases),
        ("tenants that differ", counts.tenants),
        ("objects only in one", counts.missing),
        ("objects only in other", counts.extra),
        ("objects that differ", counts.different),
        ("objects repeated", counts.repeated),
        ("objects unreadable", counts.unreadable),
    ];
    let explained = counts.explained.iter().map(|(why, count)| (*why, *count));
    for (name, count) in counted.into_iter().chain(explained) {
        if count > 0 {
            fields.push((name.to_owned(), numbers::count(count)));
        }
    }
    if code == 0 {
        fields.push(("digest".to_owned(), found.one.digest.to_string()));
    }
    fields.push(("verdict".to_owned(), verdict(code).to_owned()));
    fields
}

fn totals(found: &Comparison, code: u8) -> Value {
    let counts = &found.counts;
    let end = |end: &commands::EndTally| json!({"title": end.title, "objects": end.objects, "digest": end.digest.to_string()});
    json!({
        "one": end(&found.one), "two": end(&found.two), "verdict": verdict(code),
        "differences": counts.differences(), "shown": found.shown.len(),
        "settings": counts.settings, "aliases": counts.aliases, "tenants": counts.tenants,
        "missing": counts.missing, "extra": counts.extra, "different": counts.different,
        "repeated": counts.repeated, "unreadable": counts.unreadable, "explained": counts.explained,
        "left_out": found.left_out, "notes": found.notes,
    })
}

//! `col …`.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::super::args::backup::{BackupArgs, Compression, Format as FormatArg};
use super::super::args::collections::{
    ClearArgs, ClearMethod as MethodArg, ColCommand, CreateArgs, LsArgs, RmArgs, ShowArgs,
};
use super::super::args::restore::VerifyArgs;
use super::super::config::Purpose;
use super::super::exit::ExitCode;
use super::super::numbers;
use super::super::protect::{matches_glob, refuse_protected};
use super::several::Several;
use super::{Done, Run, diff, restore};
use crate::archive::Format;
use crate::commands::{
    self, BackupRequest, ClearMethod, ClearRequest, Inactive, Session, Unfinished,
};
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Reporter};
use crate::format::Codec;
use crate::model::CollectionName;
use crate::weaviate::Connection;

pub(super) async fn run(run: &Run, command: &ColCommand) -> Result<Done> {
    match command {
        ColCommand::Ls(args) => list(run, args).await,
        ColCommand::Show(args) => show(run, args).await,
        ColCommand::Create(args) => create(run, args).await,
        ColCommand::Rm(args) => remove(run, args).await,
        ColCommand::Backup(args) => backup(run, args).await,
        ColCommand::Restore(args) => restore::run(run, args).await,
        ColCommand::Clear(args) => clear(run, args).await,
        ColCommand::Verify(args) => verify(run, args).await,
        ColCommand::Diff(args) => diff::diff(run, args).await,
    }
}

async fn backup(run: &Run, args: &BackupArgs) -> Result<Done> {
    let mut connection = run.connect(Purpose::Read)?.connection;
    connection.allow_degraded = args.tuning.allow_degraded;
    let mut session = run.session(&args.tuning, &args.resume)?;
    session.resume_within = args.resume_within;
    let names = choose(&session, &connection, args).await?;
    let (format, codec) = layout(args)?;
    let mut all = Several::default();
    for name in &names {
        let request = BackupRequest {
            connection: connection.clone(),
            collection: name.clone(),
            group: if names.len() > 1 {
                names.clone()
            } else {
                Vec::new()
            },
            destination: PathBuf::from(&args.output),
            format,
            codec,
            with_data: !args.schema_only,
            verify: args.verify,
            with_vectors: !args.skip_vectors,
            tenants: args.tenants.clone(),
            inactive: match (args.activate_tenants, args.skip_inactive) {
                (true, _) => Inactive::Wake,
                (false, true) => Inactive::LeaveOut,
                (false, false) => Inactive::Refuse,
            },
        };
        let outcome = commands::backup(&session, &request).await;
        if !all.goes_on(run, name.as_str(), outcome, args.fail_fast) {
            break;
        }
    }
    Ok(all.done())
}

fn layout(args: &BackupArgs) -> Result<(Format, Codec)> {
    let format = match args.chosen_format()? {
        FormatArg::Json => Format::Json,
        FormatArg::Jsonl => Format::Jsonl,
        FormatArg::Parquet => {
            return Err(Error::new(
                Kind::Usage,
                "this version does not write parquet yet",
            ));
        }
    };
    let codec = match args.chosen_compression()? {
        Compression::None => Codec::None,
        Compression::Gzip => Codec::Gzip,
        Compression::Zstd => Codec::Zstd,
        Compression::Lz4 => Codec::Lz4,
    };
    Ok((format, codec))
}

/// The collections that were named, or match, less those that are excluded.
async fn choose(
    session: &Session,
    connection: &Connection,
    args: &BackupArgs,
) -> Result<Vec<CollectionName>> {
    let is_pattern = |name: &String| name.contains(['*', '?']);
    let needs_list = args.all || args.names.iter().any(is_pattern);
    let there = if needs_list {
        commands::list_collections(session, connection).await?
    } else {
        Vec::new()
    };
    let mut names: Vec<CollectionName> = Vec::new();
    for wanted in &args.names {
        let matching: Vec<CollectionName> = match is_pattern(wanted) {
            true => there
                .iter()
                .map(|row| row.name.clone())
                .filter(|name| matches_glob(wanted, name.as_str()))
                .collect(),
            false => vec![CollectionName::parse(wanted)?],
        };
        if matching.is_empty() {
            return Err(
                Error::new(Kind::NotFound, format!("no collection matches `{wanted}`"))
                    .with_hint("`elysiactl col ls` lists them"),
            );
        }
        names.extend(matching);
    }
    if args.all {
        names.extend(there.iter().map(|row| row.name.clone()));
    }
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| {
        seen.insert(name.clone())
            && !args
                .exclude
                .iter()
                .any(|pattern| matches_glob(pattern, name.as_str()))
    });
    if names.is_empty() {
        return Err(
            Error::new(Kind::NotFound, "no collection is left to back up")
                .with_hint("`elysiactl col ls` lists them"),
        );
    }
    Ok(names)
}

async fn clear(run: &Run, args: &ClearArgs) -> Result<Done> {
    let mut connected = run.connect(Purpose::Destroy)?;
    connected.connection.allow_degraded = args.tuning.allow_degraded;
    let session = run.session(&args.tuning, &args.resume)?;
    let request = ClearRequest {
        connection: connected.connection.clone(),
        collection: unprotected(&args.name, &connected.protect)?,
        delete_schema: args.delete_schema,
        method: match args.method {
            MethodArg::Auto => ClearMethod::Auto,
            MethodArg::Recreate => ClearMethod::Recreate,
            MethodArg::ById => ClearMethod::ById,
        },
        tenants: args.tenants.clone(),
        backup_to: args.backup_to.as_ref().map(PathBuf::from),
    };
    let plan = commands::plan_clear(&session, &request).await?;
    run.screen.event(&Event::Planned(&plan.plan));
    if run.is_dry_run() {
        return Ok(Done::default());
    }
    // A resumed job was agreed to before.
    let force = args.force || plan.is_going_on;
    let (shown, name) = (run.screen.with_origin(&plan.plan), &request.collection);
    run.confirm(&session, &shown, name.as_str(), force, &connected.protect)
        .await?;
    commands::clear(&session, &request, plan)
        .await
        .map(Done::from)
}

/// The name of a collection that may be destroyed: the protection holds as typed and as the server spells it, and
/// before the server is asked anything.
fn unprotected(name: &str, protect: &[String]) -> Result<CollectionName> {
    refuse_protected(name, protect)?;
    let name = CollectionName::parse(name)?;
    refuse_protected(name.as_str(), protect)?;
    Ok(name)
}

async fn verify(run: &Run, args: &VerifyArgs) -> Result<Done> {
    if args.reseal {
        let sealed = commands::reseal(Path::new(&args.file)).await?;
        run.screen.event(&Event::Note(&format!(
            "sealed anew: {} objects",
            numbers::count(sealed.object_count)
        )));
    }
    let verdict = commands::verify(Path::new(&args.file))?;
    for warning in &verdict.warnings {
        run.screen.event(&Event::Warning(warning));
    }
    let (word, code) = match (verdict.is_whole, verdict.lost) {
        (true, _) => ("whole", ExitCode::DONE),
        (false, 0) => ("not shown to be whole", ExitCode::INCOMPLETE),
        (false, _) => ("not whole", ExitCode::DIFFERENCE),
    };
    let fields = [
        ("archive".to_owned(), args.file.clone()),
        ("objects".to_owned(), numbers::count(verdict.object_count)),
        ("frames or parts".to_owned(), numbers::count(verdict.frames)),
        ("digest".to_owned(), verdict.digest.to_string()),
        ("verdict".to_owned(), word.to_owned()),
    ];
    run.print_fields(&fields)?;
    match &args.live {
        Some(name) => diff::verify_live(run, args, name.as_deref()).await,
        None => Ok(Done {
            code,
            ..Done::default()
        }),
    }
}

async fn list(run: &Run, args: &LsArgs) -> Result<Done> {
    let connection = run.connect(Purpose::Read)?.connection;
    let session = run.looking_session()?;
    let rows = commands::list_collections(&session, &connection).await?;
    let is_wanted = |name: &str| {
        args.names.is_empty() || args.names.iter().any(|pattern| matches_glob(pattern, name))
    };
    let rows = rows
        .into_iter()
        .filter(|row| is_wanted(row.name.as_str()))
        .map(|row| {
            let name = row.name.to_string();
            vec![
                name.into(),
                row.count.into(),
                row.tenants.into(),
                row.vectors.into(),
            ]
        })
        .collect();
    run.print_rows(&["collection", "objects", "tenants", "vectors"], rows)?;
    Ok(Done::default())
}

async fn show(run: &Run, args: &ShowArgs) -> Result<Done> {
    let connection = run.connect(Purpose::Read)?.connection;
    let session = run.looking_session()?;
    let definition =
        commands::show_collection(&session, &connection, &CollectionName::parse(&args.name)?)
            .await?;
    let definition = definition.value()?;
    run.screen.data(
        || format!("{definition:#}"),
        json!({"collection": definition["class"], "definition": definition}),
    )?;
    Ok(Done::default())
}

async fn create(run: &Run, args: &CreateArgs) -> Result<Done> {
    let connection = run.connect(Purpose::Write)?.connection;
    let session = run.changing_session()?;
    let name = args
        .name
        .as_deref()
        .map(CollectionName::parse)
        .transpose()?;
    commands::create_collection(&session, &connection, &args.file, name).await?;
    Ok(Done::default())
}

async fn remove(run: &Run, args: &RmArgs) -> Result<Done> {
    let mut connected = run.connect(Purpose::Destroy)?;
    // The definition goes from all nodes, and with it what they hold, as soon as they are back.
    connected.connection.allow_degraded = true;
    // There is nothing to choose: a removal that was cut short is gone on with.
    let session = Session {
        unfinished: Unfinished::Resume,
        ..run.changing_session()?
    };
    let request = ClearRequest {
        connection: connected.connection.clone(),
        collection: unprotected(&args.name, &connected.protect)?,
        delete_schema: true,
        method: ClearMethod::Auto,
        tenants: Vec::new(),
        backup_to: None,
    };
    let mut plan = commands::plan_clear(&session, &request).await?;
    plan.plan.title = format!("remove collection `{}`", request.collection);
    run.screen.event(&Event::Planned(&plan.plan));
    if run.is_dry_run() {
        return Ok(Done::default());
    }
    let (shown, name) = (run.screen.with_origin(&plan.plan), &request.collection);
    let (force, protect) = (args.force || plan.is_going_on, &connected.protect);
    run.confirm(&session, &shown, name.as_str(), force, protect)
        .await?;
    let removed = commands::clear(&session, &request, plan).await;
    removed.map(Done::from).map_err(|error| match error.kind() {
        // The flags of the other verbs are not there.
        Kind::Mismatch => error.with_hint(
            "`elysiactl jobs ls` shows the job in the way; `jobs resume` goes on with it, `jobs cancel` gives it up",
        ),
        _ => error,
    })
}

//! `col restore`.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use super::super::args::restore::RestoreArgs;
use super::super::config::Purpose;
use super::super::protect::refuse_protected;
use super::several::Several;
use super::{Done, Run};
use crate::archive::Archive;
use crate::commands::{self, Outcome, Reshape, RestoreRequest, Session};
use crate::error::{Error, IoContext, Kind, Result};
use crate::model::CollectionName;

pub(super) async fn run(run: &Run, args: &RestoreArgs) -> Result<Done> {
    let mut connected = run.connect(if args.merge {
        Purpose::Destroy
    } else {
        Purpose::Write
    })?;
    connected.connection.allow_degraded = args.tuning.allow_degraded;
    let session = run.session(&args.tuning, &args.resume)?;
    let mut all = Several::default();
    for file in &args.files {
        let request = RestoreRequest {
            connection: connected.connection.clone(),
            archive: PathBuf::from(file),
            name: new_name(args, Path::new(file))?,
            skip_data: args.skip_data,
            verify: args.verify,
            skip_vectors: args.skip_vectors,
            revectorize: args.revectorize,
            tenants: args.tenants.clone(),
            merge: args.merge,
            force_schema: args.force_schema,
            reshape: reshape(args)?,
        };
        if args.merge {
            let archived = || {
                Archive::open(Path::new(file)).map(|archive| archive.header().collection.clone())
            };
            let name = request.name.clone().map_or_else(archived, Ok)?;
            refuse_protected(name.as_str(), &connected.protect)?;
        }
        let outcome = match run.is_dry_run() {
            true => commands::restore(&session, &request).await,
            false => ask_and_restore(run, args, &session, &request, &connected.protect).await,
        };
        if !all.goes_on(run, file, outcome, true) {
            break;
        }
    }
    Ok(all.done())
}

/// Removing what an earlier run has restored, and writing into a collection that holds data, are asked about; a job
/// that goes on with its own is not.
async fn ask_and_restore(
    run: &Run,
    args: &RestoreArgs,
    session: &Session,
    request: &RestoreRequest,
    protect: &[String],
) -> Result<Outcome> {
    let mut questions = Vec::new();
    if args.resume.restart {
        questions.extend(commands::restart_question(session, request).await?);
    }
    if args.merge {
        questions.extend(commands::merge_question(session, request).await?);
    }
    for (plan, name) in questions {
        let plan = run.screen.with_origin(&plan);
        run.confirm(session, &plan, name.as_str(), args.force, protect)
            .await?;
    }
    let mut request = request.clone();
    if !request.revectorize {
        if let Some((plan, cost)) = commands::vectorize_question(session, &request).await? {
            let plan = run.screen.with_origin(&plan);
            run.agree(session, &plan, &format!("{cost}."), "--revectorize")
                .await?;
        }
        // Asked, or nothing to ask.
        request.revectorize = true;
    }
    commands::restore(session, &request).await
}

/// What of the archived definition is asked to be otherwise.
fn reshape(args: &RestoreArgs) -> Result<Reshape> {
    let schema = args.schema.as_deref().map(commands::definition_in);
    Ok(Reshape {
        schema: schema.transpose()?,
        patch: args.schema_patch.as_deref().map(read_patch).transpose()?,
        replication_factor: args.replication_factor.map(NonZeroU32::get),
        shards: args.shards.map(NonZeroU32::get),
    })
}

fn read_patch(file: &Path) -> Result<serde_json::Value> {
    let text = std::fs::read(file).doing(|| format!("cannot read `{}`", file.display()))?;
    let patch: serde_json::Value = serde_json::from_slice(&text).map_err(|cause| {
        Error::new(Kind::Usage, format!("`{}` is not JSON", file.display())).with_cause(cause)
    })?;
    match patch.is_object() {
        true => Ok(patch),
        false => Err(Error::new(
            Kind::Usage,
            format!(
                "`{}` is not a JSON merge patch: it is no object",
                file.display()
            ),
        )),
    }
}

fn new_name(args: &RestoreArgs, file: &Path) -> Result<Option<CollectionName>> {
    if args.names.is_empty() && args.name_suffix.is_none() {
        return Ok(None);
    }
    let archived = Archive::open(file)?.header().collection.clone();
    if let Some(suffix) = &args.name_suffix {
        return CollectionName::parse(&format!("{archived}{suffix}")).map(Some);
    }
    let renames = args.renames();
    let new = renames
        .iter()
        .find(|(old, _)| old.as_deref().is_none_or(|old| old == archived.as_str()));
    new.map(|(_, new)| CollectionName::parse(new)).transpose()
}

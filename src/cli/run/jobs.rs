//! `jobs …`.

use serde_json::{Value, json};

use super::super::args::job::ResumeArgs;
use super::super::args::tools::{
    JobArgs, JobsCancelArgs, JobsCommand, JobsLsArgs, JobsPruneArgs, JobsResumeArgs,
};
use super::super::config::Purpose;
use super::super::numbers;
use super::connect::Connected;
use super::{Done, Run};
use crate::commands;
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Plan, Reporter};
use crate::job::JobId;
use crate::journal::{Listed, StateDir};

pub(super) async fn run(run: &Run, command: &JobsCommand) -> Result<Done> {
    match command {
        JobsCommand::Ls(args) => list(run, args),
        JobsCommand::Show(args) => show(run, args),
        JobsCommand::Resume(args) => resume(run, args).await,
        JobsCommand::Cancel(args) => cancel(run, args).await,
        JobsCommand::Prune(args) => prune(run, args),
    }
}

fn list(run: &Run, args: &JobsLsArgs) -> Result<Done> {
    let state = StateDir::look(&run.state_dir()?);
    let jobs = commands::list_jobs(&state)?;
    let rows = jobs
        .iter()
        .filter(|job| !args.unfinished || commands::status(job) != "done")
        .map(row)
        .collect();
    run.print_rows(
        &[
            "job", "kind", "source", "target", "status", "done", "of", "exit", "started",
        ],
        rows,
    )?;
    Ok(Done::default())
}

fn row(listed: &Listed) -> Vec<Value> {
    let status = commands::status(listed);
    let id = listed.id.to_string();
    match &listed.state {
        Err(error) => {
            let mut row = vec![Value::Null; 9];
            (row[0], row[2], row[4]) = (id.into(), error.to_string().into(), status.into());
            row
        }
        Ok(state) => {
            let identity = &state.spec.identity;
            let stopped = state.stopped.as_ref().map(|stopped| stopped.exit_code);
            vec![
                id.into(),
                identity.kind.to_string().into(),
                identity.source.clone().into(),
                Some(identity.target.clone())
                    .filter(|target| !target.is_empty())
                    .into(),
                status.into(),
                state.tally.accepted.into(),
                state.total.into(),
                state.exit_code.or(stopped).into(),
                state.started.clone().into(),
            ]
        }
    }
}

fn show(run: &Run, args: &JobArgs) -> Result<Done> {
    let state = StateDir::look(&run.state_dir()?);
    let id = commands::find_job(&state, &args.id)?;
    let listed = commands::list_jobs(&state)?
        .into_iter()
        .find(|job| job.id == id);
    let listed =
        listed.ok_or_else(|| Error::new(Kind::NotFound, format!("job {id} has just gone")))?;
    let plan = commands::describe_job(&listed, &state.folder(&id))?;
    run.print_fields(&plan.fields)?;
    Ok(Done::default())
}

/// The address of this run if one is given, else the one that the job was last at work with.
fn connect(run: &Run, state: &StateDir, id: &JobId) -> Result<Connected> {
    let mut connected = run.connect(Purpose::Write)?;
    if connected.is_default
        && let Some(address) = commands::address_of_job(state, id)?
    {
        connected.connection.url = address;
        run.screen.name_origin(&format!("job {id}"));
    }
    Ok(connected)
}

async fn resume(run: &Run, args: &JobsResumeArgs) -> Result<Done> {
    let session = run.session(
        &args.tuning,
        &ResumeArgs {
            resume: true,
            restart: false,
        },
    )?;
    let id = commands::find_job(&session.state, &args.id)?;
    let mut connection = connect(run, &session.state, &id)?.connection;
    connection.allow_degraded = args.tuning.allow_degraded;
    commands::resume_job(&session, &id, &connection)
        .await
        .map(Done::from)
}

async fn cancel(run: &Run, args: &JobsCancelArgs) -> Result<Done> {
    let session = run.changing_session()?;
    let id = commands::find_job(&session.state, &args.id)?;
    let connected = connect(run, &session.state, &id)?;
    let connection = &connected.connection;
    if args.remove_target {
        let listed = commands::list_jobs(&session.state)?
            .into_iter()
            .find(|job| job.id == id)
            .and_then(|job| job.state.ok());
        let target = listed
            .map(|state| state.spec.identity.target)
            .unwrap_or_default();
        let mut plan = Plan::new(format!("cancel job {id} and remove collection `{target}`"));
        plan.field("server", &connection.url);
        run.confirm(&session, &plan, &target, args.force, &connected.protect)
            .await?;
    }
    commands::cancel_job(&session, &id, connection, args.remove_target).await?;
    Ok(Done::default())
}

fn prune(run: &Run, args: &JobsPruneArgs) -> Result<Done> {
    let state = StateDir::open(&run.state_dir()?)?;
    let pruned = commands::prune_jobs(&state, args.older_than, args.dry_run)?;
    let word = if args.dry_run {
        "would be forgotten"
    } else {
        "forgotten"
    };
    run.screen.event(&Event::Note(&format!(
        "{} {word}",
        numbers::counted(pruned.len() as u64, "job")
    )));
    for id in pruned {
        run.screen
            .data(|| id.to_string(), json!({"job": id.as_str()}))?;
    }
    Ok(Done::default())
}

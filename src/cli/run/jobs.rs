//! `jobs …`.

use super::super::args::job::ResumeArgs;
use super::super::args::tools::{
    JobArgs, JobsCancelArgs, JobsCommand, JobsLsArgs, JobsPruneArgs, JobsResumeArgs,
};
use super::super::config::Purpose;
use super::super::numbers;
use super::{Done, Run};
use crate::commands;
use crate::error::{Error, Kind, Result};
use crate::event::{Event, Plan, Reporter};
use crate::job::JobId;
use crate::journal::{Listed, StateDir};
use crate::weaviate::Connection;

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
    let state = StateDir::open(&run.state_dir()?)?;
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
        &[5, 6, 7],
    )?;
    Ok(Done::default())
}

fn row(listed: &Listed) -> Vec<String> {
    let status = commands::status(listed).to_owned();
    match &listed.state {
        Err(error) => {
            let dash = || "-".to_owned();
            vec![
                listed.id.to_string(),
                dash(),
                error.to_string(),
                dash(),
                status,
                dash(),
                dash(),
                dash(),
                dash(),
            ]
        }
        Ok(state) => {
            let identity = &state.spec.identity;
            let code = state
                .exit_code
                .or(state.stopped.as_ref().map(|stopped| stopped.exit_code));
            vec![
                listed.id.to_string(),
                identity.kind.to_string(),
                identity.source.clone(),
                identity.target.clone(),
                status,
                numbers::count(state.tally.accepted),
                state.total.map_or("-".to_owned(), numbers::count),
                code.map_or("-".to_owned(), |code| code.to_string()),
                state.started.clone(),
            ]
        }
    }
}

fn show(run: &Run, args: &JobArgs) -> Result<Done> {
    let state = StateDir::open(&run.state_dir()?)?;
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
fn connection(run: &Run, state: &StateDir, id: &JobId) -> Result<Connection> {
    let connected = run.connect(Purpose::Write)?;
    let mut connection = connected.connection;
    if connected.is_default
        && let Some(address) = commands::address_of_job(state, id)?
    {
        connection.url = address;
    }
    Ok(connection)
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
    let connection = connection(run, &session.state, &id)?;
    commands::resume_job(&session, &id, &connection)
        .await
        .map(Done::from)
}

async fn cancel(run: &Run, args: &JobsCancelArgs) -> Result<Done> {
    let session = run.changing_session()?;
    let id = commands::find_job(&session.state, &args.id)?;
    let connection = connection(run, &session.state, &id)?;
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
        run.confirmer(args.force, Vec::new())
            .destroy(&plan, &target)?;
    }
    commands::cancel_job(&session, &id, &connection, args.remove_target).await?;
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
        run.screen.stdout().data(id.as_str())?;
    }
    Ok(Done::default())
}

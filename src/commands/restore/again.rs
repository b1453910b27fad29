//! A finished restore answers again with its own exit code, if the target still is as it left it.

use super::*;
use crate::commands::session::add_to_report;

/// The answer, if there is one to give.
pub(super) async fn answer_again(
    session: &Session,
    request: &RestoreRequest,
    looked: &Looked,
) -> Result<Option<Outcome>> {
    let identity = &looked.identity;
    if session.unfinished != Unfinished::Resume || session.unfinished(identity)?.is_some() {
        return Ok(None);
    }
    let Some(state) = last_finished(session, identity)? else {
        return Ok(None);
    };
    if !is_as_left(session, looked, &state).await? {
        return Err(changed_since(&looked.name, &state));
    }
    session.reporter.event(&Event::Note(&format!(
        "job {} has restored this archive already; nothing to do",
        state.job
    )));
    let mut outcome = Outcome {
        exit_code: exit_code(&state)?,
        tally: state.tally,
        notes: Vec::new(),
        archive: None,
        unarchived: 0,
    };
    let is_wanted = request.verify && request.moves_objects(&looked.archive);
    if is_wanted && !session.is_dry_run && !verification::is_wanted(&state) {
        verify_now(session, request, looked, &state, &mut outcome).await?;
    }
    Ok(Some(outcome))
}

fn exit_code(state: &State) -> Result<u8> {
    state.exit_code.ok_or_else(|| {
        let what = format!(
            "job {} is done, and its summary does not say how",
            state.job
        );
        Error::new(Kind::JournalDamaged, what).with_hint("begin anew with --restart")
    })
}

fn last_finished(session: &Session, identity: &Identity) -> Result<Option<State>> {
    let finished = session
        .state
        .jobs()?
        .into_iter()
        .filter_map(|listed| listed.state.ok());
    Ok(finished
        .filter(|state| state.is_done && state.spec.identity == *identity)
        .last())
}

async fn is_as_left(session: &Session, looked: &Looked, state: &State) -> Result<bool> {
    let (client, name) = (&looked.client, &looked.name);
    // A summary that lacks them tells nothing.
    let (Some(incarnation), Some(left)) =
        (state.extra.get("incarnation"), state.extra.get("count"))
    else {
        return Ok(false);
    };
    let then = Incarnation::from_text(incarnation);
    let policy = session.context().policy;
    let look = || client.collection(name);
    let Collection::Found(definition) = policy.run("look for the collection", look).await? else {
        return Ok(false);
    };
    let look = || Incarnation::of(client, name, &definition);
    let now = policy.run("look at the collection", look).await?;
    let count = policy.run("count objects", || client.count(name, &Tenant::NONE));
    // Tenants were put to sleep since they were counted.
    let same_count = definition.has_tenants()? || count.await?.to_string() == *left;
    Ok(then.may_equal(&now) && same_count)
}

fn changed_since(name: &CollectionName, state: &State) -> Error {
    Error::new(
        Kind::Mismatch,
        format!(
            "job {} restored this archive into `{name}`, but the collection is not as it left it",
            state.job
        ),
    )
    .with_hint("restore under another name, or pass --restart to begin anew")
}

/// The comparison that the finished job was not asked for; from now on it is part of its answer.
async fn verify_now(
    session: &Session,
    request: &RestoreRequest,
    looked: &Looked,
    state: &State,
    outcome: &mut Outcome,
) -> Result<()> {
    let folder = session.state.open_job(&state.job)?;
    let rejected = census::read_rejected(&folder)?;
    let (archive, name) = (looked.archive.clone(), &looked.name);
    let (connection, merged) = (&request.connection, request.merge);
    let comparison = diff::verify_restore(session, archive, connection, name, rejected, merged);
    let found = session.stop.cuts_short(comparison).await?;
    outcome.exit_code = outcome.exit_code.max(found.exit_code_of_job());
    outcome.notes = found.sentences();
    for sentence in &outcome.notes {
        session.warn(sentence);
    }
    add_to_report(&folder, "verification", found.report())?;
    add_to_report(&folder, "exit_code", outcome.exit_code.into())?;
    folder.update_state(|state| {
        verification::want(state);
        state.exit_code = Some(outcome.exit_code);
    })?;
    Ok(())
}

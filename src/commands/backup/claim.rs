//! A job is begun, or the unfinished one is gone on with, if it still is about the same collection.

use std::time::Duration;

use super::*;

pub(super) fn identity(request: &BackupRequest) -> Result<Identity> {
    let destination = target::absolute(&request.destination)?;
    Ok(Identity {
        collections: request
            .group
            .iter()
            .map(CollectionName::to_string)
            .collect(),
        tenants: request.tenants.clone(),
        with_data: request.with_data,
        with_vectors: request.with_vectors,
        format: request.format.name().to_owned(),
        compression: request.codec.name().to_owned(),
        settings: request.inactive.setting().into_iter().collect(),
        ..Identity::of(JobKind::Backup, request.collection.as_str(), &destination)
    })
}

pub(super) async fn claim(
    way: &Way<'_>,
    request: &BackupRequest,
    identity: Identity,
    client: &Arc<Client>,
    found: &Found,
    seen: &Seen,
) -> Result<Claimed> {
    let session = way.session;
    let mut is_read_again = false;
    if let Some((folder, state)) = session.unfinished(&identity)? {
        match session.unfinished {
            Unfinished::Refuse => return Err(session.in_the_way(&folder, &state)),
            Unfinished::Restart => discard_loudly(session, folder, &state)?,
            Unfinished::Resume if is_too_old(session, &state)? => {
                session.warn(&format!(
                    "job {} is too old to be resumed; the backup begins anew",
                    state.job
                ));
                discard_loudly(session, folder, &state)?;
            }
            Unfinished::Resume if was_swept(way.storage, &state)? => {
                session.warn(&format!(
                    "another run took job {} for dead and removed its unfinished archive; the backup begins anew",
                    state.job
                ));
                discard(folder, &state)?;
            }
            Unfinished::Resume if state.extra.contains_key(LACKING) => {
                let lost = &state.extra[LACKING];
                session.warn(&format!(
                    "{lost} objects older than the backup were out of sight while it was read; it begins anew"
                ));
                discard(folder, &state)?;
                is_read_again = true;
            }
            Unfinished::Resume => {
                session.check_identity(&state, &identity)?;
                // The comparison of a finished archive says itself what became of the collection.
                if !is_published(&state) {
                    check_same_life(session, &state, client, seen).await?;
                }
                if request.verify {
                    folder.update_state(verification::want)?;
                }
                return session.go_on(folder);
            }
        }
    }
    let witnesses = seen.witnesses(session, request, client).await?;
    // The header must come out the same in every run, whatever the server says by then.
    session.begin(
        &Spec {
            identity,
            tuning: session.tuning.clone(),
        },
        Some(found.definition.text()),
        |state| {
            state.incarnation = Some(seen.incarnation.shards.clone());
            if request.verify {
                verification::want(state);
            }
            if is_read_again {
                state.extra.insert(READ_AGAIN.into(), "yes".into());
            }
            let total = if request.with_data { seen.count } else { 0 };
            // Nobody knows what is in tenants that are asleep.
            state.total = Some(total).filter(|_| seen.asleep.is_empty());
            state.address = Some(client.address().to_owned());
            state.extra.insert("version".into(), found.version.clone());
            state.extra.extend(witnesses);
            if let Some(time) = seen.server_time {
                state.extra.insert(SERVER_TIME.into(), time.to_string());
            }
        },
    )
}

fn is_too_old(session: &Session, state: &State) -> Result<bool> {
    Ok(age(state)? > session.resume_within)
}

/// A backup's age is that of its beginning. One that began in the future is as old as that is away: a clock is wrong.
pub(super) fn age(state: &State) -> Result<Duration> {
    let age = Timestamp::now().duration_since(state.started_at()?);
    Ok(age.unsigned_abs())
}

/// Whoever sweeps an unfinished archive takes its lease with it; what is lost otherwise leaves the lease.
fn was_swept(storage: &dyn Storage, state: &State) -> Result<bool> {
    let Some(archive) = state.extra.get("archive").filter(|_| !is_published(state)) else {
        return Ok(false);
    };
    let lease = lease::key(&state.spec.identity.source, &state.job);
    Ok(!storage.exists(&lease)? && !storage.exists(&partial_name(archive))?)
}

/// By its shards, or where they say nothing by objects that were there when the job began.
pub(super) async fn is_same_life(
    policy: &Policy,
    state: &State,
    client: &Client,
    now: &Incarnation,
    source: &CollectionSource,
) -> Result<bool> {
    let then = Incarnation {
        shards: state.incarnation.clone().ok_or_else(|| {
            let what = "the job has lost by what it knew its collection";
            Error::new(Kind::JournalDamaged, what).with_hint("begin anew with --restart")
        })?,
    };
    let Some(text) = state.extra.get(WITNESSES) else {
        return Ok(then.may_equal(now));
    };
    let witnesses: Witnesses = serde_json::from_str(text).map_err(|cause| {
        Error::new(Kind::JournalDamaged, "the job has lost its witnesses").with_cause(cause)
    })?;
    let name = CollectionName::parse(&state.spec.identity.source)?;
    Ok(then.may_equal(now) && witnesses.know(policy, client, &name, source).await?)
}

/// The same life of the collection at another address is gone on with; another life at the same address is not.
async fn check_same_life(
    session: &Session,
    state: &State,
    client: &Arc<Client>,
    seen: &Seen,
) -> Result<()> {
    let name = CollectionName::parse(&state.spec.identity.source)?;
    let (source, policy) = (seen.filled_source(client, &name), session.context().policy);
    if !is_same_life(&policy, state, client, &seen.incarnation, &source).await? {
        return Err(Error::new(
            Kind::Mismatch,
            format!("collection `{}` is not the one that job {} began with: it was deleted and created again", state.spec.identity.source, state.job),
        )
        .with_hint("pass --restart to back up the new one from its beginning"));
    }
    if let Some(address) = state
        .address
        .as_deref()
        .filter(|address| *address != client.address())
    {
        session.warn(&format!(
            "the job began at {address} and goes on at {}: it is the same collection",
            client.address()
        ));
    }
    Ok(())
}

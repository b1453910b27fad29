//! BatchObjects and BatchReferences: only errors are listed, and a call succeeds even if all of it failed.

use std::borrow::Cow;

use tonic::{Code, Status};

use super::super::batch;
use super::super::call::Call;
use super::super::faults::Doom;
use super::super::incoming::{Incoming, Prepared};
use super::super::references;
use super::super::reply::Reply;
use super::super::store::{Data, now};
use super::incoming::{Sent, Unread};
use super::messages::{BatchError, BatchReference, BatchReply};
use super::objects::BatchObject;
use super::status::{panicked, refusal};

/// The failures of a batch: position and text.
pub(super) type Failures = Vec<(usize, String)>;

/// Stores objects as REST does: all are checked first, so references to objects of the same batch are not found.
pub(super) fn objects(call: &Call<'_>, objects: &[BatchObject]) -> Result<Failures, Status> {
    let mut data = call.store.write();
    let mut failures = Failures::new();
    let mut read = Vec::with_capacity(objects.len());
    for (at, object) in objects.iter().enumerate() {
        match Sent::read(object, &data) {
            Ok(sent) => read.push((at, object, sent)),
            Err(Unread::Refused(text)) => failures.push((at, text)),
            Err(Unread::Panic) => return Err(panicked()),
        }
    }
    if read.is_empty() {
        return Ok(failures);
    }
    admit(call, &mut data, &read).map_err(|reply| refusal(&reply))?;
    let checked: Vec<_> = read
        .iter()
        .map(|(at, object, sent)| {
            let incoming = incoming(object, sent, &data);
            let prepared = incoming.prepare(&mut data, call);
            (*at, sent, incoming, prepared)
        })
        .collect();
    let ids = checked.iter().map(|(_, _, incoming, _)| incoming.id);
    if call.faults.panics(ids) {
        let failed = checked.iter().map(|(at, ..)| (*at, Doom::PANIC.to_owned()));
        failures.extend(failed);
        return Ok(failures);
    }
    for (at, sent, incoming, prepared) in checked {
        let outcome = store(call, &mut data, sent, &incoming, prepared);
        failures.extend(outcome.err().map(|text| (at, text)));
    }
    Ok(failures)
}

type Read<'m> = (usize, &'m BatchObject, Sent<'m>);

/// What refuses or prepares the batch as a whole.
fn admit(call: &Call<'_>, data: &mut Data, read: &[Read<'_>]) -> Result<(), Reply> {
    batch::check_limit(call, data, read.len())?;
    let sent = read
        .iter()
        .map(|(_, object, _)| (object.collection.as_str(), object.tenant.as_str()));
    batch::create_tenants(call, data, sent)
}

fn incoming<'v, 'm>(object: &'v BatchObject, sent: &'v Sent<'m>, data: &Data) -> Incoming<'v, 'm> {
    Incoming {
        source: &sent.source,
        class: data.resolve(&object.collection),
        tenant: Cow::Borrowed(&object.tenant),
        id: sent.id,
        id_text: object.uuid.clone(),
        vectors: sent.vectors.clone(),
        time: now(),
    }
}

fn store(
    call: &Call<'_>,
    data: &mut Data,
    sent: &Sent<'_>,
    incoming: &Incoming<'_, '_>,
    prepared: Result<Prepared, String>,
) -> Result<(), String> {
    batch::store(call, data, incoming, prepared?)?;
    sent.complaint.clone().map_or(Ok(()), Err)
}

/// Appends references.
pub(super) fn references(call: &Call<'_>, sent: &[BatchReference]) -> Result<Failures, Status> {
    if sent.is_empty() {
        let text = "invalid params: length cannot be 0, need at least one reference for batching";
        return Err(Status::new(Code::Unknown, text));
    }
    let mut data = call.store.write();
    let outcomes = sent.iter().enumerate().map(|(at, reference)| {
        let from = source_beacon(reference);
        let outcome = target(&data, reference)
            .and_then(|to| references::append(&mut data, &from, &to, &reference.tenant));
        outcome.err().map(|text| (at, text))
    });
    Ok(outcomes.flatten().collect())
}

/// The beacon that stands for a reference in a batch.
pub(super) fn source_beacon(reference: &BatchReference) -> String {
    let (class, id) = (&reference.from_collection, &reference.from_uuid);
    format!("weaviate://localhost/{class}/{id}/{}", reference.name)
}

/// The beacon of the target; without a class it is that of the property, which must exist.
fn target(data: &Data, reference: &BatchReference) -> Result<String, String> {
    let id = &reference.to_uuid;
    if let Some(class) = &reference.to_collection {
        return Ok(format!("weaviate://localhost/{class}/{id}"));
    }
    let (name, source) = (&reference.name, &reference.from_collection);
    match data.class(source) {
        Some(class) if class.property(name).is_none() => {
            Err(format!("property {name} does not exist for class {source}"))
        }
        _ => Ok(format!("weaviate://localhost/{id}")),
    }
}

/// The failures as a unary reply lists them.
pub(super) fn reply(failures: Failures) -> BatchReply {
    let errors = failures.into_iter().map(|(at, error)| BatchError {
        index: i32::try_from(at).unwrap_or(i32::MAX),
        error,
    });
    BatchReply {
        took: 0.0,
        errors: errors.collect(),
    }
}

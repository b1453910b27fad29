//! Whether an archive fits the server it goes to: its settings, and the vectors that would cost money.

use super::survey::{Measure, Survey, survey};
use super::*;
use crate::weaviate::{Loss, dropped_vectors, fit_to};

/// The definition as a server of this version can be asked for it.
pub(super) fn to_server(wanted: &Definition, version: &str) -> Result<Fitted> {
    // A server that tells no version was refused before.
    fit_to(wanted, version_numbers(version).unwrap_or_default())
}

pub(super) fn words(fitted: &Fitted) -> String {
    let lacks: Vec<&str> = fitted.lacks.iter().map(|(_, what)| what.as_str()).collect();
    lacks.join("; ")
}

/// Refuses what could not come back on this server; settings may be done without if that is said.
pub(super) fn check_lacks(
    session: &Session,
    request: &RestoreRequest,
    looked: &Looked,
) -> Result<()> {
    let lacks = &looked.fitted.lacks;
    let loses_data = lacks.iter().any(|(loss, _)| *loss == Loss::Data) && !request.skip_vectors;
    if lacks.is_empty() || (request.force_schema && !loses_data) {
        lacks
            .iter()
            .for_each(|(_, what)| session.warn(&format!("this server does not know {what}")));
        return Ok(());
    }
    let hint = match loses_data {
        true => {
            "restore into a newer server, or leave the vectors out with --skip-vectors --force-schema"
        }
        false => {
            "restore into a newer server, take it out with --schema-patch, or pass --force-schema to do without"
        }
    };
    Err(Error::new(
        Kind::Incompatible,
        format!(
            "{} runs Weaviate {}, which lacks what the archive needs: {}",
            looked.client.address(),
            looked.version,
            words(&looked.fitted)
        ),
    )
    .with_kept("nothing was written")
    .with_hint(hint))
}

/// What of the archive is taken out, as far as it is known without reading it.
pub(super) fn selection(
    request: &RestoreRequest,
    archive: &Archive,
    definition: &Definition,
) -> Result<Selection> {
    let left_out = dropped_vectors(definition)?.into_iter().collect();
    let tenants = match request.tenants.is_empty() || !definition.has_tenants()? {
        true => None,
        false if archive.is_ours() => {
            let names = archive.tenants().iter().map(|tenant| tenant.name.as_str());
            let chosen = target::matching(
                &request.tenants,
                names,
                archive.header().collection.as_str(),
            )?;
            Some(chosen.iter().map(|name| Tenant::named(name)).collect())
        }
        // A foreign document does not say which tenants it has before it is read.
        false => None,
    };
    Ok(Selection {
        tenants,
        without_vectors: request.skip_vectors,
        left_out,
        ..Selection::default()
    })
}

/// The modules that would be asked for vectors, each with the number of objects.
fn missing_vectors(definition: &Definition, survey: &Survey) -> Result<Vec<(String, u64)>> {
    let mut missing = Vec::new();
    for (vector, module) in definition.vectorizers()? {
        let count = survey.count - survey.lengths.with_vector(&vector).min(survey.count);
        if count > 0 {
            missing.push((module, count));
        }
    }
    Ok(missing)
}

async fn count_missing(
    session: &Session,
    request: &RestoreRequest,
    looked: &Looked,
) -> Result<Vec<(String, u64)>> {
    let definition = &looked.fitted.definition;
    let has_none = definition.vectorizers()?.is_empty();
    if has_none || request.revectorize || !request.moves_objects(&looked.archive) {
        return Ok(Vec::new());
    }
    // A job that is gone on with was agreed to.
    let goes_on = session.unfinished == Unfinished::Resume;
    if goes_on && session.unfinished(&looked.identity)?.is_some() {
        return Ok(Vec::new());
    }
    let selection = selection(request, &looked.archive, definition)?;
    let measure = Measure {
        definition,
        selection: &selection,
        with_types: false,
    };
    let found = survey(&looked.archive, &measure, || session.stop.check()).await?;
    missing_vectors(definition, &found)
}

fn cost(missing: &[(String, u64)]) -> String {
    let each = missing.iter().map(|(module, count)| {
        format!(
            "`{module}` would be asked for the vectors of {} objects",
            grouped(*count)
        )
    });
    each.collect::<Vec<_>>().join(", ")
}

/// Objects without vectors in a collection with a vectorizer cost money: nobody pays without having said so.
pub(super) async fn check_vectorizers(
    session: &Session,
    request: &RestoreRequest,
    looked: &Looked,
) -> Result<()> {
    let missing = count_missing(session, request, looked).await?;
    if missing.is_empty() {
        return Ok(());
    }
    Err(Error::new(Kind::Declined, format!("not confirmed: {}", cost(&missing)))
        .with_kept("nothing was touched")
        .with_hint("pass --revectorize to let the server compute them, or replace the vectorizer with --schema-patch"))
}

/// The question before objects without vectors are sent to a collection with a vectorizer: the plan and what it costs;
/// nothing if there is nothing to ask.
pub async fn vectorize_question(
    session: &Session,
    request: &RestoreRequest,
) -> Result<Option<(Plan, String)>> {
    let archive = Archive::open(&request.archive)?;
    let wanted = request
        .reshape
        .apply(&archive, &request.name_for(&archive))?;
    if wanted.definition.vectorizers()?.is_empty() {
        return Ok(None);
    }
    let looked = Looked::look(session, request).await?;
    let missing = count_missing(session, request, &looked).await?;
    if missing.is_empty() {
        return Ok(None);
    }
    let mut plan = plan(request, &looked);
    let cost = cost(&missing);
    plan.field("vectors to be computed", &cost);
    Ok(Some((plan, cost)))
}

//! What a restore would do, for people.

use super::*;

/// The plan, which a dry run and every question show.
pub(super) fn plan(request: &RestoreRequest, looked: &Looked) -> Plan {
    let (archive, name) = (&looked.archive, &looked.name);
    let mut plan = Plan::new(format!(
        "restore `{}` as collection `{name}`",
        request.archive.display()
    ));
    let header = archive.header();
    let exists = match &looked.there {
        Collection::Found(_) => "yes",
        Collection::Alias(_) => "an alias has this name",
        Collection::Missing => "no",
    };
    let server = format!("{} (Weaviate {})", looked.client.address(), looked.version);
    plan.field("server", server).field("exists", exists);
    plan.field(
        "archive of",
        format!(
            "`{}`, Weaviate {}",
            header.collection, header.weaviate_version
        ),
    );
    plan.field("type", header.contents.name());
    plan.field(
        "objects",
        if request.skip_data {
            "0".to_owned()
        } else {
            grouped(archive.object_count())
        },
    );
    target::describe_definition(&mut plan, &looked.wanted.definition);
    if !looked.wanted.changes.is_empty() {
        plan.field("definition changed", looked.wanted.changes.join("; "));
    }
    if !looked.fitted.lacks.is_empty() {
        plan.field("not known to this server", fit::words(&looked.fitted));
    }
    let tenants = match archive.tenants().len() {
        0 => "none".to_owned(),
        tenants if request.tenants.is_empty() => grouped(tenants as u64),
        tenants => format!(
            "{} of {}",
            request.tenants.join(", "),
            grouped(tenants as u64)
        ),
    };
    plan.field("tenants", tenants);
    if request.skip_vectors {
        plan.field("vectors of objects", "left out");
    }
    plan.field(
        "conflicts",
        if request.merge {
            "existing objects of the same id are overwritten"
        } else {
            "none: the collection is new"
        },
    );
    plan.field("protocol", target::protocol(&looked.client));
    plan
}

//! What is compared of two ends besides objects: the definition, tenants with their states, aliases.

use std::collections::BTreeSet;

use serde_json::Value;

use super::end::Seen;
use super::found::{Change, Comparison, Difference};
use crate::error::Result;
use crate::model::Definition;
use crate::weaviate::{creatable, definition_holds, definitions_match, with_name};

/// Compares all of it; at most `limit` differences are shown.
pub(super) fn compare(one: &Seen, two: &Seen, limit: usize, found: &mut Comparison) -> Result<()> {
    let mut differences = settings(one, two)?;
    found.counts.settings += differences.len() as u64;
    let tenants = tenants(one, two, found);
    found.counts.tenants += tenants.len() as u64;
    let aliases = aliases(one, two, found)?;
    found.counts.aliases += aliases.len() as u64;
    differences.extend(tenants);
    differences.extend(aliases);
    differences.truncate(limit);
    found.shown.extend(differences);
    Ok(())
}

/// A setting that only the newer server's definition names is a default that it has learned since, and documents of
/// other hands leave defaults out; between equals everything has to match.
fn settings(one: &Seen, two: &Seen) -> Result<Vec<Difference>> {
    let renamed = with_name(&one.definition, &two.definition.name()?)?;
    let (ours, theirs) = (&renamed, &two.definition);
    let mut details = match (is_vaguer(one, two), is_vaguer(two, one)) {
        (true, false) => definition_holds(ours, theirs)?,
        (false, true) => definition_holds(theirs, ours)?
            .iter()
            .map(|detail| turned_round(detail))
            .collect(),
        _ => definitions_match(ours, theirs)?,
    };
    details.extend(automation(ours, theirs)?);
    let (left, right) = (creatable(ours)?.left_out, creatable(theirs)?.left_out);
    details.extend(left.iter().filter(|it| !right.contains(it)).cloned());
    details.extend(right.iter().filter(|it| !left.contains(it)).cloned());
    let setting = |detail: String| Difference::Setting { detail };
    Ok(details.into_iter().map(setting).collect())
}

/// True if `one` may leave unsaid what `two` says.
fn is_vaguer(one: &Seen, two: &Seen) -> bool {
    if one.is_ours() != two.is_ours() {
        return !one.is_ours();
    }
    match (numbers(&one.version), numbers(&two.version)) {
        (Some(one), Some(two)) => one < two,
        (one, two) => one.is_none() && two.is_some(),
    }
}

fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split(['.', '-']);
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// `/path: a against b` as `/path: b against a`.
fn turned_round(detail: &str) -> String {
    let turned = detail.split_once(": ").and_then(|(path, values)| {
        let (one, two) = values.split_once(" against ")?;
        Some(format!("{path}: {two} against {one}"))
    });
    turned.unwrap_or_else(|| detail.to_owned())
}

/// The flags that a creation pins and a restore sets back at its end.
fn automation(one: &Definition, two: &Definition) -> Result<Vec<String>> {
    let (one, two) = (one.value()?, two.value()?);
    let paths = ["autoTenantCreation", "autoTenantActivation"]
        .map(|flag| format!("/multiTenancyConfig/{flag}"));
    let is_on = |value: &Value, path: &str| {
        value
            .pointer(path)
            .and_then(Value::as_bool)
            .unwrap_or(false)
    };
    let differing = paths.into_iter().filter_map(|path| {
        let (one, two) = (is_on(&one, &path), is_on(&two, &path));
        (one != two).then(|| format!("{path}: {one} against {two}"))
    });
    Ok(differing.collect())
}

fn tenants(one: &Seen, two: &Seen, found: &mut Comparison) -> Vec<Difference> {
    let (Some(ours), Some(theirs)) = (&one.tenants, &two.tenants) else {
        found.notes.push(
            "states of tenants were not compared: a document of another program names none"
                .to_owned(),
        );
        return Vec::new();
    };
    let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
    let differing = names
        .into_iter()
        .filter(|name| ours.get(*name) != theirs.get(*name));
    differing
        .map(|name| Difference::Tenant {
            name: name.clone(),
            one: ours.get(name).cloned(),
            two: theirs.get(name).cloned(),
        })
        .collect()
}

/// An alias belongs to one collection of a server: a copy under another name cannot have it.
fn aliases(one: &Seen, two: &Seen, found: &mut Comparison) -> Result<Vec<Difference>> {
    if one.definition.name()? != two.definition.name()? {
        if [one, two]
            .iter()
            .any(|seen| !seen.aliases.as_ref().is_none_or(BTreeSet::is_empty))
        {
            found.notes.push(
                "aliases were not compared: a collection of another name has others".to_owned(),
            );
        }
        return Ok(Vec::new());
    }
    let (Some(ours), Some(theirs)) = (&one.aliases, &two.aliases) else {
        match one.is_ours() && two.is_ours() {
            true => found
                .left_out
                .push("aliases, which the key may not list".to_owned()),
            false => found.notes.push(
                "aliases were not compared: a document of another program names none".to_owned(),
            ),
        }
        return Ok(Vec::new());
    };
    let difference = |name: &String, change| Difference::Alias {
        name: name.clone(),
        change,
    };
    let missing = ours
        .difference(theirs)
        .map(|name| difference(name, Change::Missing));
    let extra = theirs
        .difference(ours)
        .map(|name| difference(name, Change::Extra));
    Ok(missing.chain(extra).collect())
}

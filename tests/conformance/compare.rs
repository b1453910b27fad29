//! Comparing JSON: volatile places are erased, numbers are compared by value, vectors by spelling.

use serde_json::Value;

/// Takes away what lies at a path; `*` is any member or position.
pub fn erase(value: &mut Value, path: &[&str]) {
    let [first, rest @ ..] = path else { return };
    match value {
        Value::Object(members) if *first == "*" => members
            .values_mut()
            .for_each(|member| erase_or(member, rest)),
        Value::Object(members) if rest.is_empty() => drop(members.remove(*first)),
        Value::Object(members) => members
            .get_mut(*first)
            .into_iter()
            .for_each(|member| erase(member, rest)),
        Value::Array(items) if *first == "*" => {
            items.iter_mut().for_each(|item| erase_or(item, rest))
        }
        Value::Array(items) => {
            let at = first.parse::<usize>().ok();
            at.and_then(|at| items.get_mut(at))
                .into_iter()
                .for_each(|item| erase_or(item, rest));
        }
        _ => {}
    }
}

fn erase_or(value: &mut Value, rest: &[&str]) {
    if rest.is_empty() {
        *value = Value::Null
    } else {
        erase(value, rest)
    }
}

/// The first place where two values differ; numbers are compared by value, some arrays as multisets.
pub fn difference(
    one: &Value,
    other: &Value,
    place: &mut Vec<String>,
    unordered: &[Vec<&str>],
) -> Option<String> {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) if one.as_f64() == other.as_f64() => None,
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            let any_order = unordered.iter().any(|path| covers(path, place));
            place.push("*".to_owned());
            let found = match any_order {
                true => unmatched(one, other, place, unordered),
                false => one
                    .iter()
                    .zip(other)
                    .find_map(|(one, other)| difference(one, other, place, unordered)),
            };
            place.pop();
            found
        }
        (Value::Object(one), Value::Object(other)) => {
            one.keys().chain(other.keys()).find_map(|name| {
                place.push(name.clone());
                let (one, other) = (one.get(name), other.get(name));
                let found = match (one, other) {
                    (Some(one), Some(other)) => difference(one, other, place, unordered),
                    _ => Some(format!(
                        "{}: recorded {one:?}, answered {other:?}",
                        place.join(".")
                    )),
                };
                place.pop();
                found
            })
        }
        _ if one == other => None,
        _ => Some(format!(
            "{}: recorded {one}, answered {other}",
            place.join(".")
        )),
    }
}

/// An item of a multiset that has no partner in the other one.
fn unmatched(
    one: &[Value],
    other: &[Value],
    place: &mut Vec<String>,
    unordered: &[Vec<&str>],
) -> Option<String> {
    let mut left: Vec<&Value> = other.iter().collect();
    one.iter().find_map(|item| {
        let partner = left
            .iter()
            .position(|other| difference(item, other, place, unordered).is_none());
        match partner {
            Some(at) => {
                left.remove(at);
                None
            }
            None => Some(format!(
                "{}: recorded {item} has no partner",
                place.join(".")
            )),
        }
    })
}

fn covers(path: &[&str], place: &[String]) -> bool {
    path.len() == place.len()
        && path
            .iter()
            .zip(place)
            .all(|(part, at)| *part == "*" || part == at)
}

/// The text of every vector in a body.
pub fn spelled_vectors(body: &str) -> Vec<String> {
    let starts = body.match_indices("\"vector").filter_map(|(at, _)| {
        let rest = &body[at..];
        let rest = rest
            .strip_prefix("\"vector\":[")
            .or(rest.strip_prefix("\"vectors\":{"))?;
        Some(rest)
    });
    let ends = |text: &str| text.find([']', '}']).map_or(text.len(), |end| end + 1);
    starts.map(|rest| rest[..ends(rest)].to_owned()).collect()
}

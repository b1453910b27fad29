//! Filters of batch delete and of counts: on the id, compared as text in the spelling the id index was given, and on
//! properties of simple types.

use std::sync::Arc;

use serde_json::Value;
use uuid::Uuid;

use super::class::{Class, Objects};
use super::listing::compare;
use super::object::Object;
use super::values::unknown_property;

/// The operators, in the order in which the server lists them.
pub(super) const OPERATORS: [&str; 15] = [
    "And",
    "Or",
    "Equal",
    "Like",
    "NotEqual",
    "GreaterThan",
    "GreaterThanEqual",
    "LessThan",
    "LessThanEqual",
    "WithinGeoRange",
    "IsNull",
    "ContainsAny",
    "ContainsAll",
    "ContainsNone",
    "Not",
];

/// A filter that was checked against a class.
#[derive(Debug, Clone)]
pub(super) enum Filter {
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Vec<Filter>),
    Id(String, Vec<String>),
    Property(String, String, Vec<Value>),
}

impl Filter {
    /// Reads the JSON form; the error is the server's text.
    pub(super) fn read(source: &Value, class: &Class) -> Result<Filter, String> {
        let operator = source["operator"].as_str().unwrap_or_default();
        let operands = || -> Result<Vec<Filter>, String> {
            let list = source["operands"]
                .as_array()
                .map(Vec::as_slice)
                .unwrap_or_default();
            list.iter()
                .map(|operand| Filter::read(operand, class))
                .collect()
        };
        match operator {
            "And" => Ok(Filter::And(operands()?)),
            "Or" => Ok(Filter::Or(operands()?)),
            "Not" => Ok(Filter::Not(operands()?)),
            _ => Filter::leaf(source, operator, class),
        }
    }

    fn leaf(source: &Value, operator: &str, class: &Class) -> Result<Filter, String> {
        let members = source.as_object().into_iter().flatten();
        let value = members
            .filter(|(name, _)| name.starts_with("value"))
            .find(|(_, value)| !value.is_null());
        let missing = || {
            format!(
                "failed to parse where filter: invalid where filter: got operator '{operator}', but no value<Type> field set"
            )
        };
        let (kind, value) = value.ok_or_else(missing)?;
        let values = value
            .as_array()
            .cloned()
            .unwrap_or_else(|| vec![value.clone()]);
        let path = match &source["path"] {
            Value::Array(parts) => parts.last().and_then(Value::as_str).unwrap_or_default(),
            other => other.as_str().unwrap_or_default(),
        };
        if matches!(path, "id" | "_id") {
            if !kind.starts_with("valueText") && !kind.starts_with("valueString") {
                return Err("invalid where filter: using [\"_id\"] to filter by uuid: must use \"valueText\" to specify the id".to_owned());
            }
            let texts = values
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect();
            return Ok(Filter::Id(operator.to_owned(), texts));
        }
        match class.property(path).is_some() || path.starts_with('_') {
            true => Ok(Filter::Property(
                operator.to_owned(),
                path.to_owned(),
                values,
            )),
            false => Err(format!(
                "invalid where filter: {}",
                unknown_property(path, &class.name)
            )),
        }
    }

    /// The ids that match, ascending.
    pub(super) fn matches(&self, objects: &Objects) -> Vec<Uuid> {
        if let Filter::Id(operator, texts) = self
            && matches!(operator.as_str(), "Equal" | "ContainsAny")
        {
            return direct(texts, objects);
        }
        objects
            .iter()
            .filter(|(id, object)| self.fits(**id, object))
            .map(|(id, _)| *id)
            .collect()
    }

    fn fits(&self, id: Uuid, object: &Arc<Object>) -> bool {
        match self {
            Filter::And(all) => all.iter().all(|filter| filter.fits(id, object)),
            Filter::Or(any) => any.iter().any(|filter| filter.fits(id, object)),
            Filter::Not(none) => !none.iter().any(|filter| filter.fits(id, object)),
            Filter::Id(operator, texts) => fits_text(operator, &indexed(id, object), texts),
            Filter::Property(operator, name, values) => {
                fits_property(operator, object, name, values)
            }
        }
    }
}

/// The id as the index knows it.
fn indexed(id: Uuid, object: &Object) -> String {
    object
        .indexed
        .as_deref()
        .map_or_else(|| id.to_string(), str::to_owned)
}

/// Ids given one by one are looked up, not searched for.
fn direct(texts: &[String], objects: &Objects) -> Vec<Uuid> {
    let known = |text: &String| {
        let id = Uuid::try_parse(text).ok()?;
        objects
            .get(&id)
            .filter(|object| indexed(id, object) == *text)
            .map(|_| id)
    };
    let found: std::collections::BTreeSet<Uuid> = texts.iter().filter_map(known).collect();
    found.into_iter().collect()
}

fn fits_text(operator: &str, text: &str, values: &[String]) -> bool {
    let first = values.first().map(String::as_str).unwrap_or_default();
    match operator {
        "Equal" => text == first,
        "NotEqual" => text != first,
        "Like" => like(text.as_bytes(), first.as_bytes()),
        "GreaterThan" => text > first,
        "GreaterThanEqual" => text >= first,
        "LessThan" => text < first,
        "LessThanEqual" => text <= first,
        "ContainsAny" => values.iter().any(|value| value == text),
        "ContainsNone" => !values.iter().any(|value| value == text),
        "ContainsAll" => values.iter().all(|value| value == text),
        _ => false,
    }
}

/// Whether the pattern with `*` and `?` covers the text.
fn like(text: &[u8], pattern: &[u8]) -> bool {
    let (mut at, mut star) = ((0, 0), None);
    while at.0 < text.len() {
        match pattern.get(at.1) {
            Some(b'*') => {
                star = Some((at.1 + 1, at.0));
                at.1 += 1;
            }
            Some(letter) if *letter == b'?' || *letter == text[at.0] => at = (at.0 + 1, at.1 + 1),
            _ => match star {
                Some((behind, from)) => {
                    star = Some((behind, from + 1));
                    at = (from + 1, behind);
                }
                None => return false,
            },
        }
    }
    pattern[at.1..].iter().all(|letter| *letter == b'*')
}

fn fits_property(operator: &str, object: &Object, name: &str, values: &[Value]) -> bool {
    let properties: Value = serde_json::from_str(&object.properties).unwrap_or_default();
    let value = match name {
        "_creationTimeUnix" => object.created.into(),
        "_lastUpdateTimeUnix" => object.updated.into(),
        _ => properties[name].clone(),
    };
    let first = values.first().unwrap_or(&Value::Null);
    if operator == "IsNull" {
        return value.is_null() == (*first == true);
    }
    let items = value
        .as_array()
        .cloned()
        .unwrap_or_else(|| vec![value.clone()]);
    let has = |wanted: &Value| items.iter().any(|item| equal(item, wanted));
    let order = compare(&value, first);
    match operator {
        _ if value.is_null() => operator == "NotEqual" || operator == "ContainsNone",
        "Equal" => has(first),
        "NotEqual" => !has(first),
        "GreaterThan" => order.is_gt(),
        "GreaterThanEqual" => order.is_ge(),
        "LessThan" => order.is_lt(),
        "LessThanEqual" => order.is_le(),
        "Like" => {
            let [text, pattern] =
                [&value, first].map(|side| side.as_str().unwrap_or_default().to_lowercase());
            words(&text).any(|word| like(word.as_bytes(), pattern.as_bytes()))
        }
        "ContainsAny" => values.iter().any(has),
        "ContainsAll" => values.iter().all(has),
        "ContainsNone" => !values.iter().any(has),
        _ => false,
    }
}

/// Texts are equal if every word of the wanted one occurs; all else is compared by value.
fn equal(item: &Value, wanted: &Value) -> bool {
    match (item.as_str(), wanted.as_str()) {
        (Some(item), Some(wanted)) => {
            let (item, wanted) = (item.to_lowercase(), wanted.to_lowercase());
            words(&wanted).all(|word| words(&item).any(|other| other == word))
        }
        _ => item == wanted || (item.is_number() && compare(item, wanted).is_eq()),
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::like;

    #[test]
    fn patterns_cover_texts_with_stars_and_question_marks() {
        assert!(like(b"0000000a-0000", b"0000000a*"));
        assert!(like(b"abc", b"*"));
        assert!(like(b"abcabd", b"*ab?"));
        assert!(!like(b"abc", b"b*"));
        assert!(!like(b"abc", b"ab"));
    }
}

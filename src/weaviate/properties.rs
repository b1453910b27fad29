//! How a value that was read must be spelled to be written: most as they are, a few types not.

use std::collections::HashMap;

use serde_json::Value;

use crate::error::{Error, Kind, Result};
use crate::model::PropertyType;

/// What to do with the values of one property.
#[derive(Clone, Debug, PartialEq)]
enum Rule {
    /// `int` is stored as f64, and -2^63 reads as `-9223372036854776000`, which REST refuses: clamp to int64.
    Int,
    /// Only `input` and `defaultCountry`; the server computes the rest again, identically.
    Phone,
    /// The stored hash would be hashed again.
    BlobHash,
    /// References are written when every object is there.
    Reference,
    /// An object with members that need a rule.
    Object(HashMap<String, Rule>),
}

/// The rules of a collection; properties without one are written as they were read.
#[derive(Clone, Debug, Default)]
pub struct PropertyRules {
    rules: HashMap<String, Rule>,
}

/// What becomes of a value.
#[derive(Debug, PartialEq)]
pub(super) enum Spelling {
    /// Write it as it was read.
    AsRead,
    /// Write this.
    Other(String),
    /// Do not write it.
    Leave,
}

impl PropertyRules {
    /// The rules for these properties.
    pub fn of(properties: &[PropertyType]) -> Self {
        PropertyRules {
            rules: rules(properties),
        }
    }

    pub(super) fn spell(&self, name: &str, json: &str) -> Result<Spelling> {
        let Some(rule) = self.rules.get(name) else {
            return Ok(Spelling::AsRead);
        };
        match rule {
            Rule::BlobHash | Rule::Reference => Ok(Spelling::Leave),
            Rule::Int if is_plain_int(json) => Ok(Spelling::AsRead),
            rule => {
                let mut value: Value = serde_json::from_str(json).map_err(|cause| {
                    Error::new(Kind::Failed, format!("property `{name}` holds no JSON"))
                        .with_cause(cause)
                })?;
                apply(rule, &mut value);
                Ok(Spelling::Other(value.to_string()))
            }
        }
    }
}

fn rules(properties: &[PropertyType]) -> HashMap<String, Rule> {
    properties
        .iter()
        .filter_map(|property| Some((property.name.clone(), rule(property)?)))
        .collect()
}

fn rule(property: &PropertyType) -> Option<Rule> {
    if property.is_reference {
        return Some(Rule::Reference);
    }
    match property.data_type.as_str() {
        "int" | "int[]" => Some(Rule::Int),
        "phoneNumber" => Some(Rule::Phone),
        "blobHash" => Some(Rule::BlobHash),
        "object" | "object[]" => {
            let nested = rules(&property.nested);
            (!nested.is_empty()).then_some(Rule::Object(nested))
        }
        _ => None,
    }
}

/// At most 18 digits cannot leave int64.
fn is_plain_int(json: &str) -> bool {
    let digits = json.strip_prefix('-').unwrap_or(json);
    (1..=18).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
}

fn apply(rule: &Rule, value: &mut Value) {
    match (rule, value) {
        (rule, Value::Array(list)) => list.iter_mut().for_each(|element| apply(rule, element)),
        (Rule::Int, value @ Value::Number(_)) => {
            if let Some(number) = value.as_i64().or_else(|| value.as_f64().map(clamp)) {
                *value = Value::from(number);
            }
        }
        (Rule::Phone, Value::Object(phone)) => {
            phone.retain(|name, _| matches!(name.as_str(), "input" | "defaultCountry"));
        }
        (Rule::Object(rules), Value::Object(members)) => {
            members.retain(|name, _| !matches!(rules.get(name), Some(Rule::BlobHash)));
            for (name, member) in members.iter_mut() {
                if let Some(rule) = rules.get(name) {
                    apply(rule, member);
                }
            }
        }
        _ => {}
    }
}

/// `as` saturates at the ends of int64.
fn clamp(number: f64) -> i64 {
    number as i64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Definition;

    fn spelled(name: &str, json: &str) -> Spelling {
        let definition = Definition::parse(
            r#"{"class":"A","properties":[{"name":"t","dataType":["text"]},{"name":"i","dataType":["int"]},{"name":"is","dataType":["int[]"]},
            {"name":"p","dataType":["phoneNumber"]},{"name":"h","dataType":["blobHash"]},{"name":"r","dataType":["A"]},
            {"name":"o","dataType":["object[]"],"nestedProperties":[{"name":"i","dataType":["int"]},{"name":"t","dataType":["text"]}]}]}"#.to_owned(),
        )
        .unwrap();
        PropertyRules::of(&definition.properties().unwrap())
            .spell(name, json)
            .unwrap()
    }

    fn other(json: &str) -> Spelling {
        Spelling::Other(json.to_owned())
    }

    #[test]
    fn ints_are_written_as_plain_digits_within_int64() {
        assert_eq!(spelled("i", "-42"), Spelling::AsRead);
        assert_eq!(
            spelled("i", "-9223372036854776000"),
            other("-9223372036854775808")
        );
        assert_eq!(
            spelled("i", "9223372036854776000"),
            other("9223372036854775807")
        );
        assert_eq!(spelled("i", "1e3"), other("1000"));
        assert_eq!(spelled("is", "[1,1e3]"), other("[1,1000]"));
        assert_eq!(spelled("i", "null"), other("null"));
    }

    #[test]
    fn computed_values_are_left_to_the_server() {
        assert_eq!(
            spelled("p", r#"{"input":"1","defaultCountry":"DE","valid":true}"#),
            other(r#"{"defaultCountry":"DE","input":"1"}"#)
        );
        assert_eq!(spelled("h", "\"abc\""), Spelling::Leave);
        assert_eq!(spelled("r", "[]"), Spelling::Leave);
    }

    #[test]
    fn rules_reach_into_objects_and_leave_the_rest_alone() {
        assert_eq!(spelled("t", r#""é\u0000""#), Spelling::AsRead);
        assert_eq!(
            spelled("o", r#"[{"i":1e2,"t":null}]"#),
            other(r#"[{"i":100,"t":null}]"#)
        );
    }
}

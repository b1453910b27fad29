//! Quantization that a server adds to definitions without any (`DEFAULT_QUANTIZATION`), and how it is declined.

use serde_json::Value;

use crate::error::Result;
use crate::model::Definition;

const QUANTIZERS: [&str; 4] = ["pq", "bq", "sq", "rq"];

/// Of meaning for the creation alone; the server keeps it as it was then.
const DECLINES: &str = "skipDefaultQuantization";

/// `asked` once more, declining the quantization that the server added in `made`; `None` if it added none.
pub fn declining_quantization(asked: &Definition, made: &Definition) -> Result<Option<Definition>> {
    let (mut asked, made) = (asked.value()?, made.value()?);
    let mut is_declined = decline(&mut asked["vectorIndexConfig"], &made["vectorIndexConfig"]);
    let named = asked.get_mut("vectorConfig").and_then(Value::as_object_mut);
    for (name, vector) in named.into_iter().flatten() {
        let made = &made["vectorConfig"][name.as_str()]["vectorIndexConfig"];
        is_declined |= decline(&mut vector["vectorIndexConfig"], made);
    }
    match is_declined {
        true => Definition::parse(asked.to_string()).map(Some),
        false => Ok(None),
    }
}

/// The settings of an index, and those of the two that a dynamic one becomes.
fn decline(asked: &mut Value, made: &Value) -> bool {
    let is_on = |config: &Value, name: &str| config[name]["enabled"] == true;
    let was_asked = QUANTIZERS.iter().any(|name| is_on(asked, name));
    let was_added = QUANTIZERS
        .iter()
        .any(|name| asked[*name]["enabled"] == false && is_on(made, name));
    let mut is_declined = was_added && !was_asked;
    if is_declined {
        asked[DECLINES] = true.into();
    }
    for inner in ["hnsw", "flat"] {
        if asked[inner].is_object() {
            is_declined |= decline(&mut asked[inner], &made[inner]);
        }
    }
    is_declined
}

/// Takes out what says nothing about a collection that is there.
pub(super) fn forget_declining(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.remove(DECLINES);
            members.values_mut().for_each(forget_declining);
        }
        Value::Array(list) => list.iter_mut().for_each(forget_declining),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn declined(asked: Value, made: Value) -> Option<Value> {
        let definition = |value: Value| Definition::parse(value.to_string()).unwrap();
        let declining = declining_quantization(&definition(asked), &definition(made)).unwrap();
        declining.map(|declining| declining.value().unwrap())
    }

    #[test]
    fn only_what_the_server_added_is_declined() {
        let (off, on) = (json!({"enabled": false}), json!({"enabled": true}));
        let plain = json!({"class": "A", "vectorIndexConfig": {"rq": off, "bq": off}});
        let added = json!({"class": "A", "vectorIndexConfig": {"rq": on, "bq": off}});
        let chosen = json!({"class": "A", "vectorIndexConfig": {"rq": off, "bq": on}});
        assert_eq!(declined(plain.clone(), plain.clone()), None);
        assert_eq!(declined(added.clone(), plain.clone()), None);
        assert_eq!(declined(chosen, added.clone()), None);
        assert_eq!(declined(json!({"class": "A"}), added.clone()), None);
        let again = declined(plain, added).unwrap();
        assert_eq!(again["vectorIndexConfig"][DECLINES], true);
    }

    #[test]
    fn each_named_vector_and_both_halves_of_a_dynamic_index_decline_for_themselves() {
        let of = |x: bool, y: bool| {
            let flat = json!({"vectorIndexConfig": {"hnsw": {"rq": {"enabled": x}}, "flat": {"bq": {"enabled": y}}}});
            json!({"class": "A", "vectorConfig": {"x": flat, "y": {"vectorIndexConfig": {"rq": {"enabled": y}}}}})
        };
        let again = declined(of(false, false), of(true, false)).unwrap();
        let x = &again["vectorConfig"]["x"]["vectorIndexConfig"];
        assert_eq!(x["hnsw"][DECLINES], true);
        assert_eq!(x["flat"][DECLINES], Value::Null);
        let y = &again["vectorConfig"]["y"]["vectorIndexConfig"];
        assert_eq!(y[DECLINES], Value::Null);
    }
}

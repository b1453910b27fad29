//! Filters of gRPC requests, turned into those of the sandbox.

use serde_json::Value;

use super::super::class::Class;
use super::super::filter::Filter;
use super::super::values::unknown_property;
use super::messages::{FilterValue, Filters};

/// The names of the operators by their number; those without a name combine filters, or are none.
const OPERATORS: [&str; 15] = [
    "",
    "Equal",
    "NotEqual",
    "GreaterThan",
    "GreaterThanEqual",
    "LessThan",
    "LessThanEqual",
    "",
    "",
    "WithinGeoRange",
    "Like",
    "IsNull",
    "ContainsAny",
    "ContainsAll",
    "ContainsNone",
];

/// Reads a filter against a class; the error is the server's text.
pub(super) fn read(source: &Filters, class: &Class) -> Result<Filter, String> {
    let operands = || -> Result<Vec<Filter>, String> {
        let list = source.filters.iter();
        list.map(|operand| read(operand, class)).collect()
    };
    match source.operator {
        7 => Ok(Filter::And(operands()?)),
        8 => Ok(Filter::Or(operands()?)),
        15 => Ok(Filter::Not(operands()?)),
        _ => leaf(source, class),
    }
}

fn leaf(source: &Filters, class: &Class) -> Result<Filter, String> {
    if source.target.is_none() && source.on.len() % 2 != 1 {
        let on = source.on.join(" ");
        return Err(format!(
            "paths needs to have a uneven number of components: property, class, property, ...., got [{on}]"
        ));
    }
    let number = usize::try_from(source.operator).unwrap_or_default();
    let operator = OPERATORS.get(number).filter(|name| !name.is_empty());
    let operator =
        operator.ok_or_else(|| format!("unknown filter operator {}", source.operator))?;
    let path = match &source.target {
        Some(target) => target.property.as_str(),
        None => source.on.last().map(String::as_str).unwrap_or_default(),
    };
    let values = values(source.value.as_ref())?;
    if path == "_id" {
        let texts = values.iter().filter_map(Value::as_str);
        return Ok(Filter::Id(
            (*operator).to_owned(),
            texts.map(str::to_owned).collect(),
        ));
    }
    match class.property(path).is_some() || path.starts_with('_') {
        true => Ok(Filter::Property(
            (*operator).to_owned(),
            path.to_owned(),
            values,
        )),
        false => Err(unknown_property(path, &class.name)),
    }
}

fn values(value: Option<&FilterValue>) -> Result<Vec<Value>, String> {
    fn each<T: Clone + Into<Value>>(values: &[T]) -> Vec<Value> {
        values.iter().cloned().map(Into::into).collect()
    }
    Ok(match value {
        None => return Err("unknown value type <nil>".to_owned()),
        Some(FilterValue::Text(text)) => vec![text.as_str().into()],
        Some(FilterValue::Int(number)) => vec![(*number).into()],
        Some(FilterValue::Boolean(flag)) => vec![(*flag).into()],
        Some(FilterValue::Number(number)) => vec![(*number).into()],
        Some(FilterValue::Texts(list)) => each(&list.values),
        Some(FilterValue::Ints(list)) => each(&list.values),
        Some(FilterValue::Booleans(list)) => each(&list.values),
        Some(FilterValue::Numbers(list)) => each(&list.values),
    })
}

//! One request as the handlers see it, and the framework's reading of its body.

use uuid::Uuid;

use super::faults::Faults;
use super::json::Json;
use super::reply::Reply;
use super::settings::Settings;
use super::store::Store;

/// A request that passed the framework's checks of path, method, token and content type.
pub(super) struct Call<'a> {
    pub(super) store: &'a Store,
    pub(super) settings: &'a Settings,
    pub(super) faults: &'a Faults,
    pub(super) query: &'a [(String, String)],
    pub(super) body: &'a str,
    /// The header `consistency: false`: read the local copy of the schema.
    pub(super) local: bool,
    /// A fault: the most objects that a page holds, whatever its limit.
    pub(super) short_page: Option<usize>,
}

/// What a body must be, in the words of the server's decoder.
pub(super) struct Shape {
    /// The name of the body parameter.
    pub(super) parameter: &'static str,
    /// The type it is decoded into.
    pub(super) type_name: &'static str,
    /// Whether it is a list.
    pub(super) list: bool,
}

impl Shape {
    pub(super) const fn object(type_name: &'static str) -> Shape {
        Shape {
            parameter: "body",
            type_name,
            list: false,
        }
    }

    pub(super) const fn list(type_name: &'static str) -> Shape {
        Shape {
            parameter: "body",
            type_name,
            list: true,
        }
    }
}

impl<'a> Call<'a> {
    /// The value of a query parameter; the last one counts.
    pub(super) fn query(&self, name: &str) -> Option<&'a str> {
        self.query
            .iter()
            .rev()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// The tenant named in the query, or `""`.
    pub(super) fn tenant(&self) -> &'a str {
        self.query("tenant").unwrap_or_default()
    }

    /// A whole number in the query.
    pub(super) fn number(&self, name: &str) -> Result<Option<i64>, Reply> {
        let Some(text) = self.query(name).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let refuse = |_| {
            Reply::framework(
                601,
                format!("{name} in query must be of type int64: \"{text}\""),
            )
        };
        text.parse().map(Some).map_err(refuse)
    }

    /// Refuses a `consistency_level` that does not exist.
    pub(super) fn check_consistency_level(&self) -> Result<(), Reply> {
        match self.query("consistency_level").unwrap_or_default() {
            "" | "ONE" | "QUORUM" | "ALL" => Ok(()),
            other => {
                let known = "try one of the following: ['ONE', 'QUORUM', 'ALL']";
                Err(Reply::error(
                    400,
                    format!("unrecognized consistency level '{other}', {known}"),
                ))
            }
        }
    }

    /// The body as JSON of the given shape; null passes for every shape.
    pub(super) fn json(&self, shape: &Shape) -> Result<Json<'a>, Reply> {
        let parameter = shape.parameter;
        if self.body.trim_ascii().is_empty() {
            return Err(Reply::framework(
                602,
                format!("{parameter} in body is required"),
            ));
        }
        let value = Json::parse(self.body).map_err(|text| shape.broken(&text))?;
        match (&value, shape.list) {
            (Json::Null, _) | (Json::Array(_), true) | (Json::Object(_), false) => Ok(value),
            _ => Err(shape.broken(&format!(
                "json: cannot unmarshal {} into Go value of type {}",
                value.kind(),
                shape.type_name
            ))),
        }
    }
}

impl Shape {
    fn broken(&self, text: &str) -> Reply {
        Reply::framework(
            400,
            format!(
                "parsing {} body from \"\" failed, because {text}",
                self.parameter
            ),
        )
    }

    /// Refuses a member of the wrong type; `field` and `type_name` are those of the server's decoder.
    pub(super) fn check(
        &self,
        value: Option<&Json<'_>>,
        field: &str,
        type_name: &str,
        fits: fn(&Json<'_>) -> bool,
    ) -> Result<(), Reply> {
        match value {
            Some(value) if !fits(value) => Err(self.broken(&format!(
                "json: cannot unmarshal {} into Go struct field {field} of type {type_name}",
                value.kind()
            ))),
            _ => Ok(()),
        }
    }

    /// As `check`, for texts.
    pub(super) fn check_text(&self, value: Option<&Json<'_>>, field: &str) -> Result<(), Reply> {
        self.check(value, field, "string", |value| value.text().is_some())
    }

    /// Refuses a number that does not fit an f32.
    pub(super) fn check_float(&self, value: &Json<'_>, field: &str) -> Result<(), Reply> {
        let refuse = |what: &str| {
            let text = format!(
                "json: cannot unmarshal {what} into Go struct field {field} of type float32"
            );
            Err(self.broken(&text))
        };
        match value {
            Json::Number(text) if text.parse::<f32>().is_ok_and(f32::is_finite) => Ok(()),
            Json::Number(text) => refuse(&format!("number {text}")),
            other => refuse(other.kind()),
        }
    }
}

/// The id in a path, if the framework accepts it.
pub(super) fn path_id(text: &str) -> Result<Uuid, Reply> {
    strict_id(text).ok_or_else(|| {
        Reply::framework(601, format!("id in path must be of type uuid: \"{text}\""))
    })
}

/// An id as the framework accepts it: 32 hexadecimal digits, with hyphens or without.
pub(super) fn strict_id(text: &str) -> Option<Uuid> {
    matches!(text.len(), 32 | 36)
        .then(|| Uuid::try_parse(text).ok())
        .flatten()
}

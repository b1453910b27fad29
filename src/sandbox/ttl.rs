//! Expiry of objects: only gRPC pages leave out what has expired.

use jiff::{SignedDuration, Timestamp};

use super::class::Class;
use super::json::Json;
use super::object::Object;

/// When the objects of a class expire.
pub(super) struct Expiry<'c> {
    property: &'c str,
    lifetime: SignedDuration,
    now: Timestamp,
}

impl<'c> Expiry<'c> {
    /// The expiry of a class that hides expired objects.
    pub(super) fn of(class: &'c Class) -> Option<Expiry<'c>> {
        let config = &class.definition["objectTtlConfig"];
        let is_hidden = config["enabled"] == true && config["filterExpiredObjects"] == true;
        is_hidden.then(|| Expiry {
            property: config["deleteOn"].as_str().unwrap_or_default(),
            lifetime: SignedDuration::from_secs(config["defaultTtl"].as_i64().unwrap_or(0)),
            now: Timestamp::now(),
        })
    }

    /// Whether the time of an object is up; one without a time lives on.
    pub(super) fn is_over(&self, object: &Object) -> bool {
        let from = match self.property {
            "_creationTimeUnix" => Timestamp::from_millisecond(object.created).ok(),
            "_lastUpdateTimeUnix" => Timestamp::from_millisecond(object.updated).ok(),
            name => Json::parse(&object.properties)
                .ok()
                .and_then(|stored| stored.text_of(name).parse().ok()),
        };
        from.and_then(|from| from.checked_add(self.lifetime).ok())
            .is_some_and(|end| end <= self.now)
    }
}

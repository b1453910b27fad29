//! The messages of BatchStream.

use prost::{Message, Oneof};

use super::messages::BatchReference;
use super::objects::BatchObject;

#[derive(Clone, PartialEq, Message)]
pub(super) struct BatchStreamRequest {
    #[prost(oneof = "Told", tags = "1, 2, 3")]
    pub(super) told: Option<Told>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Told {
    #[prost(message, tag = "1")]
    Start(()),
    #[prost(message, tag = "2")]
    Data(Batches),
    #[prost(message, tag = "3")]
    Stop(()),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Batches {
    #[prost(message, optional, tag = "1")]
    objects: Option<ObjectBatch>,
    #[prost(message, optional, tag = "2")]
    references: Option<ReferenceBatch>,
}

impl Batches {
    pub(super) fn objects(&self) -> &[BatchObject] {
        self.objects.as_ref().map_or(&[], |batch| &batch.values)
    }

    pub(super) fn references(&self) -> &[BatchReference] {
        self.references.as_ref().map_or(&[], |batch| &batch.values)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.objects().is_empty() && self.references().is_empty()
    }
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ObjectBatch {
    #[prost(message, repeated, tag = "1")]
    pub(super) values: Vec<BatchObject>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ReferenceBatch {
    #[prost(message, repeated, tag = "1")]
    pub(super) values: Vec<BatchReference>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct BatchStreamReply {
    #[prost(oneof = "Said", tags = "1, 4, 6")]
    pub(super) said: Option<Said>,
}

#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Said {
    #[prost(message, tag = "1")]
    Results(Results),
    #[prost(message, tag = "4")]
    Started(()),
    #[prost(message, tag = "6")]
    Acks(Acks),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Results {
    #[prost(message, repeated, tag = "1")]
    pub(super) errors: Vec<StreamError>,
    #[prost(message, repeated, tag = "2")]
    pub(super) successes: Vec<Success>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct StreamError {
    #[prost(string, tag = "1")]
    pub(super) error: String,
    #[prost(oneof = "Named", tags = "2, 3")]
    pub(super) named: Option<Named>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Success {
    #[prost(oneof = "Named", tags = "2, 3")]
    pub(super) named: Option<Named>,
}

/// What was sent, by its name.
#[derive(Clone, PartialEq, Oneof)]
pub(super) enum Named {
    #[prost(string, tag = "2")]
    Uuid(String),
    #[prost(string, tag = "3")]
    Beacon(String),
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Acks {
    #[prost(string, repeated, tag = "1")]
    pub(super) uuids: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(super) beacons: Vec<String>,
}

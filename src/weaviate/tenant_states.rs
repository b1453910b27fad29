//! What gRPC's TenantsGet is asked and answers: the states of tenants by name. It wakes none.

use bytes::Bytes;

use super::api::{TenantState, TenantStatus};
use super::protobuf::{Add, Fields, Wire, malformed};
use crate::error::Result;
use crate::model::CollectionName;

/// TenantsGetRequest. There must be names: without any it is refused (1.40).
pub(super) fn request(name: &CollectionName, tenants: &[String]) -> Bytes {
    let mut message = Vec::with_capacity(64);
    message.add_bytes(1, name.as_str().as_bytes());
    message.add_message(2, |names| {
        for tenant in tenants {
            names.add_bytes(1, tenant.as_bytes());
        }
    });
    message.into()
}

/// The tenants of a TenantsGetReply whose state has a meaning. Left out are those that are gone, and without a word those
/// that the key may not see (1.40).
pub(super) fn read(reply: &[u8]) -> Result<Vec<TenantState>> {
    const TENANTS: u64 = 2;
    let mut states = Vec::new();
    for field in Fields::of(reply) {
        if let (TENANTS, Wire::Bytes(tenant)) = field? {
            states.extend(read_tenant(tenant)?);
        }
    }
    Ok(states)
}

fn read_tenant(tenant: &[u8]) -> Result<Option<TenantState>> {
    let (mut name, mut status) = ("", None);
    for field in Fields::of(tenant) {
        match field? {
            (1, value) => name = value.text()?,
            (2, Wire::Varint(number)) => status = meaning(number),
            _ => {}
        }
    }
    if name.is_empty() {
        return Err(malformed("a tenant has no name"));
    }
    Ok(status.map(|status| TenantState {
        name: name.to_owned(),
        status,
    }))
}

/// TenantActivityStatus: the words of today and those that came before.
fn meaning(number: u64) -> Option<TenantStatus> {
    Some(match number {
        1 | 7 => TenantStatus::Hot,
        2 | 8 => TenantStatus::Cold,
        4 | 9 => TenantStatus::Frozen,
        5 | 11 => TenantStatus::Unfreezing,
        6 | 10 => TenantStatus::Freezing,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(tenants: &[(&str, u64)]) -> Vec<u8> {
        let mut reply = Vec::new();
        for (name, status) in tenants {
            reply.add_message(2, |tenant| {
                tenant.add_bytes(1, name.as_bytes());
                tenant.add_number(2, *status);
            });
        }
        reply
    }

    #[test]
    fn states_have_the_meaning_that_rest_gives_them() {
        let words = [
            (1, "HOT"),
            (2, "COLD"),
            (4, "FROZEN"),
            (5, "UNFREEZING"),
            (6, "FREEZING"),
            (7, "ACTIVE"),
            (8, "INACTIVE"),
            (9, "OFFLOADED"),
            (10, "OFFLOADING"),
            (11, "ONLOADING"),
        ];
        for (number, word) in words {
            let status: TenantStatus = serde_json::from_value(word.into()).unwrap();
            let states = read(&reply(&[("a", number)])).unwrap();
            assert_eq!(
                states,
                [TenantState {
                    name: "a".to_owned(),
                    status
                }],
                "{word}"
            );
        }
    }

    #[test]
    fn a_state_without_a_meaning_is_not_told() {
        let mut states = reply(&[("a", 0), ("b", 3), ("c", 12), ("d", 1)]);
        // One without any.
        states.add_message(2, |tenant| tenant.add_bytes(1, b"e"));
        let names: Vec<String> = read(&states)
            .unwrap()
            .into_iter()
            .map(|it| it.name)
            .collect();
        assert_eq!(names, ["d"]);
        assert_eq!(read(&[]).unwrap(), []);
    }

    #[test]
    fn a_reply_that_cannot_be_read_is_an_error() {
        let mut nameless = Vec::new();
        nameless.add_message(2, |tenant| tenant.add_number(2, 1));
        for broken in [
            nameless,
            reply(&[("a", 1)])[..4].to_vec(),
            vec![0x12, 3, 0x0a, 1, 0xff],
            b"<html>".to_vec(),
        ] {
            let error = read(&broken).unwrap_err();
            assert!(error.is_transient(), "{broken:?}: {error}");
        }
    }
}

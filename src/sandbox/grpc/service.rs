//! From a call to its handler, in the order of the real server: method, mode, token, message.

use std::time::Instant;

use prost::Message;
use tonic::{Code, Status};

use super::super::call::Call;
use super::super::routes::Service;
use super::super::settings::Mode;
use super::messages::{
    AggregateReply, BatchDeleteReply, BatchObjectsRequest, BatchReferencesRequest, BatchReply,
    HealthReply, SearchReply, TenantsGetReply,
};
use super::status::unknown;
use super::{aggregate, batch, delete, search, tenants};

/// The encoded reply to a call, or why there is none.
pub(super) type Answer = Result<Vec<u8>, Status>;

const WEAVIATE: &str = "/weaviate.v1.Weaviate/";
const HEALTH: &str = "/grpc.health.v1.Health/Check";
const WRITES: [&str; 3] = ["BatchObjects", "BatchReferences", "BatchDelete"];
const READS: [&str; 3] = ["Search", "Aggregate", "TenantsGet"];

/// Whether a call changes the store if it succeeds.
pub(super) fn is_write(path: &str) -> bool {
    path.strip_prefix(WEAVIATE)
        .is_some_and(|method| WRITES.contains(&method))
}

impl Service {
    /// Executes a unary call.
    pub(super) fn call(
        &self,
        path: &str,
        authorization: Option<&str>,
        message: &[u8],
        short_page: Option<usize>,
    ) -> Answer {
        let method = path.strip_prefix(WEAVIATE);
        let known = |method: &&str| WRITES.contains(method) || READS.contains(method);
        if path != HEALTH && method.filter(known).is_none() {
            return Err(unimplemented(path));
        }
        self.check_call_mode(method)?;
        if path == HEALTH {
            return Ok(HealthReply { status: 1 }.encode_to_vec());
        }
        self.check_call_token(authorization)
            .map_err(|text| unknown(format!("extract auth: {text}")))?;
        let reply = self.handle_call(method.unwrap_or_default(), message, short_page)?;
        self.check_size("trying to send", reply.len())?;
        Ok(reply)
    }

    fn handle_call(&self, method: &str, message: &[u8], short_page: Option<usize>) -> Answer {
        let call = self.plain_call(short_page);
        let began = Instant::now();
        let took = || began.elapsed().as_secs_f32();
        match method {
            "Search" => answer(message, |request| {
                let reply = search::search(&call, request).map_err(unknown)?;
                Ok(SearchReply {
                    took: took(),
                    ..reply
                })
            }),
            "Aggregate" => answer(message, |request| {
                let reply = aggregate::aggregate(&call, request).map_err(unknown)?;
                Ok(AggregateReply {
                    took: took(),
                    ..reply
                })
            }),
            "TenantsGet" => answer(message, |request| {
                let reply = tenants::tenants(&call, request).map_err(unknown)?;
                Ok(TenantsGetReply {
                    took: took(),
                    ..reply
                })
            }),
            "BatchDelete" => answer(message, |request| {
                let reply = delete::delete(&call, request).map_err(unknown)?;
                Ok(BatchDeleteReply {
                    took: took(),
                    ..reply
                })
            }),
            "BatchReferences" => answer(message, |request: &BatchReferencesRequest| {
                let failures = batch::references(&call, &request.references)?;
                Ok(BatchReply {
                    took: took(),
                    ..batch::reply(failures)
                })
            }),
            _ => answer(message, |request: &BatchObjectsRequest| {
                let failures = batch::objects(&call, &request.objects)?;
                Ok(BatchReply {
                    took: took(),
                    ..batch::reply(failures)
                })
            }),
        }
    }

    /// A call as the handlers of both protocols see it.
    pub(super) fn plain_call(&self, short_page: Option<usize>) -> Call<'_> {
        Call {
            store: &self.store,
            settings: &self.settings,
            faults: &self.faults,
            query: &[],
            body: "",
            local: false,
            short_page,
        }
    }

    fn check_call_mode(&self, method: Option<&str>) -> Result<(), Status> {
        let reads = method.is_some_and(|method| READS.contains(&method));
        let refuse = |mode: &str, what: &str| {
            let text = format!(
                "{mode} mode is enabled temporally at the config level: {what} operations are not allowed during this time"
            );
            Err(Status::new(Code::Unavailable, text))
        };
        match self.settings.mode {
            Mode::ReadOnly if !reads => refuse("read-only", "write"),
            Mode::WriteOnly if reads => refuse("write-only", "read"),
            _ => Ok(()),
        }
    }

    /// The token of a call against the key of the server; a missing one is as wrong as any other.
    pub(super) fn check_call_token(&self, authorization: Option<&str>) -> Result<(), &'static str> {
        let token = authorization
            .and_then(|header| header.strip_prefix("Bearer "))
            .filter(|token| !token.is_empty());
        match (&self.settings.api_key, token) {
            (None, None) => Ok(()),
            (None, Some(_)) => Err(
                "no authentication scheme is configured (API Key or OIDC), but an 'Authorization' header was provided. Please configure an auth scheme or remove the header for anonymous access",
            ),
            (Some(key), Some(token)) if key == token => Ok(()),
            (Some(_), _) => Err("unauthorized: invalid api key"),
        }
    }

    /// Refuses a message beyond the limit, in either direction.
    pub(super) fn check_size(&self, what: &str, size: usize) -> Result<(), Status> {
        let limit = self.settings.grpc_max_message_size;
        match size as u64 > limit {
            true => Err(Status::new(
                Code::ResourceExhausted,
                format!("grpc: {what} message larger than max ({size} vs. {limit})"),
            )),
            false => Ok(()),
        }
    }
}

fn answer<Q: Message + Default, R: Message>(
    message: &[u8],
    handler: impl FnOnce(&Q) -> Result<R, Status>,
) -> Answer {
    let request = decode(message)?;
    handler(&request).map(|reply| reply.encode_to_vec())
}

/// Reads a message; a broken one is refused as the real server's library does.
pub(super) fn decode<Q: Message + Default>(message: &[u8]) -> Result<Q, Status> {
    Q::decode(message).map_err(|cause| {
        Status::new(
            Code::Internal,
            format!("grpc: error unmarshalling request: {cause}"),
        )
    })
}

fn unimplemented(path: &str) -> Status {
    let (service, method) = path
        .trim_start_matches('/')
        .rsplit_once('/')
        .unwrap_or(("", path));
    let known = [WEAVIATE, HEALTH].iter().any(|known| {
        known
            .trim_start_matches('/')
            .starts_with(&format!("{service}/"))
    });
    let text = match known {
        true => format!("unknown method {method} for service {service}"),
        false => format!("unknown service {service}"),
    };
    Status::new(Code::Unimplemented, text)
}

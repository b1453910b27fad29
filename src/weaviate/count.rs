//! How many objects there are, exact at once.
//!
//! Counts decide about losses, so they come from the server that REST leads to. There are three ways to them, and a server
//! may have none but the last: gRPC's Aggregate, once gRPC is confirmed (1.27 has none); GraphQL, which an operator can switch
//! off (`DISABLE_GRAPHQL`, and always with namespaces) and which needs more permissions than the count itself (1.40); and
//! every id, listed over REST. A count that is not told is an error, never 0.

use std::slice;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::aggregate::{Counted, Ids, read_count};
use super::client::{Client, Patience, Reply};
use super::grpc::Method as GrpcMethod;
use super::listing::not_a_page;
use super::reading::Wish;
use crate::error::{Error, Kind, Reaction, Result};
use crate::model::{CollectionName, ObjectId, Tenant};

/// So many tenants are counted by one request of GraphQL. Of a thousand that costs the server 200 ms of CPU in 250 ms;
/// Aggregate, which knows one at a time, as much in 300 to 500 ms (1.40).
const TENANTS_IN_QUERY: usize = 100;
/// So many hundreds are counted at once: a server that has just started loads each tenant when it is first asked for it, one
/// after another within a query, which takes it 3 to 10 ms of mostly waiting.
const QUERIES_AT_ONCE: usize = 4;
/// So many tenants of each hundred are asked for at once over gRPC.
const CALLS_AT_ONCE: usize = 4;
/// So many objects are listed at once to be counted.
const LISTED_AT_ONCE: u32 = 1_000;

/// What is known of the ways to count.
#[derive(Default)]
pub(super) struct Ways {
    has_no_aggregate: AtomicBool,
    has_no_graphql: AtomicBool,
    listing: AtomicU8,
}

/// Whether objects were listed to be counted, and whether anybody was told.
const NOT_LISTED: u8 = 0;
const LISTED: u8 = 1;
const TOLD: u8 = 2;

impl Ways {
    /// True if that was where it stood.
    fn step(&self, from: u8, to: u8) -> bool {
        let order = Ordering::Relaxed;
        let stepped = self.listing.compare_exchange(from, to, order, order);
        stepped.is_ok()
    }
}

impl Client {
    /// How many objects there are, told by gRPC once that is confirmed: what was read over gRPC is held against
    /// [`Client::counts_of`] instead.
    pub async fn count(&self, name: &CollectionName, tenant: &Tenant) -> Result<u64> {
        self.count_these(&Counted::all(name, tenant)).await
    }

    /// How many objects have an id after `after` and up to `until`. Looks at ids only, so it works where an object cannot be
    /// read, unless they must be listed.
    pub(super) async fn count_ids(
        &self,
        name: &CollectionName,
        tenant: &Tenant,
        after: Option<ObjectId>,
        until: ObjectId,
    ) -> Result<u64> {
        let range = Counted {
            collection: name,
            tenant,
            ids: Some(Ids { after, until }),
        };
        self.count_these(&range).await
    }

    /// How many objects are in these tenants together, all of them active; [`Tenant::NONE`] is a collection without.
    pub async fn count_in(&self, name: &CollectionName, tenants: &[Tenant]) -> Result<u64> {
        Ok(self.counts_of(name, tenants).await?.into_iter().sum())
    }

    /// How many objects are in each of these tenants. GraphQL comes first here: it is as cheap for many, and counts that were
    /// not told by gRPC bear witness to what was read over it.
    pub async fn counts_of(&self, name: &CollectionName, tenants: &[Tenant]) -> Result<Vec<u64>> {
        // The first hundred shows which ways there are.
        let (first, rest) = tenants.split_at(tenants.len().min(TENANTS_IN_QUERY));
        let first = self.count_each(name, first).await?;
        let rest = rest.chunks(TENANTS_IN_QUERY);
        let rest: Vec<_> = rest.map(|some| self.count_each(name, some)).collect();
        let rest = stream::iter(rest).buffered(QUERIES_AT_ONCE);
        let rest: Vec<Vec<u64>> = rest.try_collect().await?;
        Ok([first, rest.concat()].concat())
    }

    /// True once, after objects had to be listed to be counted, which takes much longer.
    pub fn has_news_of_listing(&self) -> bool {
        self.ways.step(LISTED, TOLD)
    }

    async fn count_each(&self, name: &CollectionName, tenants: &[Tenant]) -> Result<Vec<u64>> {
        let mut counts = Vec::with_capacity(tenants.len());
        while let left @ [_, ..] = &tenants[counts.len()..] {
            // On the way another way may open.
            counts.extend(self.count_some(name, left).await?);
        }
        Ok(counts)
    }

    /// Counts one or more of these tenants, from the first.
    async fn count_some(&self, name: &CollectionName, tenants: &[Tenant]) -> Result<Vec<u64>> {
        let some = tenants.iter().map(|tenant| Counted::all(name, tenant));
        let some: Vec<Counted<'_>> = some.collect();
        if let Some(counts) = self.query(&some).await? {
            return Ok(counts);
        }
        let messages = some.iter().map(Counted::message).collect();
        if let Some(counts) = self.aggregate_each(messages).await? {
            return Ok(counts);
        }
        Ok(vec![self.count_these(&some[0]).await?])
    }

    async fn count_these(&self, of: &Counted<'_>) -> Result<u64> {
        if let Some(count) = self.aggregate(of.message()).await? {
            return Ok(count);
        }
        if let Some([count]) = self.query(slice::from_ref(of)).await?.as_deref() {
            return Ok(*count);
        }
        if self.confirm_to_count(of).await?
            && let Some(count) = self.aggregate(of.message()).await?
        {
            return Ok(count);
        }
        self.ways.step(NOT_LISTED, LISTED);
        self.list_to_count(of).await
    }
}

/// Over gRPC.
impl Client {
    /// `None` where gRPC is not confirmed, or cannot count.
    async fn aggregate(&self, message: Bytes) -> Result<Option<u64>> {
        let Some(grpc) = self.grpc() else {
            return Ok(None);
        };
        if self.ways.has_no_aggregate.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let asked = self.call_if_known(grpc, GrpcMethod::Aggregate, message);
        let Some(reply) = asked.await? else {
            self.ways.has_no_aggregate.store(true, Ordering::Relaxed);
            return Ok(None);
        };
        read_count(&reply).map(Some)
    }

    async fn aggregate_each(&self, messages: Vec<Bytes>) -> Result<Option<Vec<u64>>> {
        let counts = stream::iter(messages).map(|message| self.aggregate(message));
        let counts: Vec<Option<u64>> = counts.buffered(CALLS_AT_ONCE).try_collect().await?;
        Ok(counts.into_iter().collect())
    }

    /// Where GraphQL is switched off, gRPC is reached for if nobody has, and confirmed if these objects show where it leads.
    async fn confirm_to_count(&self, of: &Counted<'_>) -> Result<bool> {
        if self.is_grpc_untried() {
            let limit = self.meta().await?.grpc_max_message_size;
            // Whoever needs it says so; here REST will do.
            let _ = self.reach_grpc(limit).await;
        }
        match self.confirm_grpc_by_objects(of.collection, of.tenant).await {
            Err(error) if error.is_transient() => Err(error),
            Err(_) => Ok(false),
            confirmed => confirmed,
        }
    }
}

/// By GraphQL.
impl Client {
    /// How many there are of each; `None` where there is no GraphQL, for us.
    async fn query(&self, each: &[Counted<'_>]) -> Result<Option<Vec<u64>>> {
        if self.ways.has_no_graphql.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let fields: Vec<String> = each.iter().enumerate().map(field).collect();
        let query = json!({"query": format!("{{Aggregate{{{}}}}}", fields.join(" "))});
        let body = Bytes::from(query.to_string());
        let sent = self.send(Method::POST, "graphql", Some(body), Patience::Read);
        let reply = match sent.await {
            Err(error) if is_forbidden(&error) => None,
            Ok(reply) if is_switched_off(&reply) => None,
            reply => Some(reply?),
        };
        let Some(reply) = reply else {
            self.ways.has_no_graphql.store(true, Ordering::Relaxed);
            return Ok(None);
        };
        let value: Value = self.parse("count objects", &reply)?;
        if let Some(message) = value.pointer("/errors/0/message").and_then(Value::as_str) {
            let name = each.first().map_or("", |of| of.collection.as_str());
            let refused = self.cannot_count(name, message);
            return Err(self.believe(refused).await);
        }
        let count = |at: usize| {
            let count = value.pointer(&format!("/data/Aggregate/t{at}/0/meta/count"));
            count.and_then(Value::as_u64)
        };
        let counts: Option<Vec<u64>> = (0..fields.len()).map(count).collect();
        let counts = counts.ok_or_else(|| self.unexpected("count objects", &reply))?;
        Ok(Some(counts))
    }
}

/// What is asked of one, under the name `t` and its number.
fn field((at, of): (usize, &Counted<'_>)) -> String {
    let tenant = of
        .tenant
        .name()
        .map(|tenant| format!("tenant:\"{tenant}\""));
    let arguments: Vec<String> = tenant
        .into_iter()
        .chain(of.ids.as_ref().map(filter))
        .collect();
    let arguments = match arguments.is_empty() {
        true => String::new(),
        false => format!("({})", arguments.join(",")),
    };
    format!("t{at}:{}{arguments}{{meta{{count}}}}", of.collection)
}

/// The bounds as GraphQL writes them.
fn filter(ids: &Ids) -> String {
    let bound = |operator: &str, id: ObjectId| {
        format!("{{path:[\"id\"],operator:{operator},valueText:\"{id}\"}}")
    };
    let mut bounds = vec![bound("LessThanEqual", ids.until)];
    bounds.extend(ids.after.map(|after| bound("GreaterThan", after)));
    format!("where:{{operator:And,operands:[{}]}}", bounds.join(","))
}

/// For lack of a permission that the other ways may not need: GraphQL wants all definitions to be readable (1.40).
fn is_forbidden(error: &Error) -> bool {
    error.kind() == Kind::Unauthorised
}

/// By the operator, because there are namespaces, or by what stands before the server.
fn is_switched_off(reply: &Reply) -> bool {
    match reply.status {
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::GONE => true,
        StatusCode::UNPROCESSABLE_ENTITY => reply.words().contains("graphql api is disabled"),
        _ => false,
    }
}

/// By listing.
impl Client {
    async fn list_to_count(&self, of: &Counted<'_>) -> Result<u64> {
        let (mut after, until) = match of.ids {
            Some(ids) => (ids.after, ids.until),
            None => (None, ObjectId::MAX),
        };
        let (mut count, mut limit) = (0, LISTED_AT_ONCE);
        loop {
            let wish = Wish {
                collection: of.collection,
                tenant: of.tenant,
                after,
                limit,
            };
            let page = match self.list_page(&wish, false).await {
                Err(error) if error.reaction() == Reaction::TooLarge && limit > 1 => {
                    limit /= 2;
                    continue;
                }
                page => page?,
            };
            let mut ended = page.len() == 0;
            for key in page.keys() {
                if after.is_some_and(|after| key.id <= after) {
                    return Err(not_a_page("its ids are out of order"));
                }
                after = Some(key.id);
                ended |= key.id > until;
                count += u64::from(key.id <= until);
            }
            if ended {
                return Ok(count);
            }
        }
    }
}

#[cfg(test)]
mod tests;

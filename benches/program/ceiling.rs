//! Clients that do as little as possible: nobody is faster against the same server on the same machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use elysiactl::error::Result;
use elysiactl::weaviate::{Client, GrpcMethod};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::wire;

/// Reads a collection in `lanes` equal ranges of ids and drops what it gets.
pub async fn discard(
    client: Arc<Client>,
    collection: &str,
    lanes: u128,
    limit: u32,
    keys_only: bool,
) -> Result<u64> {
    let mut tasks = tokio::task::JoinSet::new();
    for lane in 0..lanes {
        let (client, collection) = (client.clone(), collection.to_owned());
        let border = |at: u128| Uuid::from_u128((u128::MAX / lanes).saturating_mul(at)).to_string();
        let (after, until) = ((lane > 0).then(|| border(lane)), border(lane + 1));
        let until = if lane + 1 == lanes {
            "g".to_owned()
        } else {
            until
        };
        tasks.spawn(
            async move { drain(&client, &collection, after, &until, limit, keys_only).await },
        );
    }
    let mut objects = 0;
    for drained in tasks.join_all().await {
        objects += drained?;
    }
    Ok(objects)
}

async fn drain(
    client: &Client,
    collection: &str,
    mut after: Option<String>,
    until: &str,
    limit: u32,
    keys_only: bool,
) -> Result<u64> {
    let mut objects = 0;
    loop {
        let request = wire::search(collection, after.as_deref(), limit, keys_only);
        let reply = client.call_raw(GrpcMethod::Search, request).await?;
        let (count, last) = wire::count_and_last(&reply);
        let Some(last) = last else {
            return Ok(objects);
        };
        if last.as_str() > until {
            let within = wire::ids(&reply)
                .iter()
                .filter(|id| id.as_str() <= until)
                .count();
            return Ok(objects + within as u64);
        }
        objects += count as u64;
        after = Some(last);
    }
}

/// The ids of a collection, in order.
pub async fn ids(client: &Client, collection: &str) -> Result<Vec<String>> {
    let mut all: Vec<String> = Vec::new();
    loop {
        let request = wire::search(collection, all.last().map(String::as_str), 5_000, true);
        let page = wire::ids(&client.call_raw(GrpcMethod::Search, request).await?);
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// Sends messages that were encoded before, `in_flight` at a time.
pub async fn send(
    client: Arc<Client>,
    method: GrpcMethod,
    messages: impl Iterator<Item = Bytes> + Send + 'static,
    in_flight: usize,
) -> Result<()> {
    let messages = Arc::new(Mutex::new(messages));
    let failed = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..in_flight {
        let (client, messages, failed) = (client.clone(), messages.clone(), failed.clone());
        tasks.spawn(async move {
            loop {
                let Some(message) = messages.lock().await.next() else {
                    return Ok(());
                };
                let reply = client.call_raw(method, message).await?;
                let refused = wire::fields(&reply)
                    .filter(|(field, _)| *field == 2)
                    .count();
                failed.fetch_add(refused as u64, Ordering::Relaxed);
            }
        });
    }
    for sent in tasks.join_all().await {
        sent?;
    }
    assert_eq!(
        failed.load(Ordering::Relaxed),
        0,
        "the server refused objects"
    );
    Ok(())
}

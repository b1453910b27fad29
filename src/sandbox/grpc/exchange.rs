//! One call: log, fault, effect, reply.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, Response, header};
use tonic::{Code, Status};

use super::super::course::Instead;
use super::super::delivery::{self, Delivery};
use super::super::reply::Reply;
use super::super::server::Shared;
use super::super::wire::Scissors;
use super::frame::{self, HEAD, announced};
use super::service::{Answer, is_write};
use super::status::code_of;
use super::stream;

/// Serves one call.
pub(in super::super) async fn handle(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(scissors): ConnectInfo<Scissors>,
    request: axum::extract::Request,
) -> Response<Body> {
    let _busy = (scissors.busy(), shared.begin());
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    if path == stream::PATH {
        return open_stream(shared, scissors, &parts.headers, body).await;
    }
    let Ok(body) = axum::body::to_bytes(body, usize::MAX).await else {
        return frame::nothing();
    };
    let mut info = shared.arrived(parts.method.as_str(), path);
    let course = shared.meet(&info).await;
    let answer = match course.takes_effect {
        true => {
            let _held = match is_write(path) {
                true => Some(shared.gate.read().await),
                false => None,
            };
            shared.answer(path, &parts.headers, &body, course.short_page)
        }
        false => Err(Status::new(Code::Unavailable, "")),
    };
    course.linger().await;
    info.status = Some(status_of(&answer));
    shared.served(info);
    match course.instead {
        None => frame::deliver(answer, course.delivery, &scissors),
        Some(instead) => deliver_instead(instead),
    }
}

/// Opens a stream; a fault strikes its opening or lets it be.
async fn open_stream(
    shared: Arc<Shared>,
    scissors: Scissors,
    headers: &HeaderMap,
    body: Body,
) -> Response<Body> {
    let mut info = shared.arrived("POST", stream::PATH);
    let course = shared.meet(&info).await;
    course.linger().await;
    if course.delivery == Delivery::Cut {
        scissors.cut();
    }
    let opened = stream::open(Arc::clone(&shared), scissors, bearer(headers), body);
    info.status = Some(match &opened {
        Ok(_) => 200,
        Err(status) => status.code() as u16,
    });
    shared.served(info);
    match (course.instead, opened) {
        (Some(instead), _) => deliver_instead(instead),
        (None, Ok(response)) => response,
        (None, Err(status)) => frame::refuse(&status),
    }
}

fn status_of(answer: &Answer) -> u16 {
    match answer {
        Ok(_) => 200,
        Err(status) => status.code() as u16,
    }
}

fn deliver_instead(instead: Instead) -> Response<Body> {
    match instead {
        Instead::Nothing => frame::nothing(),
        Instead::Refusal {
            status,
            retry_after,
            body,
        } => frame::refuse(&refusal(status, retry_after, body)),
        Instead::Proxy { status, body } => delivery::respond(Reply::page(status, body)),
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()
}

/// The status that stands for a scripted HTTP status.
pub(super) fn refusal(status: u16, retry_after: Option<u64>, body: String) -> Status {
    let mut refusal = Status::new(code_of(status), body);
    if let Some(seconds) = retry_after {
        refusal.metadata_mut().insert("retry-after", seconds.into());
    }
    refusal
}

impl Shared {
    fn answer(
        &self,
        path: &str,
        headers: &HeaderMap,
        body: &Bytes,
        short_page: Option<usize>,
    ) -> Answer {
        let service = &self.service;
        let length = announced(body)?.unwrap_or(0);
        service.check_size("received", length)?;
        let message = body.get(HEAD..HEAD + length).unwrap_or_default();
        service.call(path, bearer(headers), message, short_page)
    }
}

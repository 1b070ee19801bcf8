//! What the admin endpoint answers to which path.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::HttpBody;
use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::{Html, IntoResponse, Json, Response};
use axum::routing::get;

use super::negotiation::{negotiate, wants_page};
use super::scrape::scrape;
use super::state::State;
use super::status::Status;

const INDEX: &str = "\
Spliceway admin endpoint

/metrics  Prometheus text, or OpenMetrics by Accept
/healthz  200 while the process lives
/readyz   200 while it should get traffic, 503 with the reason while not
/status   what it does right now: a page for browsers, JSON for everybody else
";

/// `/status` for people. It asks for the numbers itself.
const PAGE: &str = include_str!("status.html");

/// The page is whole: nothing is loaded from elsewhere, and only this process is asked.
const PAGE_POLICY: &str = include_str!("status.policy").trim_ascii();

/// All routes.
pub(super) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/", get(|| async { INDEX }))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/status", get(status))
        .fallback(not_found)
        .layer(from_fn(admit))
        .with_state(state)
}

/// Nothing here changes anything, so nothing but GET and HEAD is served, and no body is read: a
/// body that was announced would only be a way to keep the connection busy.
async fn admit(request: Request, next: Next) -> Response {
    let mut response = if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let allow = [(header::ALLOW, "GET, HEAD")];
        (StatusCode::METHOD_NOT_ALLOWED, allow, "only GET and HEAD are served here\n")
            .into_response()
    } else if !request.body().is_end_stream() {
        let close = [(header::CONNECTION, "close")];
        (StatusCode::PAYLOAD_TOO_LARGE, close, "no request body is accepted here\n").into_response()
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn metrics(Shared(state): Shared<Arc<State>>, headers: HeaderMap) -> Response {
    let format = negotiate(accept(&headers).as_deref());
    let content_type = [(header::CONTENT_TYPE, format.content_type()), (header::VARY, "Accept")];
    (content_type, scrape(&state, format, Instant::now())).into_response()
}

async fn readyz(Shared(state): Shared<Arc<State>>) -> Response {
    match state.readiness() {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn status(Shared(state): Shared<Arc<State>>, headers: HeaderMap) -> Response {
    let vary = [(header::VARY, "Accept")];
    if wants_page(accept(&headers).as_deref()) {
        return (vary, [(header::CONTENT_SECURITY_POLICY, PAGE_POLICY)], Html(PAGE))
            .into_response();
    }
    let snapshot = state.snapshot.load_full();
    (vary, Json(Status::of(&state, &snapshot))).into_response()
}

/// What is asked for; `None` where nothing is.
fn accept(headers: &HeaderMap) -> Option<String> {
    // Several header lines are one list (RFC 9110, section 5.3).
    let lines = headers.get_all(header::ACCEPT).iter().filter_map(|line| line.to_str().ok());
    Some(lines.collect::<Vec<_>>().join(",")).filter(|accept| !accept.is_empty())
}

async fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "not found; GET / lists what there is\n").into_response()
}

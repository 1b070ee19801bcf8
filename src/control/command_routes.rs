//! What the control socket answers: the admin endpoint's `/status`, and commands, which only those
//! may give who may open the socket.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State as Shared};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};

use super::command::{Answer, Command, Commander, Refusal};
use super::operator::ServerOrder;
use super::state::State;
use super::status::Status;

/// What a command may say, in bytes.
const BODY_BYTES_MAX: usize = 4 * 1024;

/// What a handler needs.
#[derive(Debug, Clone)]
struct Control {
    state: Arc<State>,
    commander: Commander,
}

/// All routes.
pub(super) fn router(state: Arc<State>, commander: Commander) -> Router {
    Router::new()
        .route("/status", get(status))
        .route("/reload", post(reload))
        .route("/upgrade", post(upgrade))
        .route("/server", post(server))
        .fallback(|| async { (StatusCode::NOT_FOUND, "no such command\n") })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(map_response(not_to_be_kept))
        .with_state(Control { state, commander })
}

async fn not_to_be_kept(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn status(Shared(control): Shared<Control>) -> Response {
    let snapshot = control.state.snapshot.load_full();
    Json(Status::of(&control.state, &snapshot)).into_response()
}

async fn upgrade(Shared(control): Shared<Control>) -> Response {
    respond(control.commander.run(Command::Upgrade).await)
}

async fn reload(Shared(control): Shared<Control>) -> Response {
    match control.commander.run(Command::Reload).await {
        // It is the configuration that is wrong.
        Err(Refusal::Failed(message)) => refuse(StatusCode::UNPROCESSABLE_ENTITY, &message),
        answer => respond(answer),
    }
}

async fn server(Shared(control): Shared<Control>, Json(order): Json<ServerOrder>) -> Response {
    respond(control.commander.run(Command::Server(order)).await)
}

fn respond(answer: Answer) -> Response {
    let (status, message) = match answer {
        Ok(done) => return Json(done).into_response(),
        Err(Refusal::Unknown(message)) => (StatusCode::NOT_FOUND, message),
        Err(Refusal::NotNow(message)) => (StatusCode::CONFLICT, message),
        Err(Refusal::Failed(message)) => (StatusCode::INTERNAL_SERVER_ERROR, message),
    };
    refuse(status, &message)
}

fn refuse(status: StatusCode, message: &str) -> Response {
    (status, Json(serde_json::json!({ "error": message }))).into_response()
}

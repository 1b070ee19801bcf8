//! One request over the control socket, in HTTP/1.1.

use std::path::Path;

use axum::body::{Body, Bytes, to_bytes};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::OperateError;

/// What an answer may have, in bytes: thousands of servers.
const BODY_BYTES_MAX: usize = 16 << 20;

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

/// Asks and waits for the answer, which the process gives in bounded time.
pub(super) fn ask(
    socket: &Path,
    method: &str,
    path: &str,
    body: Vec<u8>,
) -> Result<Answer, OperateError> {
    let broken = |error: &dyn std::error::Error| OperateError::Broken(error.to_string());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| broken(&error))?;
    runtime.block_on(async {
        let stream = UnixStream::connect(socket)
            .await
            .map_err(|source| OperateError::Unreachable { socket: socket.to_owned(), source })?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
        // Its end is seen by the request.
        tokio::spawn(connection);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("content-type", "application/json")
            .body(Body::from(body))
            .map_err(|error| broken(&error))?;
        let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
        let status = response.status().as_u16();
        let body = to_bytes(Body::new(response.into_body()), BODY_BYTES_MAX).await;
        Ok(Answer { status, body: body.map_err(|error| broken(&error))? })
    })
}

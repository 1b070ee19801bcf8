//! A small origin of the proxy's own, so that it can be tried with nothing else on the machine: a
//! page, as many bytes as one likes either way, events, what arrived of a request, and an echo.

use std::fmt::Write as _;
use std::future::poll_fn;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use hyper::body::{Body as _, Frame, SizeHint};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

/// Connections at once, for the page and for the echo each; further ones wait in the backlog.
pub const CONNECTIONS_MAX: usize = 1024;

/// The most that `/bytes/N` gives: 1 TiB.
pub const BYTES_MAX: u64 = 1 << 40;

/// How often `/events` has something to say.
pub const EVENT_INTERVAL: Duration = Duration::from_secs(1);

/// How many events there are: they end after an hour.
pub const EVENTS_MAX: u32 = 3600;

/// What `/bytes/N` repeats; every answer of every connection shares it.
static CHUNK: [u8; 256 * 1024] = [b'.'; 256 * 1024];

/// How long to wait after the system refused a connection, mostly for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where the origin listens, on loopback.
#[derive(Debug, Clone, Copy)]
pub struct Demo {
    /// HTTP: `/`, `/bytes/N`, `/upload`, `/events` and `/headers`.
    pub web: SocketAddr,
    /// Gives every byte back, and ends its side when the peer has ended its own.
    pub echo: SocketAddr,
}

/// Starts the origin on a thread and a runtime of its own, on ports that are free. It lives until
/// the process ends.
///
/// # Errors
/// When no port, no runtime or no thread can be had.
pub fn start() -> io::Result<Demo> {
    let bind = || std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let (web, echo) = (bind()?, bind()?);
    let demo = Demo { web: web.local_addr()?, echo: echo.local_addr()? };
    web.set_nonblocking(true)?;
    echo.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (web, echo) = {
        let _context = runtime.enter();
        (TcpListener::from_std(web)?, TcpListener::from_std(echo)?)
    };
    std::thread::Builder::new().name("demo-origin".to_owned()).spawn(move || {
        runtime.block_on(async {
            let router = router(demo);
            tokio::join!(
                accept(web, move |socket| serve_web(socket, router.clone())),
                accept(echo, serve_echo)
            )
        })
    })?;
    Ok(demo)
}

/// Serves every connection in a task of its own, so many at once, for ever.
async fn accept<F>(listener: TcpListener, serve: impl Fn(TcpStream) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((socket, _peer)) => {
                let served = serve(socket);
                tokio::spawn(async move {
                    served.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!("demo origin: cannot accept: {error}; trying again");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn serve_echo(mut socket: TcpStream) {
    let (mut reader, mut writer) = socket.split();
    // A peer that breaks off ends its own connection and is nobody else's concern.
    if tokio::io::copy(&mut reader, &mut writer).await.is_ok() {
        let _peer_is_gone = writer.shutdown().await;
    }
}

async fn serve_web(socket: TcpStream, router: Router) {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(socket), TowerToHyperService::new(router))
        .await;
    if let Err(error) = served {
        tracing::debug!("demo origin: a client broke off: {error}");
    }
}

fn router(demo: Demo) -> Router {
    Router::new()
        .route("/", get(move |headers: HeaderMap| async move { page(&demo, &headers) }))
        .route("/bytes/{count}", get(bytes))
        .route("/upload", post(upload).put(upload))
        .route("/events", get(events))
        .route("/headers", get(headers))
        .fallback(|| async { (StatusCode::NOT_FOUND, "not found; try / or /bytes/1048576\n") })
}

/// Says what is running and where to look; the address is the one that the client used, which is
/// the proxy's.
fn page(demo: &Demo, headers: &HeaderMap) -> Html<String> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = host.filter(|host| is_plain_host(host)).map_or(demo.web.to_string(), str::to_owned);
    let mut page = String::new();
    let written = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <title>Spliceway</title>\n<h1>Spliceway is running</h1>\n\
         <p>This page comes from the demo origin at {web}. If you reached it at {host}, its \
         bytes have passed the proxy.</p>\n\
         <p>Send more of them:</p>\n\
         <pre>curl -o /dev/null http://{host}/bytes/1073741824</pre>\n\
         <p>in the other direction too:</p>\n\
         <pre>head -c 1073741824 /dev/zero | curl -T - http://{host}/upload</pre>\n\
         <p>and see at the admin endpoint (<code>admin.bind</code>, 127.0.0.1:9900 by default) \
         that they went through a kernel pipe:</p>\n\
         <pre>curl -s http://127.0.0.1:9900/metrics | grep relay_bytes</pre>\n\
         <p><a href=\"/headers\">/headers</a> shows what has arrived of a request, and \
         <a href=\"/events\">/events</a> has something to say every second.</p>\n\
         <p>An echo listens at {echo}: what is sent there comes back.</p>\n</html>\n",
        web = demo.web,
        echo = demo.echo,
    );
    debug_assert!(written.is_ok(), "writing to memory does not fail");
    Html(page)
}

/// Whether a `Host` can stand in HTML and in a shell command as it is.
fn is_plain_host(host: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    !host.is_empty() && host.bytes().all(plain)
}

async fn bytes(Path(count): Path<String>) -> Response {
    match count.parse::<u64>() {
        Ok(count) if count <= BYTES_MAX => {
            let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
            (kind, Body::new(Repeated { left: count })).into_response()
        }
        _ => {
            let complaint = format!("/bytes/N: N is a number from 0 to {BYTES_MAX}\n");
            (StatusCode::BAD_REQUEST, complaint).into_response()
        }
    }
}

/// Reads a body to its end, keeps none of it, and says how long it was.
async fn upload(mut body: Body) -> Response {
    let mut count = 0;
    loop {
        match poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            None => return format!("{count} bytes\n").into_response(),
            Some(Ok(frame)) => count += frame.data_ref().map_or(0, Bytes::len) as u64,
            Some(Err(error)) => {
                let complaint = format!("after {count} bytes: {error}\n");
                return (StatusCode::BAD_REQUEST, complaint).into_response();
            }
        }
    }
}

/// The headers as they have arrived, behind whatever has rewritten them.
async fn headers(headers: HeaderMap) -> String {
    let lines = headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        format!("{name}: {value}\n")
    });
    lines.collect()
}

/// Server-sent events, one now and then.
async fn events() -> Response {
    let interval = tokio::time::interval(EVENT_INTERVAL);
    let kind = [(header::CONTENT_TYPE, "text/event-stream")];
    (kind, Body::new(Events { interval, sent: 0 })).into_response()
}

/// A body that is made while the client waits for it.
struct Events {
    interval: tokio::time::Interval,
    sent: u32,
}

impl hyper::body::Body for Events {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.sent == EVENTS_MAX {
            return Poll::Ready(None);
        }
        ready!(self.interval.poll_tick(context));
        self.sent += 1;
        let event = format!("data: {}\n\n", self.sent);
        Poll::Ready(Some(Ok(Frame::data(event.into()))))
    }
}

/// A body of known length, made of the same chunk again and again.
struct Repeated {
    left: u64,
}

impl hyper::body::Body for Repeated {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let count = self.left.min(CHUNK.len() as u64);
        self.left -= count;
        let chunk = Bytes::from_static(&CHUNK).slice(..count as usize);
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{Shutdown, TcpStream};

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(20);

    fn connect(address: SocketAddr) -> TcpStream {
        let socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.set_write_timeout(Some(DEADLINE)).unwrap();
        socket
    }

    /// Head and body of the answer to a request on a connection of its own.
    fn fetch(demo: Demo, request: &str, host: &str) -> (String, Vec<u8>) {
        let mut socket = connect(demo.web);
        write!(socket, "{request} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).unwrap();
        let end = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(answer[..end].to_vec()).unwrap().to_ascii_lowercase();
        (head, answer[end + 4..].to_vec())
    }

    #[test]
    fn bytes_are_as_many_as_were_asked_for() {
        let demo = start().unwrap();
        for count in [0, 1, CHUNK.len(), 3 * CHUNK.len() + 7] {
            let (head, body) = fetch(demo, &format!("GET /bytes/{count}"), "x");
            assert!(head.starts_with("http/1.1 200"), "{head}");
            assert!(head.contains(&format!("content-length: {count}")), "{head}");
            assert_eq!(body.len(), count);
        }
    }

    #[test]
    fn a_body_of_a_tebibyte_starts_at_once() {
        let demo = start().unwrap();
        let (head, body) = fetch(demo, &format!("HEAD /bytes/{BYTES_MAX}"), "x");
        assert!(head.contains("content-length: 1099511627776"), "{head}");
        assert!(body.is_empty());
        let mut socket = connect(demo.web);
        write!(socket, "GET /bytes/{BYTES_MAX} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut start = vec![0; 1 << 20];
        socket.read_exact(&mut start).unwrap();
        assert!(start.ends_with(b"...."));
    }

    #[test]
    fn a_bad_number_is_a_bad_request() {
        let demo = start().unwrap();
        for bad in ["-1", "x", "1.5", "1099511627777", "99999999999999999999999", "%00"] {
            let (head, body) = fetch(demo, &format!("GET /bytes/{bad}"), "x");
            assert!(head.starts_with("http/1.1 400"), "{bad}: {head}");
            assert!(String::from_utf8_lossy(&body).contains("0 to 1099511627776"), "{bad}");
        }
    }

    #[test]
    fn an_upload_is_counted() {
        let demo = start().unwrap();
        let count = 3 * (1 << 20) + 7;
        let mut socket = connect(demo.web);
        let head = format!("Host: x\r\nContent-Length: {count}\r\nConnection: close\r\n\r\n");
        write!(socket, "PUT /upload HTTP/1.1\r\n{head}").unwrap();
        socket.write_all(&vec![b'.'; count]).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with(&format!("\r\n\r\n{count} bytes\n")), "{answer}");
    }

    #[test]
    fn headers_are_shown_as_they_arrived() {
        let demo = start().unwrap();
        let (_, body) = fetch(demo, "GET /headers", "x\r\nX-A: 1\r\nX-A: 2");
        let body = String::from_utf8(body).unwrap();
        assert!(body.contains("host: x\nx-a: 1\nx-a: 2\n"), "{body}");
    }

    #[test]
    fn events_keep_coming() {
        let demo = start().unwrap();
        let mut socket = connect(demo.web);
        write!(socket, "GET /events HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut seen = String::new();
        let mut part = [0; 1024];
        while !seen.contains("data: 2\n\n") {
            let count = socket.read(&mut part).unwrap();
            assert!(count > 0, "{seen}");
            seen.push_str(&String::from_utf8_lossy(&part[..count]));
        }
        assert!(seen.to_lowercase().contains("content-type: text/event-stream"), "{seen}");
        assert!(seen.contains("data: 1\n\n"), "{seen}");
    }

    #[test]
    fn the_page_names_the_address_that_was_used_and_nothing_hostile() {
        let demo = start().unwrap();
        let check = |host: &str, expected: &str| {
            let (head, body) = fetch(demo, "GET /", host);
            assert!(head.contains("content-type: text/html"), "{head}");
            let body = String::from_utf8(body).unwrap();
            assert!(body.contains(&format!("http://{expected}/bytes/")), "{body}");
        };
        check("127.0.0.1:8080", "127.0.0.1:8080");
        check("[::1]:8080", "[::1]:8080");
        check("<script>alert(1)</script>", &demo.web.to_string());
        check("a;rm", &demo.web.to_string());
    }

    #[test]
    fn the_echo_gives_everything_back_before_it_ends() {
        let demo = start().unwrap();
        let sent: Vec<u8> = (0..1_000_003u32).map(|index| index as u8).collect();
        let mut socket = connect(demo.echo);
        let mut writer = socket.try_clone().unwrap();
        let expected = sent.clone();
        let writing = std::thread::spawn(move || {
            writer.write_all(&sent).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let mut received = Vec::new();
        socket.read_to_end(&mut received).unwrap();
        writing.join().unwrap();
        assert!(received == expected, "{} bytes came back", received.len());
    }
}

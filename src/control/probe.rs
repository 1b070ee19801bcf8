//! One probe of one server: a connection, as workers make it to that upstream, and for HTTP a
//! request over it.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use axum::body::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1;
use hyper::header::{HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use crate::address::Address;
use crate::config::balancing::{HttpProbe, Probe};
use crate::proxy_protocol::{ProxyVersion, write};
use crate::sys::socket;

/// How much of a body is searched for what it is to contain, in bytes.
pub const BODY_BYTES_MAX: usize = 64 * 1024;

/// How the agent of a probe is called, so that servers can leave it out of their logs.
const AGENT: &str = concat!("spliceway/", env!("CARGO_PKG_VERSION"), " (health check)");

/// What a probe is sent to, and how.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) address: Address,
    /// The address as text.
    pub(super) authority: Box<str>,
    /// `source` of the upstream.
    pub(super) source: Option<IpAddr>,
    /// Settings and name of the server, where the upstream has TLS.
    pub(super) tls: Option<(Arc<ClientConfig>, ServerName<'static>)>,
    /// The PROXY header that the upstream's servers expect.
    pub(super) proxy_protocol: Option<ProxyVersion>,
}

/// Why a probe has failed, in words for a log.
#[derive(Debug)]
pub(super) enum Failure {
    /// No connection came about.
    Connect(io::Error),
    /// No TLS session came about.
    Tls(io::Error),
    /// The connection broke.
    Broken(String),
    /// The answer has another status than those that are expected.
    Status(u16),
    /// The body does not contain what it should.
    Body,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Connect(error) => write!(f, "cannot connect: {error}"),
            Failure::Tls(error) => write!(f, "TLS: {error}"),
            Failure::Broken(problem) => write!(f, "no answer: {problem}"),
            Failure::Status(status) => write!(f, "answered with status {status}"),
            Failure::Body => {
                write!(f, "the first {BODY_BYTES_MAX} bytes of the body lack what is expected")
            }
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Sends a probe and waits for what comes of it, however long that takes.
///
/// # Errors
/// The server is not well.
pub(super) async fn probe(target: &Target, probe: &Probe) -> Result<(), Failure> {
    let mut stream = connect(target).await.map_err(Failure::Connect)?;
    if let Some(version) = target.proxy_protocol {
        let header = local_header(version);
        stream.write_all(&header).await.map_err(Failure::Connect)?;
    }
    if let Some((config, name)) = &target.tls {
        let connector = TlsConnector::from(Arc::clone(config));
        let session = connector.connect(name.clone(), stream).await.map_err(Failure::Tls)?;
        stream = Box::new(session);
    }
    match probe {
        Probe::Tcp => Ok(()),
        Probe::Http(http) => ask(stream, target, http).await,
    }
}

/// Connects as a worker does, from the upstream's source.
async fn connect(target: &Target) -> io::Result<Box<dyn Stream>> {
    let (socket, _) = socket::connect(&target.address, target.source)?;
    let stream: Box<dyn Stream> = match target.address {
        Address::Ip(_) => {
            let stream = TcpStream::from_std(tcp(socket))?;
            stream.writable().await?;
            stream.take_error()?.map_or(Ok(()), Err)?;
            Box::new(stream)
        }
        Address::Unix(_) | Address::Abstract(_) => Box::new(UnixStream::from_std(socket.into())?),
    };
    Ok(stream)
}

fn tcp(socket: OwnedFd) -> std::net::TcpStream {
    socket.into()
}

/// What says that a connection is the proxy's own and stands for no client.
fn local_header(version: ProxyVersion) -> Vec<u8> {
    let mut header = Vec::new();
    write::local(version, &mut header);
    header
}

async fn ask(stream: Box<dyn Stream>, target: &Target, http: &HttpProbe) -> Result<(), Failure> {
    let broken = |error: hyper::Error| Failure::Broken(error.to_string());
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    // It ends when its sender is dropped.
    let connection = tokio::spawn(connection);
    let host = http.host.as_deref().unwrap_or(&target.authority);
    let host = if target.address.is_unix() && http.host.is_none() { "localhost" } else { host };
    let request = hyper::Request::get(&*http.path).header(HOST, host).header(USER_AGENT, AGENT);
    let request = request.body(Empty::<Bytes>::new());
    let request = request.map_err(|error| Failure::Broken(error.to_string()))?;
    let result = async {
        let response = sender.send_request(request).await.map_err(broken)?;
        let status = response.status().as_u16();
        if !http.status.contains(status) {
            return Err(Failure::Status(status));
        }
        match &http.body {
            Some(expected) => search(response.into_body(), expected.as_bytes()).await,
            None => Ok(()),
        }
    }
    .await;
    connection.abort();
    result
}

/// Looks for `expected` in the beginning of a body.
async fn search(mut body: hyper::body::Incoming, expected: &[u8]) -> Result<(), Failure> {
    let mut seen = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Failure::Broken(error.to_string()))?;
        if let Some(data) = frame.data_ref() {
            let left = BODY_BYTES_MAX - seen.len();
            seen.extend_from_slice(&data[..data.len().min(left)]);
        }
        if memchr::memmem::find(&seen, expected).is_some() {
            return Ok(());
        }
        if seen.len() == BODY_BYTES_MAX {
            break;
        }
    }
    Err(Failure::Body)
}

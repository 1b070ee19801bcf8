//! Sockets: listening, connecting, accepting, and the options that a relay needs.

use std::fs::Permissions;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use nix::sys::stat::{Mode, fchmod};
use socket2::{Domain, SockAddr, SockRef, Socket, TcpKeepalive, Type};

use crate::address::Address;
use crate::config::Keepalive;

/// Options of a listening socket.
#[derive(Debug, Clone, Copy)]
pub struct ListenOptions {
    /// Connections that the kernel has completed and nobody has accepted yet.
    pub backlog: u32,
    /// Passed on to every accepted socket.
    pub keepalive: Option<Keepalive>,
}

/// The form of an address that the kernel takes.
fn socket_address(address: &Address) -> io::Result<SockAddr> {
    match address {
        Address::Ip(ip) => Ok(SockAddr::from(*ip)),
        Address::Unix(path) => SockAddr::unix(path),
        // A leading NUL byte marks an abstract name (unix(7)).
        Address::Abstract(name) => SockAddr::unix(format!("\0{name}")),
    }
}

/// Sets what accepted sockets inherit from their listener and connected ones get themselves.
///
/// Urgent data stays in the stream (`SO_OOBINLINE`): left out of it, its byte would be lost on
/// the way, since neither `recv` without `MSG_OOB` nor splice ever sees it.
fn set_stream_options(socket: &Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_out_of_band_inline(true)
}

/// Has the kernel ask a silent peer whether it is still there: four system calls.
///
/// # Errors
/// The system's own.
pub fn keep_alive(socket: BorrowedFd<'_>, keepalive: Keepalive) -> io::Result<()> {
    let Keepalive { idle, interval, probes } = keepalive;
    let parameters =
        TcpKeepalive::new().with_time(idle).with_interval(interval).with_retries(probes);
    SockRef::from(&socket).set_tcp_keepalive(&parameters)
}

/// The options of a listener, for accepted sockets to inherit.
fn set_listener_options(socket: BorrowedFd<'_>, options: ListenOptions) -> io::Result<()> {
    set_stream_options(&SockRef::from(&socket))?;
    match options.keepalive {
        Some(keepalive) => keep_alive(socket, keepalive),
        None => Ok(()),
    }
}

/// Binds and listens. TCP sockets share their port with the other workers' (`SO_REUSEPORT`), and
/// an IPv6 socket takes IPv6 only. A unix socket whose file nobody listens on any more takes its
/// place.
///
/// # Errors
/// The system's own, `EADDRINUSE` above all.
pub fn listen(address: &Address, options: ListenOptions) -> io::Result<OwnedFd> {
    let name = socket_address(address)?;
    let socket = Socket::new(name.domain(), Type::STREAM.nonblocking(), None)?;
    match address {
        Address::Ip(ip) => {
            socket.set_reuse_address(true)?;
            socket.set_reuse_port(true)?;
            if ip.is_ipv6() {
                socket.set_only_v6(true)?;
            }
            set_listener_options(socket.as_fd(), options)?;
            socket.bind(&name)?;
        }
        Address::Unix(path) => bind_unix(&socket, &name, path)?,
        Address::Abstract(_) => socket.bind(&name)?,
    }
    set_backlog(socket.as_fd(), options.backlog)?;
    Ok(socket.into())
}

/// Listens, or goes on to listen with another backlog.
///
/// # Errors
/// The system's own.
pub fn set_backlog(socket: BorrowedFd<'_>, backlog: u32) -> io::Result<()> {
    SockRef::from(&socket).listen(i32::try_from(backlog).unwrap_or(i32::MAX))
}

/// Binds a unix socket with the permissions `mode` and listens; the umask plays no part. One whose
/// file nobody listens on any more takes its place.
///
/// # Errors
/// The system's own, `EADDRINUSE` above all.
pub fn listen_with_mode(path: &Path, backlog: u32, mode: u32) -> io::Result<OwnedFd> {
    let name = SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
    // The file gets the permissions of the socket, less the umask: never more than asked for.
    fchmod(&socket, Mode::from_bits_truncate(mode))?;
    bind_unix(&socket, &name, path)?;
    set_mode(path, mode)?;
    set_backlog(socket.as_fd(), backlog)?;
    Ok(socket.into())
}

/// Gives the file of a socket its permissions.
///
/// # Errors
/// The system's own.
pub fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    std::fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Binds, in the place of a file that is left over.
fn bind_unix(socket: &Socket, name: &SockAddr, path: &Path) -> io::Result<()> {
    match socket.bind(name) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && !is_listening(name) => {
            std::fs::remove_file(path)?;
            socket.bind(name)
        }
        bound => bound,
    }
}

/// Whether a socket is of a group of which each takes a part of the connections
/// (`SO_REUSEPORT`, socket(7)).
///
/// # Errors
/// The system's own.
pub fn is_of_group(socket: BorrowedFd<'_>) -> io::Result<bool> {
    SockRef::from(&socket).reuse_port()
}

/// Gives a socket that a service manager has bound what [`listen`] gives its own.
///
/// # Errors
/// The system's own.
pub fn adopt(socket: &OwnedFd, options: ListenOptions) -> io::Result<()> {
    let inherited = SockRef::from(socket);
    if !inherited.is_listener()? {
        let problem = "it is not a listening stream socket (ListenStream= in the socket unit)";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
    }
    inherited.set_nonblocking(true)?;
    if inherited.domain()? != Domain::UNIX {
        set_listener_options(socket.as_fd(), options)?;
    }
    Ok(())
}

/// Other options for a socket that listens already. Connections that are accepted from now on have
/// them.
///
/// # Errors
/// The system's own.
pub fn change(socket: &OwnedFd, options: ListenOptions) -> io::Result<()> {
    let listening = SockRef::from(socket);
    if listening.domain()? != Domain::UNIX {
        if options.keepalive.is_none() {
            listening.set_keepalive(false)?;
        }
        set_listener_options(socket.as_fd(), options)?;
    }
    // Again, with another backlog: nothing that waits in it is lost (listen(2)).
    listening.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))
}

/// Whether anybody listens on a unix socket: a file that is left over refuses.
fn is_listening(name: &SockAddr) -> bool {
    let refused = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)
        .and_then(|socket| socket.connect(name))
        .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
    !refused
}

/// Whether a TCP port is held by sockets of another program that share it (`SO_REUSEPORT`), or by
/// one that does not: the kernel would let a program of the same user join the group of the
/// former, and the two would share the traffic between them, which nobody wants. Binding a socket
/// without the option tells.
///
/// # Errors
/// `EADDRINUSE` when the port is taken; whatever else binding would report.
pub fn ensure_free(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&SockAddr::from(address))
}

/// The address that a listening socket is really bound to, where it is an IP address or a unix
/// socket with a name.
///
/// # Errors
/// The system's own.
pub fn local_address(socket: BorrowedFd<'_>) -> io::Result<Option<Address>> {
    let name = SockRef::from(&socket).local_addr()?;
    if let Some(ip) = name.as_socket() {
        return Ok(Some(Address::Ip(ip)));
    }
    if let Some(path) = name.as_pathname() {
        return Ok(Some(Address::Unix(path.to_owned())));
    }
    let abstract_name = name.as_abstract_namespace().map(String::from_utf8_lossy);
    Ok(abstract_name.map(|name| Address::Abstract(name.into_owned())))
}

/// Begins to connect. `source` is the local IP address to connect from; its port is then chosen
/// at the connect and not at the bind, so that ports can be shared between destinations
/// (`IP_BIND_ADDRESS_NO_PORT`, ip(7)). Returns whether the connection stands already, as with
/// unix sockets.
///
/// # Errors
/// The system's own; `EAGAIN` for a unix socket whose backlog is full.
pub fn connect(address: &Address, source: Option<IpAddr>) -> io::Result<(OwnedFd, bool)> {
    let name = socket_address(address)?;
    let socket = Socket::new(name.domain(), Type::STREAM.nonblocking(), None)?;
    if let Address::Ip(_) = address {
        set_stream_options(&socket)?;
        if let Some(source) = source {
            nix::sys::socket::setsockopt(
                &socket,
                nix::sys::socket::sockopt::IpBindAddressNoPort,
                &true,
            )?;
            socket.bind(&SockAddr::from(SocketAddr::new(source, 0)))?;
        }
    }
    match socket.connect(&name) {
        Ok(()) => Ok((socket.into(), true)),
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok((socket.into(), false)),
        Err(error) => Err(error),
    }
}

/// Takes the next connection from a listener's backlog, with the client's IP address if it has
/// one. The socket is non-blocking and closed on exec.
///
/// # Errors
/// `EAGAIN` when the backlog is empty; `EMFILE`, `ENFILE`, `ENOBUFS` or `ENOMEM` when there is
/// nothing to accept it with; `ECONNABORTED` and network errors for a connection that was lost
/// before (accept(2)).
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<(OwnedFd, Option<SocketAddr>)> {
    // SAFETY: the closure either fills `storage` and `length` by accept4, which writes at most
    // the length given and sets it to what it wrote, or returns an error.
    let (descriptor, name) = unsafe {
        SockAddr::try_init(|storage, length| {
            let descriptor = libc::accept4(
                listener.as_raw_fd(),
                storage.cast(),
                length,
                libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
            );
            if descriptor < 0 { Err(io::Error::last_os_error()) } else { Ok(descriptor) }
        })
    }?;
    // SAFETY: accept4 has just returned this descriptor, and nobody else knows it.
    let socket = unsafe { OwnedFd::from_raw_fd(descriptor) };
    Ok((socket, name.as_socket()))
}

/// Has TCP send what it keeps back for more: setting `TCP_NODELAY` does that, even where it is set
/// already (tcp(7)).
///
/// # Errors
/// The socket is gone, or is none of TCP.
pub fn push(socket: BorrowedFd<'_>) -> io::Result<()> {
    SockRef::from(&socket).set_tcp_nodelay(true)
}

/// Has the kernel report a socket as readable only once `bytes` are queued, or at the end of the
/// stream (`SO_RCVLOWAT`, socket(7)). TCP makes room for them, as far as `net.ipv4.tcp_rmem`
/// allows, and looks at once whether the new mark is reached already. Reads bring what is there,
/// however little.
///
/// # Errors
/// The system's own.
pub fn set_low_water(socket: BorrowedFd<'_>, bytes: u32) -> io::Result<()> {
    set_integer(socket, libc::SO_RCVLOWAT, bytes)
}

/// The low-water mark that a socket has: the kernel silently caps what was asked for, at half of
/// the largest receive buffer (`net.ipv4.tcp_rmem`).
///
/// # Errors
/// The system's own.
pub fn low_water(socket: BorrowedFd<'_>) -> io::Result<u32> {
    let mut bytes: libc::c_int = 0;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: SO_RCVLOWAT writes one int through the pointer, which is valid for the call and has
    // the length given.
    let outcome = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVLOWAT,
            (&raw mut bytes).cast(),
            &raw mut length,
        )
    };
    if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(bytes.cast_unsigned()) }
}

/// Has TCP send no faster than so many bytes a second (`SO_MAX_PACING_RATE`, socket(7)).
///
/// # Errors
/// The system's own.
pub fn set_pacing_rate(socket: BorrowedFd<'_>, bytes_per_second: u32) -> io::Result<()> {
    set_integer(socket, libc::SO_MAX_PACING_RATE, bytes_per_second)
}

/// Sets an option of the socket level that is an int.
fn set_integer(socket: BorrowedFd<'_>, option: libc::c_int, value: u32) -> io::Result<()> {
    let value = libc::c_int::try_from(value).unwrap_or(libc::c_int::MAX);
    // SAFETY: the option reads one int through the pointer, which is valid for the call and has
    // the length given.
    let outcome = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if outcome < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// The error that the kernel holds for a socket, which is thereby cleared (`SO_ERROR`).
///
/// # Errors
/// The system's own, for the question itself.
pub fn take_error(socket: BorrowedFd<'_>) -> io::Result<Option<io::Error>> {
    SockRef::from(&socket).take_error()
}

/// Tells the peer that nothing more will come.
///
/// # Errors
/// `ENOTCONN` when the connection is gone already.
pub fn shutdown_write(socket: BorrowedFd<'_>) -> io::Result<()> {
    SockRef::from(&socket).shutdown(std::net::Shutdown::Write)
}

/// Closes a socket in a way that the peer sees as a reset: whatever is queued is thrown away
/// (`SO_LINGER` of 0, socket(7)). A unix socket is merely closed.
pub fn reset(socket: OwnedFd) {
    // A socket that is gone already cannot be reset and need not be.
    let _gone = SockRef::from(&socket).set_linger(Some(Duration::ZERO)).is_err();
    drop(socket);
}

/// Bytes that were written to a socket and have not reached the peer: for TCP those that it has
/// not acknowledged (`SIOCOUTQ`, tcp(7)), for a unix socket those that it has not read.
///
/// # Errors
/// The system's own.
pub fn unsent(socket: BorrowedFd<'_>) -> io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: SIOCOUTQ (TIOCOUTQ has its number) writes one int through the pointer, which is
    // valid for the call.
    let outcome = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if outcome < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(usize::try_from(bytes).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    const OPTIONS: ListenOptions = ListenOptions {
        backlog: 16,
        keepalive: Some(Keepalive {
            idle: Duration::from_secs(61),
            interval: Duration::from_secs(11),
            probes: 7,
        }),
    };

    fn loopback() -> Address {
        "127.0.0.1:0".parse().unwrap()
    }

    fn ip_of(listener: &OwnedFd) -> SocketAddr {
        match local_address(listener.as_fd()).unwrap() {
            Some(Address::Ip(ip)) => ip,
            other => panic!("{other:?}"),
        }
    }

    /// Accepts from a non-blocking listener to which a connect has already returned.
    fn accept_one(listener: &OwnedFd) -> (Socket, Option<SocketAddr>) {
        let (socket, peer) = accept(listener.as_fd()).unwrap();
        (Socket::from(socket), peer)
    }

    #[test]
    fn accepted_sockets_inherit_the_options() {
        let listener = listen(&loopback(), OPTIONS).unwrap();
        let client = TcpStream::connect(ip_of(&listener)).unwrap();
        let (socket, peer) = accept_one(&listener);
        assert_eq!(peer, Some(client.local_addr().unwrap()));
        assert!(socket.tcp_nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        assert!(socket.out_of_band_inline().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(61));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(11));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 7);
        assert!(socket.nonblocking().unwrap());
        assert_eq!(accept(listener.as_fd()).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_port_of_a_shared_group_is_not_free() {
        let listener = listen(&loopback(), OPTIONS).unwrap();
        let address = ip_of(&listener);
        assert_eq!(ensure_free(address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        listen(&Address::Ip(address), OPTIONS).expect("workers share a port");
        drop(listener);
        ensure_free(address).expect("nobody holds it now");
    }

    #[test]
    fn a_source_address_is_used() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::Ip(listener.local_addr().unwrap());
        let source: IpAddr = "127.0.0.2".parse().unwrap();
        let (_socket, _) = connect(&address, Some(source)).unwrap();
        assert_eq!(listener.accept().unwrap().1.ip(), source);
    }

    #[test]
    fn a_reset_is_seen_as_one_and_unsent_bytes_are_counted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::Ip(listener.local_addr().unwrap());
        let (socket, _) = connect(&address, None).unwrap();
        let (mut peer, _) = listener.accept().unwrap();
        assert!(take_error(socket.as_fd()).unwrap().is_none());
        let block = vec![0; 1 << 20];
        while crate::sys::transfer::send(socket.as_fd(), &block).is_ok() {}
        assert!(unsent(socket.as_fd()).unwrap() > 0);
        reset(socket);
        let mut read = Vec::new();
        let error = peer.read_to_end(&mut read).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn a_left_over_unix_socket_is_replaced_and_a_live_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let address = Address::Unix(folder.path().join("s"));
        let first = listen(&address, OPTIONS).unwrap();
        let error = listen(&address, OPTIONS).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        drop(first);
        let second = listen(&address, OPTIONS).unwrap();
        assert_eq!(local_address(second.as_fd()).unwrap(), Some(address.clone()));
        let (client, stands) = connect(&address, None).unwrap();
        assert!(stands, "a unix connect does not wait for the accept");
        let (accepted, peer) = accept_one(&second);
        assert_eq!(peer, None);
        (&accepted).write_all(b"x").unwrap();
        let mut byte = [0];
        assert_eq!(crate::sys::transfer::recv(client.as_fd(), &mut byte).unwrap(), 1);
    }

    #[test]
    fn a_socket_gets_its_mode_whatever_the_umask() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        for mode in [0o600, 0o666, 0o660] {
            let _socket = listen_with_mode(&path, 16, mode).unwrap();
            let metadata = std::fs::metadata(&path).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, mode);
            let taken = listen_with_mode(&path, 16, mode).unwrap_err();
            assert_eq!(taken.kind(), io::ErrorKind::AddrInUse);
        }
    }

    #[test]
    fn abstract_names_work() {
        let address: Address =
            format!("unix:@spliceway-test-{}", std::process::id()).parse().unwrap();
        let listener = listen(&address, OPTIONS).unwrap();
        assert_eq!(local_address(listener.as_fd()).unwrap(), Some(address.clone()));
        connect(&address, None).unwrap();
        accept_one(&listener);
    }
}

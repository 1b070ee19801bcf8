//! Spliceway: a TCP and HTTP reverse proxy for Linux that moves bytes through kernel pipes. This
//! page is the map; README.md says how to use what it shows.
//!
//! # The flow
//!
//! ```text
//! main ─ cli ─ load ─▶ config ─ capacity ─ explain      what to do, decided before anything runs
//!                         │
//!                        run ── listen ─▶ sockets
//!                         │
//!        ┌────────────────┴──────────────────────────────────┐
//!        ▼ one thread for each CPU                           ▼ one thread
//!   io/event_loop ─▶ io/worker        ◀── snapshot ──     control: signals, admin endpoint,
//!        │                            ─── reports ──▶     systemd, watchdog, drain
//!        │  events of the kernel
//!        ▼
//!   accept ─▶ balance ─▶ connect ─▶ drive ───────────────────▶ settle ─▶ account
//!                                     │ ▲                                  │
//!                          next step  ▼ │ what came of it                  ▼
//!                                  session ─ relay ─ lane ─ choice   metrics, access_log
//!                                     │ ▲
//!                                     ▼ │ splice, recv, send
//!                              conduit ◀─ pipe_pool
//!                                     │
//!                              channel ◀─ tls: a session, if there is one
//!                                     │
//!                              kernel (trait) ─▶ linux ─▶ sys: pipe, transfer, socket
//!                                             └▶ the fake one of tests/simulation
//! ```
//!
//! A connection of HTTP goes another way between accept and drive, once for each request:
//!
//! ```text
//!   accept ─▶ io/http ─▶ head ─▶ route ─▶ balance ─▶ upstream_pool, or connect ─▶ head, rewritten
//!                │ ▲       ▲                                                        │
//!                │ │       └─────── next request ─── close ◀─── both bodies ◀────── drive
//!                ▼ │ how far it is, what follows
//!             exchange ─ http: heads, framing, chunks, rewriting, answers
//! ```
//!
//! Everything that decides stands on the left of an arrow and holds no I/O; everything that does
//! I/O is told what to do and says what came of it.
//!
//! # Files in the order of the flow
//!
//! | file | what it does |
//! |---|---|
//! | `main.rs`, [`cli`] | the command line: what is asked for; exit codes |
//! | [`load`] | files, environment and flags, merged into one tree that knows where each value was written |
//! | [`config`] | that tree into a [`config::Config`] in which nothing is invalid, or every error at once; `config/limits.rs` has the bounds |
//! | [`capacity`] | what the process may use, from the config and from what `sys/probe.rs` found |
//! | [`explain`] | what `check` and `explain` print |
//! | [`measure`] | `spliceway measure`: each way for bytes to travel, measured here, and what to choose; a map of its own |
//! | [`run`] | from there to a process that carries traffic, and back to an exit |
//! | [`operate`] | the other side of the control socket: `spliceway status`, `upgrade` and their like |
//! | [`demo`] | the origin of the embedded default, for a first try |
//! | [`listen`] | binds, once for each worker; takes what a service manager or a predecessor hands over |
//! | [`io::event_loop`] | waits for events, tells the worker, gives it a turn |
//! | [`io::worker`] | all connections of a worker: run queue, deadlines, settling |
//! | [`io::accept`], `io/connect.rs` | in, with pauses at the limits; out, with retries |
//! | [`io::admission`] | whether a connection may begin, as far as limits say |
//! | [`limits`] | what is used up of limits, by listener and by client: token buckets, bandwidth in turns, the table of clients |
//! | [`io::handover`] | new connections go to the worker that has the fewest |
//! | [`io::greeting`], [`io::handshake_gate`] | between accept and the connection, where a listener asks for it: PROXY header, ClientHello, TLS handshake |
//! | [`io::introduction`] | what was learnt of a client there, and the PROXY header that a server gets |
//! | [`route`] | which route a request takes |
//! | [`roster`] | the servers that exist now, and what all workers know of them |
//! | [`balance`], [`roster::assign`] | which server, and which one after that; all workers as one |
//! | [`health`] | whether a server is well, by probes and by what becomes of its traffic |
//! | [`io::balancer`], `io/queue.rs` | a worker's part in that, and clients that wait for a server to have room |
//! | [`io::drive`] | the interpreter: carries out what the lanes say, by the system call that the conduit needs |
//! | [`session`] | one connection of TCP from accept to close: phases and deadlines |
//! | [`io::http`] | connections of HTTP: from one request to the next, a file for each thing that is done |
//! | [`io::upstream_pool`] | connections to servers that serve one request after the other |
//! | [`exchange`] | one request and its response, without I/O: how far both are, deadlines, when to try again, what is left of a body |
//! | [`relay`] | two lanes, and what holds between them: half-close, resets |
//! | [`relay::lane`] | one direction: what to do next, and what a "would block" means |
//! | [`relay::choice`] | splice or copy, for the next bytes of a lane |
//! | [`relay::policy`] | which part of a body of HTTP is left to a lane, and which is read |
//! | [`relay::silence`], [`relay::survivor`] | whether a silent peer is still there; when one may be reset |
//! | [`tls`] | sessions without I/O, and what they are made with: certificates, trust, what a client asks for; `tls/mod.rs` is a map of its own |
//! | [`proxy_protocol`] | who the client is, told by the proxy before this one and to the server |
//! | [`http::request`], [`http::response`] | HTTP heads, parsed and checked; `http/framing.rs` and [`http::chunk`] say where bodies end |
//! | [`http::client`] | who the client is, where trusted proxies are in front |
//! | [`http::rewrite`], [`http::answer`] | heads as they go on, with [`http::edits`] and [`http::forwarded`]; answers of our own |
//! | [`files`] | which file a request means, what the answer is, what of it is still to be sent; asked and sent by [`io::http`] |
//! | [`io::file_threads`], [`io::file_queue`], [`io::errand`] | what may wait for a disk, done by threads that may |
//! | [`io::roots`], [`io::residency`], [`sys::residence`] | directories that are served; what of files is known to be in memory |
//! | [`relay::coalesce`] | fewer, fuller wake-ups for a lane that has proved to carry bulk |
//! | [`io::channel`], [`io::record_buffers`] | a socket with the TLS session in front of it, so that lanes and exchanges know of plaintext only |
//! | [`io::conduit`], [`io::pipe_pool`] | where a lane's bytes are meanwhile; pipes that are used again |
//! | [`io::kernel`], [`io::linux`] | the system calls as a trait, and the real ones |
//! | [`io::timer`] | deadlines of a worker |
//! | [`sys`] | pipes, sockets, splice: all of `unsafe` and of libc |
//! | [`account`] | the one way out of a connection and of an exchange: counters, durations, access log line |
//! | [`metrics`], [`access_log`] | every metric, said once; the line and where it goes |
//! | [`snapshot`] | what the two planes share: what is in force and a stage to read, reports to write |
//! | [`io::adopt`], [`io::listener_settings`] | a worker takes over what is in force now; what its connections go by |
//! | [`control`] | signals, reload, upgrade, drain, admin endpoint and control socket, certificates that change, systemd, watchdog |
//! | [`logging`] | the process log |
//! | [`statistics`], [`picture`] | medians and ranges, curves and bars: for `measure` and for the benchmarks |
//! | [`error`], [`id`], [`address`] | words that all of them use |
//!
//! Where to begin: [`relay::lane`], since all else serves it; then [`relay`] and [`session`]; then
//! [`io::drive`] and [`io::worker`], which run them. For HTTP: [`exchange`], then [`io::http`].
//!
//! # Ranks
//!
//! A file uses only files of a lower rank, and its siblings in a folder. `tests/tidy.rs` holds
//! this, and the few exceptions with their reasons.
//!
//! | rank | files | |
//! |---|---|---|
//! | 0 | `error`, `id`, `address` | words |
//! | 1 | `balance`, `config`, `capacity`, `files`, `health`, `http`, `limits`, `relay`, `route`, `proxy_protocol`, `tls/client_hello`, `tls/algorithms`, `statistics`, `picture`, what `measure` concludes and shows | decisions; like rank 0 without I/O, clock, randomness, logs or metrics: time is an argument |
//! | 2 | `session`, `exchange`, `sys`, `metrics`, `access_log`, `logging`, `roster`, the rest of `tls` | phases of a connection, and what touches the system |
//! | 3 | `account`, `listen`, `secrets`, `site`, `snapshot`, `io/kernel`, `io/linux`, `io/pipe_pool`, `io/conduit`, `io/errand`, `io/file_queue`, `io/file_threads`, `io/residency`, `io/roots`, `io/timer` | what a worker is made of |
//! | 4 | the rest of `io`, `control`, `demo`, `load`, what `measure` does | the two planes, and how configuration comes in |
//! | 5 | `cli`, `run`, `explain`, `operate` | the program |
//! | 6 | `main`, this file | |
//!
//! # Invariants
//!
//! 1. In each direction, at every step, bytes read are bytes delivered, plus bytes held in a pipe
//!    or a buffer, plus bytes discarded because their receiver broke ([`relay::lane::Totals`]).
//! 2. A pipe goes back to the pool only when it is empty; otherwise it is closed. A connection to a
//!    server serves another client only when the whole request was sent, the whole response was
//!    read, and a read has shown that nothing stands behind it. The bytes of two clients never meet.
//! 3. The end of a direction is passed on (`SHUT_WR`) only after all that was read was written,
//!    and never cuts the other direction.
//! 4. A lane that could move bytes has an event coming or is in the run queue. Nothing stalls, and
//!    nothing spins: a lane that waits does not run.
//! 5. A connection ends exactly once, and so does an exchange, with one [`error::CloseReason`],
//!    through [`account`]. What was cut never looks whole: any end but an orderly one is a reset
//!    towards whoever is still there, after what was sent before has arrived.
//! 6. Everything that grows has a bound with a name: connections, pipes and their memory, buffers,
//!    heads, chunk extensions and trailers, bytes, exchanges and accepts in a turn, attempts to
//!    connect, connections that wait in a pool, clients that wait for a server or are remembered
//!    for their limits, the servers that a name stands for, time in every phase, log lines in the
//!    queue, and all of the admin endpoint. At a bound the proxy copies instead of splicing, then
//!    lets clients wait in the backlog.
//! 7. No panic can be caused from the network, and no `unsafe` stands outside of [`sys`].
//! 8. A bad configuration never replaces a good one: all of it is read, checked and built beside
//!    what is in force, and takes its place in one step or not at all. The same holds for each pair
//!    of certificate and key. A connection's ids stay right across it: a place in a list by id is
//!    given to another only after the last connection of whoever had it is gone
//!    ([`config::succession`]).
//! 9. A server counts exactly those who have it, and nobody who waits for one has one: no place is
//!    lost or taken twice, whatever becomes of a connection ([`roster::assign`]).
//! 10. In an upgrade, the new process touches no client before the old one lets go, and each
//!     listening socket is open in one of the two at any time.
//! 11. No key is in a log, an error, `/status` or a core dump; what a file of keys held is overwritten.
//!
//! The simulation in `tests/simulation` checks the first five, and the bound of pipe memory, over
//! a kernel that fails by a seed: after every turn of a worker, and at the end.
//!
//! # What is not here
//!
//! - No locks, no async runtime, no name resolution and no waiting for a disk in the data plane: a
//!   worker opens and sends what the kernel has in memory, and leaves the rest to
//!   [`io::file_threads`]. Workers share the connection limit (a counter), what is used up of other
//!   limits and what is known of servers (atomics), the listening sockets that exist only once, and
//!   the handles of metrics and of the access log, which never make them wait. The control plane
//!   asks for names and probes servers.
//! - No allocation for bytes that move: a spliced byte has no memory here, a copied one passes the
//!   worker's scratch buffer, and only what a receiver does not take gets memory of its own.
//! - No splice twin of a copying function. Which of the two it is stands in [`io::drive`] and in
//!   [`io::conduit`], and nowhere else.
//! - No connection that a reload looks into although nothing has changed for it, and none that holds
//!   a configuration which is in force no more, but for an exchange under way, which ends with the
//!   settings of its listener that it began with. Upgrade is not built yet.
//! - No body that is buffered whole, and none that is looked at but for the lines between chunks.

pub mod access_log;
pub mod account;
pub mod address;
pub mod balance;
pub mod capacity;
pub mod cli;
pub mod config;
pub mod control;
pub mod demo;
pub mod error;
pub mod exchange;
pub mod explain;
pub mod files;
pub mod health;
pub mod http;
pub mod id;
pub mod io;
pub mod limits;
pub mod listen;
pub mod load;
pub mod logging;
pub mod measure;
pub mod metrics;
pub mod operate;
pub mod picture;
pub mod proxy_protocol;
pub mod relay;
pub mod roster;
pub mod route;
pub mod run;
pub mod secrets;
pub mod session;
pub mod site;
pub mod snapshot;
pub mod statistics;
pub mod sys;
pub mod tls;

//! Which way bytes take, and why, with what TLS makes of it.

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::capacity::RelayPlan;
use crate::config::files::{Files, Transfer};
use crate::config::{RelayMode, Upstream};
use crate::error::FallbackReason;

/// Where TLS sessions end, that is: where bytes are encrypted and decrypted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Clients {
    /// They speak in plain text, or what they speak is nobody's business here.
    Plain,
    /// Their sessions end here.
    Terminated,
    /// Their sessions go on to the server as they are.
    PassedThrough,
}

/// The way of the bytes of files.
#[derive(Debug)]
pub(super) struct FileWay<'a> {
    transfer: Transfer,
    reason: &'a str,
}

impl<'a> FileWay<'a> {
    /// What `transfer` comes to for these clients, with this plan for the pipes, if it needs any.
    pub(super) fn new(
        files: &Files,
        clients: Clients,
        pipes: Option<&'a RelayPlan>,
    ) -> FileWay<'a> {
        let without_pipes = pipes.filter(|plan| plan.mode == RelayMode::Copy);
        let (transfer, reason) = match (files.transfer, clients) {
            (Transfer::Copy, _) => {
                (Transfer::Copy, "read into a buffer and sent from there, since transfer says so")
            }
            (_, Clients::Terminated) => {
                (Transfer::Copy, "copied (tls): sessions of clients end here")
            }
            (Transfer::Sendfile, _) => {
                (Transfer::Sendfile, "sent from the page cache, and never in this process")
            }
            (Transfer::Splice, _) => match without_pipes {
                Some(plan) => (Transfer::Copy, plan.reason.as_str()),
                None => (
                    Transfer::Splice,
                    "from the page cache to the socket by way of a pipe, and never in this process",
                ),
            },
            (Transfer::Mmap, _) => {
                (Transfer::Mmap, "mapped, and copied from there by the kernel alone")
            }
        };
        FileWay { transfer, reason }
    }

    /// For people.
    pub(super) fn as_text(&self) -> String {
        format!("{}: {}", self.transfer.label(), self.reason)
    }

    /// For programs.
    pub(super) fn as_json(&self) -> Value {
        json!({ "transfer": self.transfer.label(), "reason": self.reason })
    }
}

/// The way of the bytes of a listener or of a route.
#[derive(Debug)]
pub(super) struct Way<'a> {
    mode: RelayMode,
    pipe_size: u32,
    reason: Cow<'a, str>,
}

impl<'a> Way<'a> {
    /// What a plan comes to between these clients and the servers of `upstream`, if it is known
    /// which.
    pub(super) fn new(
        plan: &'a RelayPlan,
        clients: Clients,
        upstream: Option<&Upstream>,
    ) -> Way<'a> {
        let server_has_tls = upstream.is_some_and(|upstream| upstream.tls.is_some());
        let whose = match (clients, server_has_tls) {
            (Clients::Terminated, true) => "clients and servers",
            (Clients::Terminated, false) => "clients",
            (Clients::Plain | Clients::PassedThrough, true) => "servers",
            (Clients::Plain | Clients::PassedThrough, false) => "",
        };
        let (mode, reason) = match (plan.mode, clients) {
            (RelayMode::Copy, _) => (RelayMode::Copy, Cow::Borrowed(plan.reason.as_str())),
            _ if !whose.is_empty() => {
                let label = FallbackReason::Tls.label();
                (RelayMode::Copy, format!("copied ({label}): sessions of {whose} end here").into())
            }
            (_, Clients::PassedThrough) => {
                (RelayMode::Splice, "all bytes are spliced, the ClientHello included".into())
            }
            (mode, Clients::Plain | Clients::Terminated) => (mode, plan.reason.as_str().into()),
        };
        Way { mode, pipe_size: plan.pipe_size, reason }
    }

    /// For people.
    pub(super) fn as_text(&self) -> String {
        format!("{}: {}", self.mode.label(), self.reason)
    }

    /// For programs.
    pub(super) fn as_json(&self) -> Value {
        json!({ "mode": self.mode.label(), "pipe_size": self.pipe_size, "reason": self.reason })
    }
}

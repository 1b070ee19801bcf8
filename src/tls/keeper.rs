//! Reads what the configuration names, and reads it again: what is broken or half-written keeps
//! what was there before, piece by piece, and is said.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::ProducesTickets;
use rustls::{RootCertStore, ServerConfig};

use super::authorities::{revocation_lists_from_pem, roots_from_pem, system_roots};
use super::certificate::{Certificate, Description, Part};
use super::files::{Contents, Held};
use super::finding::Finding;
use super::server_settings::{self, ClientTrust};
use super::store::{TlsStore, UpstreamSlot};
use super::upstream_settings;
use crate::config::tls::{
    CertificateFiles, ClientAuthority, ListenerTls, UpstreamTls, Verification,
};
use crate::config::{Config, Listener, Upstream};

/// All that TLS is made from, and what workers have of it.
#[derive(Debug)]
pub struct Keeper {
    store: Arc<TlsStore>,
    listeners: Vec<ListenerKept>,
    upstreams: Vec<UpstreamKept>,
}

/// What a keeper becomes for a configuration that follows the one it was made for: made without
/// touching what is in force, so that it can be thrown away.
#[derive(Debug)]
pub struct Following {
    store: TlsStore,
    listeners: Vec<Kept<ListenerKept>>,
    upstreams: Vec<Kept<UpstreamKept>>,
}

/// Where a part of a keeper comes from.
#[derive(Debug)]
enum Kept<T> {
    /// It is the one at this index of the keeper before, and now at this place.
    Still {
        index: usize,
        is_retired: bool,
    },
    New(T),
}

/// What came of reading the files again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Refreshed {
    /// The tables of the configuration that have something new, such as `listeners.web.tls`.
    pub replaced: Vec<String>,
    /// What could not be used, so that what was there before is used still.
    pub broken: Vec<Finding>,
}

/// A certificate that is in use.
#[derive(Debug, Clone, Copy)]
pub struct InUse<'k> {
    /// The key of the configuration that names its files.
    pub key: &'k str,
    /// `listener` or `upstream`, whichever shows it.
    pub side: &'static str,
    /// The name of that one.
    pub name: &'k str,
    /// Its files.
    pub files: &'k CertificateFiles,
    /// What it says of itself.
    pub description: &'k Description,
}

#[derive(Debug)]
struct ListenerKept {
    place: usize,
    /// The listener is no part of the configuration any more: its files are not looked after.
    is_retired: bool,
    name: String,
    settings: ListenerTls,
    certificates: Vec<CertificateKept>,
    authorities: Option<AuthoritiesKept>,
    tickets: Arc<dyn ProducesTickets>,
}

#[derive(Debug)]
struct UpstreamKept {
    place: usize,
    /// As above.
    is_retired: bool,
    name: String,
    settings: UpstreamTls,
    certificate: Option<CertificateKept>,
    roots: RootsKept,
}

#[derive(Debug)]
struct CertificateKept {
    key: String,
    files: CertificateFiles,
    held: Held<Certificate>,
}

#[derive(Debug)]
struct AuthoritiesKept {
    key: String,
    files: ClientAuthority,
    held: Held<ClientTrust>,
}

#[derive(Debug)]
enum RootsKept {
    /// Those of the system, as they were at the start.
    System(Arc<RootCertStore>),
    File {
        key: String,
        path: PathBuf,
        held: Held<Arc<RootCertStore>>,
    },
    None,
}

impl Keeper {
    /// Reads everything for the first time.
    ///
    /// # Errors
    /// All that cannot be used, at least one thing.
    pub fn load(config: &Config) -> Result<Keeper, Vec<Finding>> {
        let mut findings = Vec::new();
        let mut store = TlsStore::empty();
        let (mut listeners, mut upstreams) = (Vec::new(), Vec::new());
        for (place, listener) in config.listeners.iter().enumerate() {
            let kept = ListenerKept::load(place, listener, &mut findings);
            let built = kept.as_ref().and_then(|kept| kept.build(&mut findings));
            store.listeners.push(built.map(ArcSwap::new));
            listeners.extend(kept);
        }
        let system = roots_for(&config.upstreams);
        for (place, upstream) in config.upstreams.iter().enumerate() {
            let kept = UpstreamKept::load(place, upstream, &system, &mut findings);
            store.upstreams.push(kept.as_ref().and_then(|kept| kept.slot(&mut findings)));
            upstreams.extend(kept);
        }
        match findings.is_empty() {
            true => Ok(Keeper { store: Arc::new(store), listeners, upstreams }),
            false => Err(findings),
        }
    }

    /// What this keeper becomes for `config`, which follows the one it was made for. Whatever has
    /// the same settings as before is kept with its sessions, and not read again; other listeners
    /// keep the keys of their tickets, unless certificates of clients are judged there.
    ///
    /// # Errors
    /// All that cannot be used, at least one thing.
    pub fn following(&self, config: &Config) -> Result<Following, Vec<Finding>> {
        let mut findings = Vec::new();
        let mut following =
            Following { store: TlsStore::empty(), listeners: Vec::new(), upstreams: Vec::new() };
        for (place, listener) in config.listeners.iter().enumerate() {
            let index = self.listeners.iter().position(|kept| kept.is(place, &listener.name));
            let was = index.map(|index| &self.listeners[index]);
            let is_same = was.is_some_and(|was| Some(&was.settings) == listener.tls.as_ref());
            if let Some(index) = index.filter(|_| is_same) {
                following.store.listeners.push(self.store.listener_again(place));
                let is_retired = listener.standing.is_retired();
                following.listeners.push(Kept::Still { index, is_retired });
                continue;
            }
            let mut kept = ListenerKept::load(place, listener, &mut findings);
            if let (Some(kept), Some(was)) = (&mut kept, was) {
                kept.keep_tickets_of(was);
            }
            let built = kept.as_ref().and_then(|kept| kept.build(&mut findings));
            following.store.listeners.push(built.map(ArcSwap::new));
            following.listeners.extend(kept.map(Kept::New));
        }
        let system = roots_for(&config.upstreams);
        for (place, upstream) in config.upstreams.iter().enumerate() {
            let index = self.upstreams.iter().position(|kept| kept.is(place, &upstream.name));
            let was = index.map(|index| &self.upstreams[index]);
            let is_same = was.is_some_and(|was| Some(&was.settings) == upstream.tls.as_ref());
            if let Some(index) = index.filter(|_| is_same) {
                following.store.upstreams.push(self.store.upstream_again(place));
                let is_retired = upstream.standing.is_retired();
                following.upstreams.push(Kept::Still { index, is_retired });
                continue;
            }
            let kept = UpstreamKept::load(place, upstream, &system, &mut findings);
            let slot = kept.as_ref().and_then(|kept| kept.slot(&mut findings));
            following.store.upstreams.push(slot);
            following.upstreams.extend(kept.map(Kept::New));
        }
        if findings.is_empty() { Ok(following) } else { Err(findings) }
    }

    /// Becomes what [`Keeper::following`] has made.
    pub fn take_over(&mut self, following: Following) {
        self.store = Arc::new(following.store);
        let mut before: Vec<_> = self.listeners.drain(..).map(Some).collect();
        self.listeners.extend(following.listeners.into_iter().filter_map(|kept| match kept {
            Kept::New(kept) => Some(kept),
            Kept::Still { index, is_retired } => {
                before[index].take().map(|kept| ListenerKept { is_retired, ..kept })
            }
        }));
        let mut before: Vec<_> = self.upstreams.drain(..).map(Some).collect();
        self.upstreams.extend(following.upstreams.into_iter().filter_map(|kept| match kept {
            Kept::New(kept) => Some(kept),
            Kept::Still { index, is_retired } => {
                before[index].take().map(|kept| UpstreamKept { is_retired, ..kept })
            }
        }));
    }

    /// What workers make sessions with.
    pub fn store(&self) -> Arc<TlsStore> {
        Arc::clone(&self.store)
    }

    /// Whether there is nothing to keep.
    pub fn is_empty(&self) -> bool {
        self.listeners.is_empty() && self.upstreams.is_empty()
    }

    /// Reads everything again, and lets workers have what is new.
    pub fn refresh(&mut self) -> Refreshed {
        let mut refreshed = Refreshed::default();
        for kept in self.listeners.iter_mut().filter(|kept| !kept.is_retired) {
            if kept.refresh(&mut refreshed.broken)
                && let Some(config) = kept.build(&mut refreshed.broken)
                && let Some(Some(slot)) = self.store.listeners.get(kept.place)
            {
                slot.store(config);
                refreshed.replaced.push(format!("listeners.{}.tls", kept.name));
            }
        }
        for kept in self.upstreams.iter_mut().filter(|kept| !kept.is_retired) {
            if kept.refresh(&mut refreshed.broken)
                && let Some(config) = kept.build(&mut refreshed.broken)
                && let Some(Some(slot)) = self.store.upstreams.get(kept.place)
            {
                slot.config.store(config);
                refreshed.replaced.push(format!("upstreams.{}.tls", kept.name));
            }
        }
        refreshed
    }

    /// All certificates in use, in the order of the configuration.
    pub fn certificates(&self) -> impl Iterator<Item = InUse<'_>> {
        let listeners =
            self.listeners.iter().filter(|kept| !kept.is_retired).flat_map(|kept| {
                kept.certificates.iter().map(|it| it.in_use("listener", &kept.name))
            });
        let upstreams =
            self.upstreams.iter().filter(|kept| !kept.is_retired).flat_map(|kept| {
                kept.certificate.iter().map(|it| it.in_use("upstream", &kept.name))
            });
        listeners.chain(upstreams)
    }

    /// The folders with all files: files are replaced by renaming, so it is these that change.
    pub fn folders(&self) -> BTreeSet<PathBuf> {
        let mut paths: Vec<&Path> = Vec::new();
        for kept in self.listeners.iter().filter(|kept| !kept.is_retired) {
            paths.extend(kept.certificates.iter().flat_map(CertificateKept::paths));
            if let Some(authorities) = &kept.authorities {
                paths.extend(paths_of(&authorities.files));
            }
        }
        for kept in self.upstreams.iter().filter(|kept| !kept.is_retired) {
            paths.extend(kept.certificate.iter().flat_map(CertificateKept::paths));
            if let RootsKept::File { path, .. } = &kept.roots {
                paths.push(path);
            }
        }
        let folder = |path: &&Path| match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        paths.iter().map(folder).collect()
    }
}

impl ListenerKept {
    /// `None` where the listener has no TLS, or something was found.
    fn load(
        place: usize,
        listener: &Listener,
        findings: &mut Vec<Finding>,
    ) -> Option<ListenerKept> {
        let settings = listener.tls.clone()?;
        let table = format!("listeners.{}.tls", listener.name);
        let files = settings.certificates.iter().enumerate();
        let certificates: Vec<Option<CertificateKept>> = files
            .map(|(index, files)| {
                CertificateKept::load(format!("{table}.certificates[{index}]"), files, findings)
            })
            .collect();
        let authorities = match settings.client_certificates.authority() {
            None => Some(None),
            Some(files) => {
                let key = format!("{table}.client_certificates");
                AuthoritiesKept::load(key, files, findings).map(Some)
            }
        };
        let tickets = server_settings::ticket_keys()
            .map_err(|words| findings.push(about_table(&table, words)));
        Some(ListenerKept {
            place,
            is_retired: false,
            name: listener.name.clone(),
            certificates: certificates.into_iter().collect::<Option<_>>()?,
            authorities: authorities?,
            tickets: tickets.ok()?,
            settings,
        })
    }

    /// Whether it is of the listener of this name, at this place.
    fn is(&self, place: usize, name: &str) -> bool {
        self.place == place && self.name == name
    }

    /// Sessions that clients have may be resumed, unless others are judged than were before.
    fn keep_tickets_of(&mut self, was: &ListenerKept) {
        let judges = self.authorities.is_some() || was.authorities.is_some();
        if !judges {
            self.tickets = Arc::clone(&was.tickets);
        }
    }

    fn build(&self, findings: &mut Vec<Finding>) -> Option<Arc<ServerConfig>> {
        let certificates: Vec<&Certificate> =
            self.certificates.iter().map(|kept| kept.held.value()).collect();
        let trust = self.authorities.as_ref().map(|it| it.held.value());
        let settings = &self.settings;
        server_settings::server_config(settings, &certificates, trust, &self.tickets)
            .map_err(|words| {
                findings.push(about_table(&format!("listeners.{}.tls", self.name), words));
            })
            .ok()
    }

    /// Whether anything has changed.
    fn refresh(&mut self, broken: &mut Vec<Finding>) -> bool {
        let mut has_changed = false;
        for certificate in &mut self.certificates {
            has_changed |= certificate.refresh(broken);
        }
        let judgement = self.authorities.as_mut().is_some_and(|it| it.refresh(broken));
        if judgement {
            match server_settings::ticket_keys() {
                Ok(tickets) => self.tickets = tickets,
                Err(words) => {
                    let table = format!("listeners.{}.tls", self.name);
                    broken.push(about_table(&table, words));
                }
            }
        }
        has_changed || judgement
    }
}

impl UpstreamKept {
    /// `None` where the upstream has no TLS, or something was found.
    fn load(
        place: usize,
        upstream: &Upstream,
        system: &Result<Arc<RootCertStore>, String>,
        findings: &mut Vec<Finding>,
    ) -> Option<UpstreamKept> {
        let settings = upstream.tls.clone()?;
        let table = format!("upstreams.{}.tls", upstream.name);
        let certificate = settings.client_certificate.as_ref().map(|files| {
            CertificateKept::load(format!("{table}.client_certificate"), files, findings)
        });
        let roots = match &settings.verification {
            Verification::Skipped => Ok(RootsKept::None),
            Verification::System => match system {
                Ok(roots) => Ok(RootsKept::System(Arc::clone(roots))),
                Err(words) => Err(about_table(&table, words.clone())),
            },
            Verification::Ca(path) => {
                let key = format!("{table}.ca");
                let held = Held::new(&[path], make_roots);
                match held {
                    Ok(held) => Ok(RootsKept::File { key, path: path.clone(), held }),
                    Err((_, words)) => Err(Finding { key, file: path.clone(), words }),
                }
            }
        };
        let roots = roots.map_err(|finding| findings.push(finding)).ok();
        Some(UpstreamKept {
            place,
            is_retired: false,
            name: upstream.name.clone(),
            certificate: match certificate {
                Some(certificate) => Some(certificate?),
                None => None,
            },
            roots: roots?,
            settings,
        })
    }

    /// Whether it is of the upstream of this name, at this place.
    fn is(&self, place: usize, name: &str) -> bool {
        self.place == place && self.name == name
    }

    fn slot(&self, findings: &mut Vec<Finding>) -> Option<UpstreamSlot> {
        let config = self.build(findings)?;
        Some(UpstreamSlot { settings: self.settings.clone(), config: ArcSwap::new(config) })
    }

    fn build(&self, findings: &mut Vec<Finding>) -> Option<Arc<rustls::ClientConfig>> {
        let roots = match &self.roots {
            RootsKept::System(roots) => Some(roots),
            RootsKept::File { held, .. } => Some(held.value()),
            RootsKept::None => None,
        };
        let own = self.certificate.as_ref().map(|kept| kept.held.value());
        upstream_settings::client_config(&self.settings, roots, own)
            .map_err(|words| {
                findings.push(about_table(&format!("upstreams.{}.tls", self.name), words));
            })
            .ok()
    }

    /// Whether anything has changed.
    fn refresh(&mut self, broken: &mut Vec<Finding>) -> bool {
        let has_changed = self.certificate.as_mut().is_some_and(|it| it.refresh(broken));
        let RootsKept::File { key, path, held } = &mut self.roots else { return has_changed };
        let refreshed = held.refresh(&[path], make_roots);
        has_changed | noted(refreshed, broken, |_| (key.clone(), path.clone()))
    }
}

impl CertificateKept {
    /// `None` only if something was found.
    fn load(
        key: String,
        files: &CertificateFiles,
        findings: &mut Vec<Finding>,
    ) -> Option<CertificateKept> {
        match Held::new(&[&files.chain, &files.key], make_certificate) {
            Ok(held) => Some(CertificateKept { key, files: files.clone(), held }),
            Err((index, words)) => {
                let (key, file) = place_of(&key, files, index);
                findings.push(Finding { key, file, words });
                None
            }
        }
    }

    fn refresh(&mut self, broken: &mut Vec<Finding>) -> bool {
        let CertificateKept { key, files, held } = self;
        let refreshed = held.refresh(&[&files.chain, &files.key], make_certificate);
        noted(refreshed, broken, |index| place_of(key, files, index))
    }

    fn paths(&self) -> [&Path; 2] {
        [&self.files.chain, &self.files.key]
    }

    fn in_use<'k>(&'k self, side: &'static str, name: &'k str) -> InUse<'k> {
        let CertificateKept { key, files, held } = self;
        InUse { key, side, name, files, description: held.value().description() }
    }
}

impl AuthoritiesKept {
    /// `None` only if something was found.
    fn load(
        key: String,
        files: &ClientAuthority,
        findings: &mut Vec<Finding>,
    ) -> Option<AuthoritiesKept> {
        match Held::new(&paths_of(files), make_trust) {
            Ok(held) => Some(AuthoritiesKept { key, files: files.clone(), held }),
            Err((index, words)) => {
                let (key, file) = place_of_authority(&key, files, index);
                findings.push(Finding { key, file, words });
                None
            }
        }
    }

    fn refresh(&mut self, broken: &mut Vec<Finding>) -> bool {
        let AuthoritiesKept { key, files, held } = self;
        let refreshed = held.refresh(&paths_of(files), make_trust);
        noted(refreshed, broken, |index| place_of_authority(key, files, index))
    }
}

fn paths_of(files: &ClientAuthority) -> Vec<&Path> {
    let lists = files.revocation_lists.iter().map(PathBuf::as_path);
    std::iter::once(files.ca.as_path()).chain(lists).collect()
}

fn place_of_authority(key: &str, files: &ClientAuthority, index: usize) -> (String, PathBuf) {
    match index.checked_sub(1) {
        None => (format!("{key}.ca"), files.ca.clone()),
        Some(list) => {
            (format!("{key}.revocation_lists[{list}]"), files.revocation_lists[list].clone())
        }
    }
}

/// Whether something has changed; what is broken is noted, with its key and file.
fn noted(
    refreshed: Result<bool, (usize, String)>,
    broken: &mut Vec<Finding>,
    place: impl FnOnce(usize) -> (String, PathBuf),
) -> bool {
    refreshed.unwrap_or_else(|(index, words)| {
        let (key, file) = place(index);
        broken.push(Finding { key, file, words });
        false
    })
}

fn place_of(key: &str, files: &CertificateFiles, index: usize) -> (String, PathBuf) {
    match index {
        0 => (format!("{key}.chain"), files.chain.clone()),
        _ => (format!("{key}.key"), files.key.clone()),
    }
}

/// The roots of the system, if any upstream needs them.
fn roots_for(upstreams: &[Upstream]) -> Result<Arc<RootCertStore>, String> {
    let needs_system = |upstream: &Upstream| {
        let tls = upstream.tls.as_ref();
        tls.is_some_and(|tls| tls.verification == Verification::System)
    };
    match upstreams.iter().any(needs_system) {
        true => system_roots(),
        false => Ok(Arc::new(RootCertStore::empty())),
    }
}

fn about_table(table: &str, words: String) -> Finding {
    Finding { key: table.to_owned(), file: PathBuf::new(), words }
}

fn make_certificate(contents: &[Contents]) -> Result<Certificate, (usize, String)> {
    Certificate::from_pem(&contents[0], &contents[1]).map_err(|(part, words)| match part {
        Part::Chain => (0, words),
        Part::Key => (1, words),
    })
}

fn make_roots(contents: &[Contents]) -> Result<Arc<RootCertStore>, (usize, String)> {
    roots_from_pem(&contents[0]).map_err(|words| (0, words))
}

/// Roots, and behind them revocation lists.
fn make_trust(contents: &[Contents]) -> Result<ClientTrust, (usize, String)> {
    let roots = make_roots(&contents[..1])?;
    let mut trust = ClientTrust { roots, revocation_lists: Vec::new() };
    for (index, list) in contents.iter().enumerate().skip(1) {
        let lists = revocation_lists_from_pem(list).map_err(|words| (index, words))?;
        trust.revocation_lists.extend(lists);
        // All that came before was right, so that it is this list that is not.
        trust.check().map_err(|words| (index, words))?;
    }
    Ok(trust)
}

//! A request that is answered with a file: from its path to the head of the answer.
//!
//! ```text
//!   serve_files ─▶ look_up ──┬── in memory ───────────────────────▶ on_found ─▶ head, file_body
//!                            └── errand ─▶ (a thread) ─▶ arrived ──▶ on_found
//! ```

use std::borrow::Cow;
use std::io;
use std::sync::Arc;

use crate::config::files::{Files, Transfer};
use crate::error::{CloseReason, Direction, FallbackReason, is_exhaustion};
use crate::exchange::Exchange;
use crate::exchange::body::Body;
use crate::files::FileStatus;
use crate::files::answer::Reply;
use crate::files::body::{FileBody, Parts};
use crate::files::lookup::{Found, Wanted};
use crate::files::relative_path::relative_path;
use crate::http::answer::{Content, Page};
use crate::http::content_coding::{Codings, ContentCoding};
use crate::http::content_range::Part;
use crate::http::date::HttpDate;
use crate::http::file_answer::{FileAnswer, part_type};
use crate::http::framing::BodyLength;
use crate::http::method::Method;
use crate::http::range::ByteRange;
use crate::http::request_id::RequestId;
use crate::io::errand::{Claim, Errand, Outcome, Ticket};
use crate::io::http::connection::HttpConnection;
use crate::io::http::file_body::Sending;
use crate::io::http::run::Turn;
use crate::io::kernel::Kernel;

const DOWN: Direction = Direction::Downstream;

/// The file of an exchange, from the lookup to its last byte.
#[derive(Debug)]
pub struct Serving<F> {
    /// What the route says.
    pub(super) files: Arc<Files>,
    pub(super) stage: Stage<F>,
}

impl<F> Serving<F> {
    /// Whether a thread does something for it, so that nothing can be sent meanwhile.
    pub fn awaits_thread(&self) -> bool {
        match &self.stage {
            Stage::LookingUp { .. } => true,
            Stage::Found(_) => false,
            Stage::Sending(sending) => sending.is_away(),
        }
    }
}

/// How far it is.
///
/// ```text
/// LookingUp ─▶ Found ─▶ Sending ─▶ (over)
/// ```
#[derive(Debug)]
pub(super) enum Stage<F> {
    /// A thread finds it.
    LookingUp { _claim: Claim },
    /// It has, or it has found that there is none.
    Found(io::Result<Found<F>>),
    /// The head is out, the body on its way.
    Sending(Sending<F>),
}

/// A file that was found, as it is answered with.
struct FoundFile<F> {
    file: F,
    status: FileStatus,
    coding: Option<ContentCoding>,
    media_type: &'static str,
}

impl<K: Kernel> HttpConnection<K> {
    /// The exchange is not answered with a file, or no more. What a thread still does for it is
    /// nobody's business when it is done: an exchange has one answer.
    pub(super) fn end_serving(&mut self) {
        self.serving = None;
        self.errands = self.errands.wrapping_add(1);
    }

    /// Takes note of what a thread has done. Says whether anybody waits for it still.
    pub(in crate::io) fn on_errand(&mut self, number: u32, outcome: Outcome<K::File>) -> bool {
        let current = self.errands;
        let Some(serving) = self.serving.as_mut().filter(|_| number == current) else {
            return false;
        };
        match (outcome, &mut serving.stage) {
            (Outcome::LookedUp(found), stage @ Stage::LookingUp { .. }) => {
                *stage = Stage::Found(found);
            }
            (Outcome::ReadAhead { file, result }, Stage::Sending(sending)) => {
                sending.came_back(file, result.is_err());
            }
            (Outcome::LookedUp(_) | Outcome::ReadAhead { .. }, _) => return false,
        }
        true
    }
}

impl<K: Kernel> Turn<'_, K> {
    /// Answers with the file that the path of a request means. What of its body has come was
    /// skipped.
    pub(super) fn serve_files(&mut self, exchange: &mut Exchange, files: &Arc<Files>) {
        let request = &exchange.request;
        if !matches!(request.method(), Method::Get | Method::Head) {
            return self.answer(exchange, 405, Content::ReadOnly);
        }
        let edited = files.path.apply(request.path());
        let edited = edited.map_or(Cow::Borrowed(request.path()), |it| it.concat().into());
        let mut path = std::mem::take(&mut self.desk.path);
        path.clear();
        let is_refused = relative_path(&edited, files.hidden, &mut path).is_err();
        let wanted = Wanted {
            files: Arc::clone(files),
            path,
            is_refused,
            // Of the path that the client knows: it is the client that resolves links by it.
            is_directory: request.path().ends_with('/'),
            codings: Codings::accepted(request, &files.precompressed),
        };
        match self.kernel.look_up(&wanted, self.now) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.look_up_elsewhere(exchange, wanted);
            }
            found => {
                self.desk.path = wanted.path;
                self.on_found(exchange, files, found);
            }
        }
    }

    fn look_up_elsewhere(&mut self, exchange: &mut Exchange, wanted: Wanted) {
        self.end_request(exchange);
        let files = Arc::clone(&wanted.files);
        match self.begin_errand(Errand::LookUp(wanted)) {
            Ok(claim) => {
                let stage = Stage::LookingUp { _claim: claim };
                let serving = Serving { files, stage };
                self.connection.serving = Some(Box::new(serving));
            }
            Err(error) => self.on_lookup_failed(exchange, &error),
        }
    }

    /// Has a thread do something for this connection.
    pub(super) fn begin_errand(&mut self, errand: Errand<K::File>) -> io::Result<Claim> {
        self.connection.errands = self.connection.errands.wrapping_add(1);
        let ticket = Ticket { connection: self.id, number: self.connection.errands };
        self.kernel.begin(ticket, errand)
    }

    /// Moves an answer with a file on, from wherever it is.
    pub(super) fn advance_file(&mut self, exchange: &mut Exchange) {
        let Some(mut serving) = self.connection.serving.take() else { return };
        match serving.stage {
            Stage::LookingUp { .. } => self.connection.serving = Some(serving),
            Stage::Found(found) => {
                self.has_acted = true;
                self.on_found(exchange, &serving.files, found);
            }
            Stage::Sending(mut sending) => {
                self.pump_file(exchange, &serving.files, &mut sending);
                if exchange.progress.is_moving(DOWN) {
                    serving.stage = Stage::Sending(sending);
                    self.connection.serving = Some(serving);
                }
            }
        }
    }

    fn on_found(
        &mut self,
        exchange: &mut Exchange,
        files: &Arc<Files>,
        found: io::Result<Found<K::File>>,
    ) {
        debug_assert!(exchange.progress.is_awaiting(), "an exchange has one answer");
        match found {
            Ok(Found::File { file, status, coding, media_type }) => {
                let found = FoundFile { file, status, coding, media_type };
                self.answer_file(exchange, files, found);
            }
            Ok(Found::Listing(page)) => self.answer_listing(exchange, &page),
            Ok(Found::AddSlash) => self.answer(exchange, 301, Content::AddSlash),
            Ok(Found::Missing) => self.answer_status(exchange, 404),
            Ok(Found::Forbidden) => self.answer_status(exchange, 403),
            Err(error) => self.on_lookup_failed(exchange, &error),
        }
    }

    /// Answers with the page of a directory, while there is memory for one more that a client is
    /// slow to take.
    fn answer_listing(&mut self, exchange: &mut Exchange, page: &[u8]) {
        if self.supplies.stuck_bytes >= self.supplies.stuck_bytes_max {
            return self.answer_status(exchange, 503);
        }
        self.budget = self.budget.saturating_sub(page.len());
        let page = Page { media_type: "text/html; charset=utf-8", body: page };
        self.answer(exchange, 200, Content::Page(page));
    }

    /// Nobody can say whether there is a file: the root is gone or closed to us, a disk fails, or
    /// this machine has run out of something. That is no 404, which caches would keep.
    fn on_lookup_failed(&mut self, exchange: &mut Exchange, error: &io::Error) {
        use io::ErrorKind as Kind;
        let is_busy = matches!(error.kind(), Kind::ResourceBusy | Kind::WouldBlock)
            || error.raw_os_error().is_some_and(is_exhaustion);
        self.fail(exchange, if is_busy { 503 } else { 500 }, CloseReason::FileFailed);
    }

    /// Gives the head of the answer to the client, and leaves the body to [`Turn::pump_file`].
    fn answer_file(
        &mut self,
        exchange: &mut Exchange,
        files: &Arc<Files>,
        found: FoundFile<K::File>,
    ) {
        let FoundFile { file, status, coding, media_type } = found;
        let size = status.size;
        self.desk.refresh_date(self.now);
        let validators = status.validators(self.desk.unix_seconds());
        let reply = Reply::to(&exchange.request, size, &validators);
        let (code, part) = match reply {
            Reply::Whole => (200, Part::All),
            Reply::One(range) => (206, Part::Of(range, size)),
            Reply::Many(_) => (206, Part::All),
            Reply::NotModified => (304, Part::All),
            Reply::PreconditionFailed => return self.answer_status(exchange, 412),
            Reply::NothingInRange => {
                return self.answer(exchange, 416, Content::NothingInRange { size });
            }
        };
        let boundary = matches!(reply, Reply::Many(_)).then(|| self.desk.request_id());
        let edits = self.route(exchange).map(|route| &route.response_headers);
        let body = match (reply, boundary) {
            (Reply::Many(ranges), Some(boundary)) => {
                let edits = edits.unwrap_or(&self.desk.no_edits);
                let context = self.context(exchange);
                let media_type = part_type(edits, media_type, &exchange.request, &context);
                FileBody::of_ranges(ranges, Parts { boundary, media_type, size })
            }
            (Reply::One(range), _) => FileBody::of_range(range),
            (Reply::Whole, _) => FileBody::of_range(ByteRange { start: 0, end: size }),
            _ => FileBody::of_range(ByteRange::default()),
        };
        let length = body.length();
        let has_body = length > 0 && exchange.request.method() != Method::Head;
        self.begin_answer(exchange, code);
        let mut head = std::mem::take(&mut self.desk.head);
        head.clear();
        let answer = FileAnswer {
            status: code,
            edits: edits.unwrap_or(&self.desk.no_edits),
            media_type,
            boundary: boundary.as_ref().map(RequestId::as_str),
            length,
            tag: &validators.tag,
            modified: validators.is_settled.then(|| HttpDate::from_unix(validators.modified)),
            coding,
            varies: !files.precompressed.is_empty(),
            part,
            keeps_alive: exchange.keeps_client,
            date: self.desk.date(),
        };
        answer.write(&exchange.request, &self.context(exchange), &mut head);
        self.put_own(&head, has_body);
        self.desk.head = head;
        if has_body {
            let limits = self.http().map(|http| http.limits.chunk).unwrap_or_default();
            exchange.bodies[DOWN.index()] = Body::new(BodyLength::Length(length), limits);
            let sending = Sending::new(file, body, self.transfer(files), self.now);
            let serving = Serving { files: Arc::clone(files), stage: Stage::Sending(sending) };
            self.connection.serving = Some(Box::new(serving));
        }
    }

    /// How the bytes of files get to this client: what is encrypted on its way must be read.
    fn transfer(&mut self, files: &Files) -> Transfer {
        let is_read = self.connection.client_tls.is_some() && files.transfer != Transfer::Copy;
        if !is_read {
            return files.transfer;
        }
        self.copy_file_because(FallbackReason::Tls);
        Transfer::Copy
    }

    /// Notes why the bytes of a file are copied although that was not asked for.
    pub(super) fn copy_file_because(&mut self, reason: FallbackReason) {
        if self.connection.relay.lane_mut(DOWN).fall_back(reason) {
            self.account.fell_back(self.connection.listener, std::iter::once(reason));
        }
    }
}

//! Commands to the running process: what can be asked, and what is answered. They come in over the
//! control socket and are carried out by the loop of the control plane, one after the other.

use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::operator::ServerOrder;

/// Commands that wait for the loop; more of them wait in their connections.
const QUEUED_MAX: usize = 16;

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Read the configuration again, and put it in force.
    Reload,
    /// Start the binary again and hand over to it.
    Upgrade,
    /// Treat a server otherwise.
    Server(ServerOrder),
}

/// The end of a command.
pub type Answer = Result<Done, Refusal>;

/// What was done, in a sentence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// For people.
    pub message: String,
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It cannot be done now: the process ends, or does something else.
    NotNow(String),
    /// What it speaks of is not there, or cannot be so.
    Unknown(String),
    /// It was tried and came to nothing; everything is as before.
    Failed(String),
}

/// Where the loop answers to.
pub type Reply = oneshot::Sender<Answer>;

/// A command with whoever waits for its end.
#[derive(Debug)]
pub struct Asked {
    /// What is asked for.
    pub command: Command,
    /// Who waits.
    pub reply: Reply,
}

/// Sends commands to the loop.
#[derive(Debug, Clone)]
pub struct Commander(mpsc::Sender<Asked>);

/// A way to the loop, and its end there.
pub fn channel() -> (Commander, Commands) {
    let (sender, receiver) = mpsc::channel(QUEUED_MAX);
    (Commander(sender), Commands(receiver))
}

/// Where the loop takes commands from.
#[derive(Debug)]
pub struct Commands(mpsc::Receiver<Asked>);

impl Commands {
    /// Waits for the next one; `None` once nobody can send any.
    pub(super) async fn next(&mut self) -> Option<Asked> {
        self.0.recv().await
    }
}

impl Commander {
    /// Has a command carried out, and waits for its end.
    ///
    /// # Errors
    /// Why it was not.
    pub async fn run(&self, command: Command) -> Answer {
        let ended = || Refusal::NotNow("the process has ended".to_owned());
        let (reply, answer) = oneshot::channel();
        self.0.send(Asked { command, reply }).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}

/// Answers; whoever has asked may have gone.
pub(super) fn answer(reply: Reply, answer: Answer) {
    let _gone = reply.send(answer).is_err();
}

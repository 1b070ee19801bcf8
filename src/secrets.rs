//! The files that sign what clients carry for the proxy: `sticky.secret_file` of each upstream.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::balance::sticky::{SECRET_SIZE_MIN, Signer};
use crate::config::Config;
use crate::roster::Roster;

/// The most that is read of a file, in bytes.
pub const SECRET_SIZE_MAX: usize = 64 * 1024;

/// What signs the cookies of each upstream, by its place in the config.
#[derive(Debug)]
pub struct Secrets {
    signers: Vec<Option<Arc<Signer>>>,
}

impl Secrets {
    /// Reads the files that a configuration names.
    ///
    /// # Errors
    /// The key of each that cannot be used, and what is wrong with it.
    pub fn read(config: &Config) -> Result<Secrets, Vec<(String, String)>> {
        let (mut signers, mut problems) = (Vec::new(), Vec::new());
        for upstream in &config.upstreams {
            let is_retired = upstream.standing.is_retired();
            let sticky = upstream.balancing.sticky.as_ref().filter(|_| !is_retired);
            let signer = sticky.map(|sticky| read(&sticky.secret_file));
            let signer = signer.transpose().unwrap_or_else(|problem| {
                problems.push((format!("upstreams.{}.sticky.secret_file", upstream.name), problem));
                None
            });
            signers.push(signer.map(|it| Arc::new(Signer::new(&it, &upstream.name))));
        }
        if problems.is_empty() { Ok(Secrets { signers }) } else { Err(problems) }
    }

    /// Has the workers use them from the next request on.
    pub fn install(&self, roster: &Roster) {
        for (upstream, signer) in roster.upstreams().iter().zip(&self.signers) {
            upstream.state.signer.store(signer.clone());
        }
    }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let shown = path.display();
    let file = fs::File::open(path).map_err(|error| format!("cannot read {shown}: {error}"))?;
    let mut secret = Zeroizing::new(Vec::with_capacity(SECRET_SIZE_MAX));
    let read = file.take(SECRET_SIZE_MAX as u64).read_to_end(&mut secret);
    read.map_err(|error| format!("cannot read {shown}: {error}"))?;
    if secret.len() < SECRET_SIZE_MIN {
        return Err(format!(
            "{shown} has {} bytes; expected at least {SECRET_SIZE_MIN} random ones, such as \
             those of: openssl rand -hex 32",
            secret.len()
        ));
    }
    Ok(secret)
}

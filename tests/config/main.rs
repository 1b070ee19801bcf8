//! The configuration from outside: files, environment and flags in, `Config` or errors out.

// Helpers of tests may panic as tests do; clippy.toml lets only the tests themselves.
#![allow(clippy::panic, clippy::unwrap_used)]

mod balancing;
mod errors;
mod follow;
mod http;
mod layers;
mod limits;
mod properties;
mod shipped;
mod tls;

use spliceway::config::{ConfigError, Effective, RelayMode, Workers};
use spliceway::load::{Assignment, Base, Loaded, Sources, load};
use tempfile::TempDir;

/// A valid configuration to put mistakes into.
const VALID: &str = r#"
[listeners.web]
bind = "127.0.0.1:80"
upstream = "app"

[upstreams.app]
servers = ["127.0.0.1:9001"]
"#;

/// A valid configuration of HTTP to put mistakes into.
const HTTP: &str = r#"
[listeners.web]
bind = "127.0.0.1:80"
protocol = "http"
upstream = "app"

[upstreams.app]
servers = ["127.0.0.1:9001"]
"#;

struct Case {
    directory: TempDir,
    sources: Sources,
}

impl Case {
    fn file(name: &str, text: &str) -> Case {
        Case::files(&[(name, text.as_bytes())])
    }

    fn files(files: &[(&str, &[u8])]) -> Case {
        let directory = TempDir::new().unwrap();
        let paths = files.iter().map(|(name, text)| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        });
        let base = Base::Files(paths.collect());
        let (supplied, environment, flags) = (Vec::new(), Vec::new(), Vec::new());
        Case { sources: Sources { base, supplied, environment, flags }, directory }
    }

    fn variable(mut self, name: &str, value: &str) -> Case {
        self.sources.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    fn flag(mut self, key: &str, value: &str, flag: &str) -> Case {
        self.sources.flags.push(Assignment::flag(key, value, flag));
        self
    }

    fn loaded(&self) -> Loaded {
        load(self.sources.clone()).unwrap_or_else(|errors| panic!("{errors:#?}"))
    }

    /// The errors as they are printed, without the directory.
    fn errors(&self) -> Vec<String> {
        let prefix = format!("{}/", self.directory.path().display());
        load(self.sources.clone())
            .err()
            .unwrap_or_default()
            .iter()
            .map(|error: &ConfigError| error.to_string().replace(&prefix, ""))
            .collect()
    }

    /// `VALUE from ORIGIN` of a key, as `explain` has it.
    fn effective(&self, key: &str) -> String {
        let prefix = format!("{}/", self.directory.path().display());
        let loaded = self.loaded();
        let found = loaded.effective.iter().find(|effective| effective.key == key);
        let Effective { value, origin, inherited_from, .. } =
            found.unwrap_or_else(|| panic!("no {key}"));
        let through = inherited_from.as_ref().map_or(String::new(), |key| format!("{key}, "));
        format!("{value} from {through}{}", origin.to_string().replace(&prefix, ""))
    }
}

#[test]
fn the_valid_configuration_is_valid() {
    let loaded = Case::file("a.toml", VALID).loaded();
    assert_eq!(loaded.config.listeners[0].name, "web");
    assert_eq!(loaded.config.listeners[0].relay.mode, RelayMode::Auto);
    assert_eq!(loaded.config.listeners[0].relay.pipe_size, 1 << 20);
    assert_eq!(loaded.config.process.workers, Workers::Auto);
    assert_eq!(loaded.config.upstreams[0].servers.len(), 1);
}

//! The configurations that come along with the program.

use std::path::{Path, PathBuf};

use spliceway::address::Address;
use spliceway::load::{Assignment, Base, EMBEDDED_DEFAULT, Sources, demo_servers, load};

use super::{Case, VALID};

#[test]
fn every_value_of_the_config_is_explained_with_an_origin() {
    let case = Case::file("a.toml", VALID);
    let loaded = case.loaded();
    let keys: Vec<&str> = loaded.effective.iter().map(|e| e.key.as_str()).collect();
    let mut expected = Vec::new();
    let example = std::fs::read_to_string(config_directory().join("example.toml")).unwrap();
    let mut table = String::new();
    for line in example.lines() {
        let line = line.trim_start_matches("# ");
        if let Some(header) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) {
            table = header.to_owned();
        } else if let Some((key, _)) = line.split_once(" = ")
            && is_key(key)
        {
            expected.push(format!("{table}.{key}"));
        }
    }
    for key in &expected {
        assert!(keys.contains(&key.as_str()), "{key} of example.toml is not in {keys:?}");
    }
    // Those that a listener overrides stand in the example once for each table.
    let overridable = ["relay.pipe_size", "relay.mode", "timeouts.", "keepalive."];
    for key in keys {
        let inherited = key.starts_with("listeners.web.")
            && overridable.iter().any(|part| key["listeners.web.".len()..].starts_with(part));
        assert!(
            inherited || expected.iter().any(|known| known == key),
            "{key} is not in example.toml"
        );
    }
}

/// The defaults that example.toml shows are those of the program.
#[test]
fn the_example_shows_the_defaults() {
    let example = std::fs::read_to_string(config_directory().join("example.toml")).unwrap();
    let defaults = Case::file("a.toml", VALID);
    let uncommented: Vec<&str> = example
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest) if rest.split_once(" = ").is_some_and(|(key, _)| is_key(key)) => rest,
            _ => line,
        })
        .collect();
    let example = Case::file("a.toml", &uncommented.join("\n"));
    let (example, defaults) = (example.loaded().effective, defaults.loaded().effective);
    for effective in &example {
        let default = defaults.iter().find(|e| e.key == effective.key).map(|e| &e.value);
        if !effective.key.starts_with("listeners.") && !effective.key.ends_with(".servers") {
            assert_eq!(Some(&effective.value), default, "{}", effective.key);
            let written = !matches!(effective.origin, spliceway::config::raw::Origin::Default);
            assert!(written, "{} is not in example.toml", effective.key);
        }
    }
}

fn is_key(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_lowercase() || c == '_')
}

fn config_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config")
}

fn demo() -> Vec<Assignment> {
    let address = |text: &str| text.parse::<Address>().unwrap();
    demo_servers(&address("127.0.0.1:1001"), &address("127.0.0.1:1002"))
}

#[test]
fn every_file_that_comes_along_loads() {
    let mut files = 0;
    for entry in std::fs::read_dir(config_directory()).unwrap() {
        let path = entry.unwrap().path();
        let needs_demo = path.ends_with("default.toml");
        let sources = Sources {
            base: Base::Files(vec![path.clone()]),
            supplied: if needs_demo { demo() } else { Vec::new() },
            environment: Vec::new(),
            flags: Vec::new(),
        };
        load(sources).unwrap_or_else(|errors| panic!("{}: {errors:#?}", path.display()));
        files += 1;
    }
    assert!(files >= 3);
}

#[test]
fn the_embedded_default_takes_its_servers_from_the_demo_origin() {
    let sources = Sources {
        base: Base::Embedded(EMBEDDED_DEFAULT),
        supplied: demo(),
        environment: vec![(
            "SPLICEWAY__UPSTREAMS__DEMO_ECHO__SERVERS".to_owned(),
            "127.0.0.1:7".to_owned(),
        )],
        flags: Vec::new(),
    };
    let loaded = load(sources).unwrap();
    let origin = |key: &str| {
        let effective = loaded.effective.iter().find(|e| e.key == key).unwrap();
        format!("{} from {}", effective.value, effective.origin)
    };
    assert_eq!(origin("upstreams.demo_web.servers"), "127.0.0.1:1001 from demo origin");
    assert_eq!(
        origin("upstreams.demo_echo.servers"),
        "127.0.0.1:7 from SPLICEWAY__UPSTREAMS__DEMO_ECHO__SERVERS"
    );
    assert_eq!(origin("listeners.web.bind"), "127.0.0.1:8080 from embedded default:15");
}

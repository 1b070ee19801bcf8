//! The configurations that come along with the program.

use std::path::{Path, PathBuf};

use spliceway::address::Address;
use spliceway::config::Effective;
use spliceway::config::files::Transfer;
use spliceway::load::{Assignment, Base, EMBEDDED_DEFAULT, Sources, demo_servers, load};
use spliceway::measure::recommendation::DEFAULTS;

use super::{Case, HTTP, VALID};

/// The path of each key that `example.toml` writes or tells of.
fn example_keys(example: &str) -> Vec<String> {
    let (mut table, mut routes) = (String::new(), 0);
    let mut keys = Vec::new();
    for line in example.lines() {
        let header = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Some(list) = header.and_then(|it| it.strip_prefix('[')?.strip_suffix(']')) {
            table = format!("{list}[{routes}]");
            routes += 1;
        } else if let Some(header) = header {
            table = header.to_owned();
        } else if let Some((key, _)) = line.trim_start_matches("# ").split_once(" = ")
            && is_key(key)
        {
            keys.push(format!("{table}.{key}"));
        }
    }
    keys
}

/// `example.toml` with the defaults that it tells of written out, but for those that it overrides.
fn written_out(example: &str) -> String {
    let lines: Vec<&str> = example.lines().collect();
    let written = lines.iter().enumerate().map(|(index, line)| match line.strip_prefix("# ") {
        Some(rest) if rest.split_once(" = ").is_some_and(|(key, _)| is_key(key)) => {
            let key = rest.split_once(" = ").map_or(rest, |(key, _)| key);
            let is_overridden = lines.get(index + 1).is_some_and(|next| next.starts_with(key));
            if is_overridden { *line } else { rest }
        }
        _ => line,
    });
    written.collect::<Vec<_>>().join("\n")
}

fn read_example() -> String {
    std::fs::read_to_string(config_directory().join("example.toml")).unwrap()
}

#[test]
fn every_value_of_the_config_is_explained_with_an_origin() {
    let example = read_example();
    let expected = example_keys(&example);
    let explained = Case::file("a.toml", &written_out(&example)).loaded().effective;
    for key in &expected {
        assert!(
            explained.iter().any(|it| it.key == *key),
            "{key} of example.toml is not explained"
        );
    }
    // Those that a listener overrides stand in the example once for each table.
    let overridable = ["relay.", "timeouts.", "keepalive.", "http.", "forwarded."];
    for valid in [VALID, HTTP] {
        for Effective { key, .. } in Case::file("a.toml", valid).loaded().effective {
            let inherited = key.starts_with("listeners.web.")
                && overridable.iter().any(|part| key["listeners.web.".len()..].starts_with(part));
            assert!(inherited || expected.contains(&key), "{key} is not in example.toml");
        }
    }
}

/// The defaults that example.toml shows are those of the program.
#[test]
fn the_example_shows_the_defaults() {
    let example = Case::file("a.toml", &written_out(&read_example()));
    let defaults = Case::file("a.toml", HTTP);
    let (example, defaults) = (example.loaded().effective, defaults.loaded().effective);
    for effective in &example {
        let default = defaults.iter().find(|e| e.key == effective.key).map(|e| &e.value);
        if !effective.key.starts_with("listeners.") && !effective.key.starts_with("upstreams.") {
            assert_eq!(Some(&effective.value), default, "{}", effective.key);
            let written = !matches!(effective.origin, spliceway::config::raw::Origin::Default);
            assert!(written, "{} is not in example.toml", effective.key);
        }
    }
    for key in ["listeners.web.backlog", "listeners.web.host_header", "upstreams.app.pool.idle_max"]
    {
        let value = |of: &[Effective]| of.iter().find(|it| it.key == key).unwrap().value.clone();
        assert_eq!(value(&example), value(&defaults), "{key}");
    }
}

/// `spliceway measure` says which values to set, so it has to know which need not be.
#[test]
fn measure_knows_the_defaults() {
    let effective = Case::file("a.toml", HTTP).loaded().effective;
    for (key, value) in DEFAULTS {
        if key == "files.transfer" {
            assert_eq!(Transfer::default().label(), value);
            continue;
        }
        let key = format!("listeners.web.{key}");
        let default = effective.iter().find(|it| it.key == key).unwrap();
        assert_eq!(default.value.to_string().trim_matches('"'), value, "{key}");
    }
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
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
    assert_eq!(origin("listeners.web.bind"), "127.0.0.1:8080 from embedded default:17");
}

//! The dashboard and the alerts speak of metrics that the process really exports, with labels that
//! these really have.

// A failed `unwrap` or `panic!` is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use support::certificates::write_named_certificates;
use support::http::{Connection, HttpOrigin, get, ok};
use support::proxy::Launch;
use support::tools::have;

/// Labels that Prometheus adds, and that of a bucket.
const ADDED: [&str; 3] = ["job", "instance", "le"];

/// What is no metric of ours: `up` is Prometheus' own.
const FUNCTIONS: [&str; 1] = ["up"];

fn deployed(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("deploy").join(name)
}

/// Every expression of the dashboard: of panels, variables and annotations.
fn expressions_of_dashboard() -> Vec<String> {
    fn collect(value: &serde_json::Value, into: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(fields) => {
                for (name, value) in fields {
                    match value.as_str() {
                        Some(text) if ["expr", "definition"].contains(&&**name) => {
                            into.push(text.to_owned());
                        }
                        _ => collect(value, into),
                    }
                }
            }
            serde_json::Value::Array(items) => items.iter().for_each(|it| collect(it, into)),
            _ => {}
        }
    }
    let text = fs::read_to_string(deployed("grafana.json")).unwrap();
    let mut expressions = Vec::new();
    collect(&serde_json::from_str(&text).unwrap(), &mut expressions);
    expressions
}

/// Every `expr` of the alerts; a block goes on while lines are indented deeper.
fn expressions_of_alerts() -> Vec<String> {
    let text = fs::read_to_string(deployed("alerts.yml")).unwrap();
    let mut expressions: Vec<String> = Vec::new();
    let mut block: Option<usize> = None;
    for line in text.lines() {
        let indentation = line.len() - line.trim_start().len();
        if let Some(expression) = line.trim_start().strip_prefix("expr:") {
            block = (expression.trim() == "|").then_some(indentation);
            expressions.push(expression.trim().trim_matches('\'').replace('|', ""));
        } else if block.is_some_and(|of| indentation > of) {
            expressions.last_mut().unwrap().push_str(line);
        } else {
            block = None;
        }
    }
    expressions
}

/// Names, and where they are followed by a selector, the labels in it.
fn uses(expression: &str) -> Vec<(String, Vec<String>)> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(start) = rest.find(|c: char| is_word(c) || c == '"') {
        rest = &rest[start..];
        if let Some(quoted) = rest.strip_prefix('"') {
            rest = quoted.split_once('"').map_or("", |(_, rest)| rest);
            continue;
        }
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(end);
        rest = behind;
        let is_metric = word.starts_with("spliceway_") || word.starts_with("process_");
        if !is_metric && !FUNCTIONS.contains(&word) {
            continue;
        }
        let mut labels = Vec::new();
        if let Some(selector) = behind.strip_prefix('{') {
            let (selector, after) = selector.split_once('}').unwrap();
            labels = selector
                .split(',')
                .filter_map(|pair| pair.split(['=', '!']).next())
                .map(|name| name.trim().to_owned())
                .filter(|name| !name.is_empty())
                .collect();
            rest = after;
        }
        found.push((word.to_owned(), labels));
    }
    found
}

/// The labels by which an expression groups.
fn groups(expression: &str) -> Vec<String> {
    let after_by = expression.split(" by (").skip(1).filter_map(|rest| rest.split(')').next());
    after_by.flat_map(|list| list.split(',').map(|label| label.trim().to_owned())).collect()
}

/// Everything that a process exports that has something of everything, with its labels.
fn exported() -> BTreeMap<String, BTreeSet<String>> {
    let folder = tempfile::tempdir().unwrap();
    write_named_certificates("'web.pem' 'web.key'".replace('\'', "\"").as_str(), folder.path());
    let origin = HttpOrigin::answering(ok("hello"));
    let path = |name: &str| folder.path().join(name).display().to_string();
    let toml = format!(
        "[listeners.web]\nprotocol = \"http\"\nbind = \"127.0.0.1:0\"\nupstream = \"app\"\n\
         [listeners.secure]\nprotocol = \"http\"\nbind = \"127.0.0.1:0\"\nupstream = \"app\"\n\
         tls.certificates = [{{ chain = \"{}\", key = \"{}\" }}]\n\
         [listeners.echo]\nbind = \"127.0.0.1:0\"\nupstream = \"safe\"\n\
         [upstreams.app]\nservers = [\"{}\"]\nhealth = {{ tcp = true }}\n\
         [upstreams.safe]\nservers = [\"127.0.0.1:9\"]\ntls = {{}}\n",
        path("web.pem"),
        path("web.key"),
        origin.address()
    );
    let proxy = Launch::configured(&toml).start();
    let mut client = Connection::open(&proxy.address_of("web"));
    client.exchange(get("/"));
    proxy.await_metric("spliceway_http_requests_total", &[], |count| count >= 1.0);
    let text = proxy.get("/metrics").unwrap().text();
    let mut exported: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let name = line.split(['{', ' ']).next().unwrap().to_owned();
        let labels = line.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}'));
        let labels = labels.map_or("", |(labels, _)| labels).split("\",");
        let names = labels.filter_map(|pair| Some(pair.split_once('=')?.0.to_owned()));
        exported.entry(name).or_default().extend(names);
    }
    exported
}

#[test]
fn every_metric_is_exported_and_has_the_labels_that_are_asked_for() {
    let exported = exported();
    let mut problems = Vec::new();
    let mut names = BTreeSet::new();
    for expression in expressions_of_dashboard().into_iter().chain(expressions_of_alerts()) {
        let uses = uses(&expression);
        assert!(!uses.is_empty(), "nothing is asked for: {expression}");
        let mut known: BTreeSet<&str> = ADDED.into();
        for (name, labels) in &uses {
            if FUNCTIONS.contains(&&**name) {
                continue;
            }
            names.insert(name.clone());
            let Some(present) = exported.get(name) else {
                problems.push(format!("{name} is not exported: {expression}"));
                continue;
            };
            known.extend(present.iter().map(String::as_str));
            for label in labels {
                if !present.contains(label) && !ADDED.contains(&&**label) {
                    problems.push(format!("{name} has no label {label}: {expression}"));
                }
            }
        }
        for label in groups(&expression) {
            if !known.contains(&*label) {
                problems.push(format!("nothing has the label {label}: {expression}"));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(names.len() > 30, "{names:?}");
}

#[test]
fn prometheus_likes_the_alerts() {
    if !have("promtool", "--version") {
        return;
    }
    let output =
        Command::new("promtool").args(["check", "rules"]).arg(deployed("alerts.yml")).output();
    let output = output.unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
}

/// And its parser likes the dashboard's expressions, once Grafana has put in its variables.
#[test]
fn prometheus_understands_the_dashboard() {
    if !have("promtool", "--version") {
        return;
    }
    let mut rules = "groups:\n- name: dashboard\n  rules:\n".to_owned();
    let expressions = expressions_of_dashboard();
    let queries = expressions.iter().filter(|it| !it.starts_with("label_values"));
    for (index, query) in queries.enumerate() {
        let query = query.replace("$__rate_interval", "1m");
        let query = serde_json::to_string(&query).unwrap();
        rules.push_str(&format!("  - {{ record: \"r:{index}\", expr: {query} }}\n"));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rules.yml");
    fs::write(&path, &rules).unwrap();
    let output = Command::new("promtool").args(["check", "rules"]).arg(path).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{printed}{}\n{rules}",
        String::from_utf8_lossy(&output.stdout)
    );
}

/// A check that finds nothing would pass for ever.
#[test]
fn the_readers_see() {
    let check = |expression: &str, expected: &[(&str, &[&str])]| {
        let found = uses(expression);
        let found: Vec<(&str, Vec<&str>)> = found
            .iter()
            .map(|(name, labels)| (&**name, labels.iter().map(String::as_str).collect()))
            .collect();
        let expected: Vec<(&str, Vec<&str>)> =
            expected.iter().map(|(name, labels)| (*name, labels.to_vec())).collect();
        assert_eq!(found, expected, "{expression}");
    };
    let selected = "sum by (x) (rate(spliceway_a_total{l=~\"a\", m!=\"c\"}[5m])) > 0";
    check(selected, &[("spliceway_a_total", &["l", "m"])]);
    check("process_a / spliceway_b", &[("process_a", &[]), ("spliceway_b", &[])]);
    assert_eq!(groups("sum by (a, b) (x) / sum by (c) (y)"), ["a", "b", "c"]);
    assert!(expressions_of_alerts().len() > 10);
    assert!(expressions_of_dashboard().len() > 40);
}

//! The shape of the source, held by a test: ranks, pure files, unsafe code, sizes and names; and
//! that the README speaks of things that exist.

// A failed `unwrap` or `panic!` is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The rank of each file, by the longest prefix of its path below `src/` that stands here. A file
/// may use only what stands in a lower rank, and its siblings of the same rank and folder.
const RANKS: [(&str, u8); 63] = [
    ("error", 0),
    ("id", 0),
    ("address", 0),
    ("balance", 1),
    ("config", 1),
    ("capacity", 1),
    ("files", 1),
    ("health", 1),
    ("http", 1),
    ("limits", 1),
    ("relay", 1),
    ("route", 1),
    ("proxy_protocol", 1),
    ("tls/algorithms", 1),
    ("tls/client_hello", 1),
    ("tls/failure", 1),
    ("tls/record_size", 1),
    ("tls/session", 1),
    ("statistics", 1),
    ("picture", 1),
    ("measure/way", 1),
    ("measure/results", 1),
    ("measure/recommendation", 1),
    ("measure/table", 1),
    ("measure/json", 1),
    ("measure/drawing", 1),
    ("session", 2),
    ("exchange", 2),
    ("sys", 2),
    ("metrics", 2),
    ("access_log", 2),
    ("logging", 2),
    ("roster", 2),
    ("tls", 2),
    ("account", 3),
    ("listen", 3),
    ("snapshot", 3),
    ("io/kernel", 3),
    ("io/linux", 3),
    ("io/pipe_pool", 3),
    ("io/conduit", 3),
    ("io/record_buffers", 3),
    ("io/channel", 3),
    ("io/errand", 3),
    ("io/file_queue", 3),
    ("io/file_threads", 3),
    ("io/residency", 3),
    ("io/roots", 3),
    ("io/handshake_gate", 3),
    ("io/timer", 3),
    ("io", 4),
    ("control", 4),
    ("demo", 4),
    ("load", 4),
    ("secrets", 3),
    ("site", 3),
    ("measure", 4),
    ("cli", 5),
    ("run", 5),
    ("explain", 5),
    ("operate", 5),
    ("main", 6),
    ("lib", 6),
];

/// Uses within one rank that are meant: user, used, why.
const EXCEPTIONS: [(&str, &str, &str); 19] = [
    ("cli", "operate", "says what is asked of a process"),
    ("id", "error", "a token names the side of a connection"),
    ("config", "balance", "names the algorithm of an upstream"),
    ("config", "health", "says when servers are believed to be well"),
    ("capacity", "config", "decides from a Config what the process may use"),
    ("relay", "config", "is built from the settings of a listener"),
    ("route", "http", "compares its patterns with a request's head"),
    ("config", "http", "says what is done with heads in types that are checked there"),
    ("config", "route", "has the router of a listener"),
    ("config", "limits", "has the limits of a listener"),
    ("config", "tls", "names versions, cipher suites and groups"),
    ("config", "proxy_protocol", "names the form of a header"),
    ("measure", "config", "shows sizes as the config has them"),
    ("measure", "relay", "compares what it measured with the thresholds of auto"),
    ("measure", "statistics", "has medians of what it measured"),
    ("measure", "picture", "draws what it measured"),
    ("tls", "route", "a client asks for the name of a host"),
    ("files", "http", "answers with the heads, ranges and conditions that are there"),
    ("files", "config", "finds files as a route says"),
];

/// What rank 0 and 1 must not touch: I/O, clocks, randomness, logs, metrics.
const IMPURE: [&str; 20] = [
    "Instant::now",
    "SystemTime",
    "mio::",
    "libc::",
    "nix::",
    "socket2::",
    "tokio::",
    "rand::",
    "tracing::",
    "metrics::",
    "println!",
    "eprintln!",
    "std::fs",
    "std::env",
    "std::thread",
    "std::process",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "std::os::unix",
];

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 90;
/// How the module doc of a longer file begins the line that says why.
const LENGTH_REASON: &str = "//! Length:";
const EMPTY_NAMES: [&str; 9] =
    ["util", "utils", "common", "helper", "helpers", "manager", "misc", "stuff", "shared"];

/// A source file without its tests.
struct Source {
    /// Below `src/`, without `.rs` and without a final `/mod`.
    module: String,
    path: PathBuf,
    text: String,
    /// Number and content of each line of code: no comments, nothing of `#[cfg(test)]` modules.
    code: Vec<(usize, String)>,
}

impl Source {
    fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }

    fn rank(&self) -> Option<u8> {
        rank_of(&self.module)
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn rank_of(module: &str) -> Option<u8> {
    let is_prefix = |prefix: &str| {
        module.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let fitting = RANKS.iter().filter(|(prefix, _)| is_prefix(prefix));
    fitting.max_by_key(|(prefix, _)| prefix.len()).map(|(_, rank)| *rank)
}

fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    collect(&root().join("src"), &mut paths);
    paths.sort();
    let sources: Vec<Source> = paths.iter().map(|path| read(path)).collect();
    let test_modules: BTreeSet<String> = sources.iter().flat_map(test_modules).collect();
    let is_test = |source: &Source| {
        let below = |module: &String| source.module.starts_with(&format!("{module}/"));
        test_modules.contains(&source.module) || test_modules.iter().any(below)
    };
    let kept: Vec<Source> = sources.into_iter().filter(|source| !is_test(source)).collect();
    assert!(kept.len() > 5, "the walk over src/ has found next to nothing");
    kept
}

fn collect(directory: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

fn read(path: &Path) -> Source {
    let text = fs::read_to_string(path).unwrap();
    let relative = path.strip_prefix(root().join("src")).unwrap().with_extension("");
    let module = relative.to_str().unwrap();
    let module = module.strip_suffix("/mod").unwrap_or(module).to_owned();
    let code = code_lines(&text);
    let path = path.strip_prefix(root()).unwrap().to_owned();
    Source { module, path, text, code }
}

/// rustfmt puts the brace that closes a module at the indentation of the line that opens it.
fn code_lines(text: &str) -> Vec<(usize, String)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut code = Vec::new();
    let mut skipped_until: Option<String> = None;
    for (index, line) in lines.iter().enumerate() {
        if let Some(end) = &skipped_until {
            if line == end {
                skipped_until = None;
            }
            continue;
        }
        let next = lines.get(index + 1).map_or("", |next| next.trim());
        let opens_module = next.starts_with("mod ") && next.ends_with('{');
        if line.trim().starts_with("#[cfg(test)]") && opens_module {
            let indentation = line.len() - line.trim_start().len();
            skipped_until = Some(format!("{}}}", &line[..indentation]));
            continue;
        }
        let without_comment = line.split("//").next().unwrap_or_default();
        if !without_comment.trim().is_empty() {
            code.push((index + 1, without_comment.to_owned()));
        }
    }
    code
}

/// Modules in files of their own that exist for tests only: `#[cfg(test)]` before `mod name;`.
fn test_modules(source: &Source) -> Vec<String> {
    let lines: Vec<&str> = source.text.lines().map(str::trim).collect();
    let folder = match source.module.as_str() {
        "lib" | "main" => String::new(),
        module => format!("{module}/"),
    };
    let declared = lines.windows(2).filter(|pair| pair[0].starts_with("#[cfg(test)]"));
    let names = declared.filter_map(|pair| {
        let name = pair[1].trim_start_matches("pub(crate) ").trim_start_matches("pub ");
        name.strip_prefix("mod ")?.strip_suffix(';')
    });
    names.map(|name| format!("{folder}{name}")).collect()
}

/// Every `crate::a::b` in the code, groups taken apart: line and path with slashes.
fn uses(source: &Source) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut group: Option<String> = None;
    for (number, line) in &source.code {
        if let Some(text) = &mut group {
            text.push_str(line.trim());
            if line.contains(';') {
                let text = group.take().unwrap();
                found.extend(split_group(&text).map(|path| (*number, path)));
            }
            continue;
        }
        if let Some((_, rest)) = line.split_once("use crate::{") {
            if rest.contains(';') {
                found.extend(split_group(rest).map(|path| (*number, path)));
            } else {
                group = Some(rest.to_owned());
            }
            continue;
        }
        for rest in line.split("crate::").skip(1) {
            found.push((*number, as_module(rest)));
        }
    }
    found
}

/// The members of `a::b, c::{d, e}};`, outermost commas only.
fn split_group(text: &str) -> impl Iterator<Item = String> {
    let mut depth = 0;
    let mut members = vec![String::new()];
    for character in text.chars() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                members.push(String::new());
                continue;
            }
            ';' => break,
            _ => {}
        }
        members.last_mut().unwrap().push(character);
    }
    members.into_iter().map(|member| as_module(member.trim())).filter(|path| !path.is_empty())
}

/// `io::timer::Timer` -> `io/timer`: the segments that name modules are in lower case.
fn as_module(path: &str) -> String {
    let is_name = |character: char| character.is_alphanumeric() || character == '_';
    let segments = path.split("::").map_while(|segment| {
        let name: String = segment.chars().take_while(|it| is_name(*it)).collect();
        name.chars().next().is_some_and(char::is_lowercase).then_some(name)
    });
    segments.collect::<Vec<_>>().join("/")
}

fn report(errors: &[String], rule: &str) {
    assert!(errors.is_empty(), "{rule}\n  {}", errors.join("\n  "));
}

#[test]
fn a_file_uses_only_lower_ranks() {
    let mut errors = Vec::new();
    for source in sources() {
        let Some(rank) = source.rank() else {
            errors.push(format!("{}: no rank; add it to RANKS", source.path.display()));
            continue;
        };
        let folder = source.module.split('/').next().unwrap();
        for (line, used) in uses(&source) {
            let Some(used_rank) = rank_of(&used) else { continue };
            let used_folder = used.split('/').next().unwrap();
            let is_sibling = used_folder == folder && used_rank <= rank;
            let is_exception =
                EXCEPTIONS.iter().any(|(user, it, _)| *user == folder && *it == used_folder);
            if used_rank >= rank && !is_sibling && !is_exception {
                let at = source.at(line);
                errors.push(format!("{at}: rank {rank} uses crate::{used} of rank {used_rank}"));
            }
        }
    }
    report(&errors, "a file may use only what stands in a lower rank:");
}

#[test]
fn the_lowest_ranks_are_pure() {
    let mut errors = Vec::new();
    for source in sources().iter().filter(|source| source.rank().is_some_and(|rank| rank <= 1)) {
        for (line, code) in &source.code {
            let found = IMPURE.iter().filter(|banned| contains_path(code, banned));
            errors.extend(found.map(|banned| format!("{}: {banned}", source.at(*line))));
        }
    }
    report(&errors, "ranks 0 and 1 have no I/O, clocks, randomness, logs or metrics:");
}

/// Whether `code` holds `name` where a name begins: `nix::` is not in `unix::`.
fn contains_path(code: &str, name: &str) -> bool {
    code.match_indices(name).any(|(index, _)| {
        !code[..index].ends_with(|before: char| before.is_alphanumeric() || before == '_')
    })
}

#[test]
fn unsafe_code_stays_in_sys() {
    let mut errors = Vec::new();
    for source in sources().iter().filter(|source| !source.module.starts_with("sys")) {
        for (line, code) in &source.code {
            let is_name = |character: char| character.is_alphanumeric() || character == '_';
            if code.split(|character| !is_name(character)).any(|word| word == "unsafe") {
                errors.push(source.at(*line));
            }
            if code.contains("allow(unsafe_code") && source.module != "lib" {
                errors.push(format!("{}: allows unsafe code", source.at(*line)));
            }
        }
    }
    report(&errors, "unsafe code belongs into src/sys:");
}

#[test]
fn files_and_functions_are_short() {
    let mut errors = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        let has_reason = source.text.lines().any(|line| line.starts_with(LENGTH_REASON));
        if lines > FILE_LINES_MAX && !has_reason {
            let path = source.path.display();
            errors.push(format!("{path}: {lines} lines, and no \"{LENGTH_REASON}\" says why"));
        }
        for (line, name, length) in functions(&source.code) {
            if length > FUNCTION_LINES_MAX {
                errors.push(format!("{}: fn {name} has {length} lines", source.at(line)));
            }
        }
    }
    report(&errors, "files up to 600 lines, functions up to 90:");
}

/// Line, name and length of each function with a body of more than one line. rustfmt puts its
/// closing brace at the indentation of its `fn`.
fn functions(code: &[(usize, String)]) -> Vec<(usize, String, usize)> {
    let mut found = Vec::new();
    for (index, (start, line)) in code.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let indentation = &line[..line.len() - line.trim_start().len()];
        let (open, close) = (format!("{indentation}}}"), format!("{indentation})"));
        let is_last = |text: &str| text.trim_end() == open;
        // A declaration without a body ends before any brace could close it.
        let is_declaration = |text: &str| {
            (text == line || text.starts_with(&close)) && text.trim_end().ends_with(';')
        };
        for (end, text) in &code[index..] {
            if is_declaration(text) || (end == start && text.trim_end().ends_with('}')) {
                break;
            }
            if is_last(text) {
                found.push((*start, name, end - start + 1));
                break;
            }
        }
    }
    found
}

fn function_name(line: &str) -> Option<String> {
    let before = line.split("fn ").next()?.trim();
    let qualifiers = ["pub", "pub(crate)", "pub(super)", "const", "async", "unsafe", "extern"];
    let is_declaration = before.split_whitespace().all(|word| qualifiers.contains(&word));
    let (_, rest) = line.split_once("fn ").filter(|_| is_declaration)?;
    Some(rest.chars().take_while(|it| it.is_alphanumeric() || *it == '_').collect())
}

#[test]
fn names_say_something() {
    let mut errors = Vec::new();
    for source in sources() {
        let name = source.module.rsplit('/').next().unwrap();
        if name.split('_').any(|word| EMPTY_NAMES.contains(&word)) {
            errors.push(format!("{}: a name that says nothing", source.path.display()));
        }
        for (line, code) in &source.code {
            if function_name(code).is_some_and(|name| name.starts_with("get_")) {
                errors.push(format!("{}: no get_ prefix", source.at(*line)));
            }
        }
    }
    report(&errors, "names:");
}

/// Number and content of each line in the README's shell blocks, continued lines joined.
fn readme_commands() -> Vec<(usize, String)> {
    let text = fs::read_to_string(root().join("README.md")).expect("README.md is there");
    let mut commands: Vec<(usize, String)> = Vec::new();
    let mut in_block = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            let language = line.trim().trim_start_matches('`');
            in_block = !in_block && ["sh", "bash", "console", "shell"].contains(&language);
            continue;
        }
        let command = line.split(" #").next().unwrap_or_default().trim();
        if in_block && !command.is_empty() && !command.starts_with('#') {
            match commands.last_mut().filter(|(_, last)| last.ends_with('\\')) {
                Some((_, last)) => {
                    last.pop();
                    last.push_str(command);
                }
                None => commands.push((index + 1, command.trim_start_matches("$ ").to_owned())),
            }
        }
    }
    commands
}

#[test]
fn the_readme_speaks_of_what_exists() {
    let help = Command::new(env!("CARGO_BIN_EXE_spliceway")).arg("--help").output().unwrap();
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    let is_subcommand =
        |name: &str| help.lines().any(|line| line.split_whitespace().next() == Some(name));
    let commands = readme_commands();
    assert!(!commands.is_empty(), "README.md: no shell block");
    let mut errors = Vec::new();
    for (line, command) in commands {
        let words: Vec<&str> = command.split_whitespace().collect();
        for pair in words.windows(2) {
            let is_call = pair[0] == "spliceway" || pair[0].ends_with("/spliceway");
            if is_call && pair[1].starts_with(char::is_alphabetic) && !is_subcommand(pair[1]) {
                errors.push(format!("README.md:{line}: spliceway {} is no command", pair[1]));
            }
            let folder = match pair[0] {
                "--bench" => "benches",
                "--test" => "tests",
                _ => continue,
            };
            // cargo finds a target in a file or in a folder of its name.
            let [file, main] = [format!("{}.rs", pair[1]), format!("{}/main.rs", pair[1])];
            if ![file, main].iter().any(|path| root().join(folder).join(path).exists()) {
                errors.push(format!("README.md:{line}: {folder}/{} is not there", pair[1]));
            }
        }
        let folders = ["systemd/", "deploy/", "config/", "benches/", "tests/", "src/", ".ci/"];
        for word in words.iter().filter(|word| folders.iter().any(|it| word.starts_with(it))) {
            if !word.contains('*') && !root().join(word).exists() {
                errors.push(format!("README.md:{line}: {word} is not there"));
            }
        }
    }
    report(&errors, "the README's commands:");
}

/// The walkers above find what they look for: a check that finds nothing would pass for ever.
#[test]
fn the_walkers_see() {
    let check = |text: &str, expected: &[&str]| {
        let code = code_lines(text);
        let source = Source { module: "x".into(), path: "x.rs".into(), text: text.into(), code };
        let found: Vec<String> = uses(&source).into_iter().map(|(_, path)| path).collect();
        assert_eq!(found, expected, "{text}");
    };
    check("use crate::error::Side;", &["error"]);
    check("use crate::{id, io::timer::{Timer, Wheel}, config};", &["id", "io/timer", "config"]);
    check("use crate::{\n    id::Token,\n    sys::pipe,\n};", &["id", "sys/pipe"]);
    check("fn f(side: crate::error::Side) {} // crate::io", &["error"]);
    check("#[cfg(test)]\nmod tests {\n    use crate::io;\n}\nuse crate::id;", &["id"]);

    let body = "    x();\n".repeat(95);
    let code = code_lines(&format!("impl X {{\n}}\npub fn long(\n    a: u8,\n) {{\n{body}}}\n"));
    assert_eq!(functions(&code), [(3, "long".to_owned(), 99)]);
    assert!(contains_path("use nix::fcntl;", "nix::") && !contains_path("unix::a", "nix::"));
    assert_eq!(rank_of("io/timer"), Some(3));
    assert_eq!(rank_of("io/drive"), Some(4));
    assert_eq!(rank_of("iox"), None);
}

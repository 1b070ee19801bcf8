//! `spliceway measure`, the real binary, with tiny sizes. No test looks at how fast anything was.

// A failed `unwrap` or `panic!` is how a test fails.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use seccompiler::{TargetArch, apply_filter, compile_from_json};
use serde_json::{Value, json};
use spliceway::measure::json::SCHEMA;
use spliceway::measure::way::{Case, ways};
use support::eventually;
use support::proxy::binary;
use support::tools::{have, skip};

/// Small enough for a debug build on a busy machine.
const TINY: [&str; 7] = ["measure", "--sizes", "1KiB,1MiB", "--rounds", "2", "--window", "2ms"];

fn measure(arguments: &[&str]) -> Command {
    let mut command = Command::new(binary());
    command.args(TINY).args(arguments);
    command
}

fn printed(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

fn succeed(mut command: Command) -> String {
    let output = command.output().unwrap();
    let (out, error) = printed(&output);
    assert_eq!(output.status.code(), Some(0), "{out}{error}");
    assert_eq!(error, "", "no terminal, no bar");
    out
}

/// The document, once it fits the schema.
fn document(text: &str) -> Value {
    let document: Value = serde_json::from_str(text).unwrap();
    let schema: Value = serde_json::from_str(SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(&document).map(|it| it.to_string()).collect();
    assert_eq!(errors, [""; 0]);
    document
}

fn rows<'a>(document: &'a Value, way: &str) -> Vec<&'a Value> {
    let rows = document["rows"].as_array().unwrap();
    rows.iter().filter(|row| row["way"].as_str().unwrap().starts_with(way)).collect()
}

/// What the files of a run say, besides its JSON.
#[test]
fn a_run_gives_json_a_picture_a_document_and_a_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (config, picture, page) = (path("measured.toml"), path("a.svg"), path("a.md"));
    fs::write(&page, "before\n<!-- measure -->\nold\n<!-- /measure -->\nafter\n").unwrap();
    let outputs = ["--json", "--write", &config, "--svg", &picture, "--into", &page];
    let document = document(&succeed(measure(&outputs)));

    let rows = document["rows"].as_array().unwrap();
    let cases: BTreeSet<&str> = rows.iter().map(|row| row["case"].as_str().unwrap()).collect();
    assert_eq!(cases, Case::ALL.map(Case::label).into());
    for case in Case::ALL {
        for way in ways(case) {
            assert!(rows.iter().any(|row| row["way"] == way.key), "{} is missing", way.key);
        }
    }
    for row in rows {
        assert_ne!(row["figures"].is_null(), row["missing"].is_null(), "one of both: {row}");
    }
    let agreed = &document["setting"]["system_calls"];
    if agreed["counted_by"] == "tracepoint" {
        // A clock that is no vDSO's, or an allocator that asks for memory, makes calls of its own.
        let share = agreed["disagreement"].as_f64().unwrap();
        assert!(share < 0.1, "the kernel counts what the program counts, but for {share}");
    }
    // Two calls for each MiB at least, since a send takes one.
    let reads = rows.iter().find(|row| row["way"] == "read_write" && row["bytes"] == 1024);
    let calls = &reads.unwrap()["figures"]["system_calls_per_gib"]["median"];
    assert!(calls.as_f64().unwrap() >= 2.0 * 1024.0 * 1024.0, "{calls}");

    let svg = fs::read_to_string(picture).unwrap();
    assert!(svg.starts_with("<svg ") && svg.contains("sendfile"), "{svg}");
    let markdown = fs::read_to_string(page).unwrap();
    assert!(markdown.starts_with("before\n<!-- measure -->\nLinux "), "{markdown}");
    assert!(markdown.ends_with("\n<!-- /measure -->\nafter\n"), "{markdown}");
    assert!(!markdown.contains("old") && markdown.contains("| sendfile |"), "{markdown}");
    assert_eq!(fs::read_to_string(&config).unwrap(), document["recommendation"]["toml"]);
    check_beside_a_listener(&config, directory.path());
}

/// What is recommended is a configuration, as soon as there is a listener.
fn check_beside_a_listener(config: &str, directory: &Path) {
    let own = directory.join("own.toml");
    let minimal = "[upstreams.app]\nservers = [\"127.0.0.1:9\"]\n\
        [listeners.web]\nbind = \"127.0.0.1:0\"\nupstream = \"app\"\n";
    fs::write(&own, minimal).unwrap();
    let own = own.to_str().unwrap();
    let checked =
        Command::new(binary()).args(["check", "--config", own, "--config", config]).output();
    let checked = checked.unwrap();
    assert!(checked.status.success(), "{:?}", printed(&checked));
}

#[test]
fn a_table_and_a_recommendation_are_printed() {
    let text = succeed(measure(&[]));
    for expected in ["read + write", "sendfile", "CPU s/GiB", "switches/GiB", "mode = \"", "█"] {
        assert!(text.contains(expected), "{expected} is not in\n{text}");
    }
    for case in Case::ALL {
        assert!(text.contains(case.title()), "{text}");
    }
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("In short: ") && last.ends_with('.'), "{last}");
}

/// Runs under a filter that fails a call with an errno; all of them, or those that `arguments` say
/// (a rule of seccompiler). The filter is put on a thread, which the child inherits.
fn under_filter<T: Send + 'static>(
    call: &str,
    arguments: Value,
    errno: i32,
    run: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let Ok(architecture) = TargetArch::try_from(std::env::consts::ARCH) else {
        skip("seccompiler does not know this architecture");
        return None;
    };
    let mut rule = json!({ "syscall": call });
    if !arguments.is_null() {
        rule["args"] = arguments;
    }
    let filter = json!({ "denied": {
        "mismatch_action": "allow",
        "match_action": { "errno": errno },
        "filter": [rule],
    }});
    let mut compiled = compile_from_json(filter.to_string().as_bytes(), architecture).unwrap();
    let program = compiled.remove("denied").unwrap();
    let run = move || {
        apply_filter(&program).unwrap();
        run()
    };
    Some(std::thread::spawn(run).join().unwrap())
}

/// What a run says without a call.
fn without(call: &str, errno: i32) -> Option<Value> {
    let printed = under_filter(call, Value::Null, errno, || succeed(measure(&["--json"])));
    printed.map(|text| document(&text))
}

#[test]
fn where_io_uring_is_forbidden_its_rows_say_so() {
    for errno in [libc::EPERM, libc::ENOSYS] {
        let Some(document) = without("io_uring_setup", errno) else { return };
        let missing = rows(&document, "io_uring");
        assert!(!missing.is_empty());
        for row in missing {
            let reason = row["missing"].as_str().unwrap();
            assert!(reason.starts_with("io_uring is not allowed here"), "{reason}");
        }
        assert!(rows(&document, "read_write").iter().all(|row| row["missing"].is_null()));
    }
}

#[test]
fn where_splice_is_forbidden_copying_is_recommended() {
    let Some(document) = without("splice", libc::EPERM) else { return };
    for row in rows(&document, "splice") {
        assert!(row["missing"].as_str().unwrap().contains("splice"), "{row}");
    }
    let advice = document["recommendation"]["advice"].as_array().unwrap();
    let mode = advice.iter().find(|it| it["key"] == "relay.mode").unwrap();
    assert_eq!(mode["value"], "copy");
}

/// Where nobody may be counted, the program's own count is what there is.
#[test]
fn without_the_tracepoint_the_program_counts() {
    let Some(document) = without("perf_event_open", libc::EACCES) else { return };
    let counted = &document["setting"]["system_calls"];
    assert_eq!(counted["counted_by"], "program");
    assert!(!counted["because"].as_str().unwrap().is_empty());
}

/// Where there is no disk, rows do not pretend that there is one.
#[test]
fn on_a_tmpfs_nothing_is_cold_and_nothing_is_direct() {
    let memory = Path::new("/dev/shm");
    let is_tmpfs = nix::sys::statfs::statfs(memory)
        .is_ok_and(|it| it.filesystem_type() == nix::sys::statfs::TMPFS_MAGIC);
    if !is_tmpfs {
        skip("/dev/shm is no tmpfs");
        return;
    }
    let document = document(&succeed(measure(&["--json", "--scratch", "/dev/shm"])));
    let says_why = |row: &&Value| row["missing"].as_str().is_some_and(|it| it.contains("tmpfs"));
    let all = document["rows"].as_array().unwrap();
    let mut cold = all.iter().filter(|row| row["case"] == "file_uncached");
    assert!(cold.all(|row| says_why(&row)));
    assert!(rows(&document, "direct").iter().all(says_why));
    assert!(document["setting"]["page_cache"]["dropped_by"].is_null());
}

/// The time is a bound: what does not fit into it is left out, and says so.
#[test]
fn without_time_nothing_is_measured() {
    let document = document(&succeed(measure(&["--json", "--time", "1ms"])));
    for row in document["rows"].as_array().unwrap() {
        assert!(row["missing"].as_str().unwrap().contains("no time"), "{row}");
        assert_eq!(row["rounds"], 0);
    }
    assert_eq!(document["recommendation"]["advice"].as_array().unwrap().len(), 0);
}

/// A failure is one line, with the place, and exit code 4.
fn fail(mut command: Command, expected: &[&str]) {
    let output = command.output().unwrap();
    let (out, error) = printed(&output);
    assert_eq!(output.status.code(), Some(4), "{out}{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    for part in expected {
        assert!(error.contains(part), "{part} is not in: {error}");
    }
}

#[test]
fn a_directory_that_is_not_there_is_one_line() {
    fail(measure(&["--scratch", "/nonexistent"]), &["/nonexistent", "--scratch", "No such file"]);
}

/// A limit on the length of files, a full disk, and a directory that is not one's own.
#[test]
fn no_room_or_no_permission_for_the_scratch_file_is_one_line() {
    if have("prlimit", "--version") {
        let mut limited = Command::new("prlimit");
        limited.arg("--fsize=1000000").arg(binary()).args(TINY);
        fail(limited, &["scratch file of 16MiB", "File too large"]);
    }
    let full = || fail(measure(&[]), &["scratch file of 16MiB", "No space left", "--scratch"]);
    let made_without_name = json!([{ "index": 2, "type": "dword", "val": libc::O_TMPFILE,
        "op": { "masked_eq": libc::O_TMPFILE } }]);
    let refused = || fail(measure(&[]), &["scratch file of 16MiB", "Permission denied"]);
    let _skipped = under_filter("fallocate", Value::Null, libc::ENOSPC, full);
    let _skipped = under_filter("openat", made_without_name, libc::EACCES, refused);
}

#[test]
fn an_output_that_cannot_be_written_is_said_at_once() {
    fail(measure(&["--write", "/nonexistent/a.toml"]), &["/nonexistent/a.toml"]);
    let directory = tempfile::tempdir().unwrap();
    let page = directory.path().join("page.md");
    fs::write(&page, "no markers\n").unwrap();
    fail(measure(&["--into", page.to_str().unwrap()]), &["page.md", "<!-- measure -->"]);
    fail(measure(&["--write", "a", "--svg", "a"]), &["a cannot be written", "of its own"]);
}

/// What fails at the end takes neither the table with it nor the other files.
#[test]
fn a_disk_that_is_full_at_the_end_loses_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let picture = directory.path().join("a.svg");
    let mut command = measure(&["--time", "1ms", "--write", "/dev/full", "--json", "--svg"]);
    let output = command.arg(&picture).output().unwrap();
    let (out, error) = printed(&output);
    assert_eq!(output.status.code(), Some(4), "{error}");
    document(&out);
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines.len(), 2, "nothing was measured, so there is no picture: {error}");
    assert!(lines[0].contains("/dev/full") && lines[0].contains("No space left"), "{error}");
    assert!(lines[1].contains("a.svg") && lines[1].contains("nothing to draw"), "{error}");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn sizes_that_are_none_are_refused() {
    for sizes in ["1", "12B", "2GiB", "many"] {
        let output = Command::new(binary()).args(["measure", "--sizes", sizes]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{sizes}: {:?}", printed(&output));
    }
}

/// Whether the process measures: it holds the scratch file, which has no name, and sockets.
fn is_measuring(pid: u32, directory: &Path) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd"));
    let targets = descriptors.into_iter().flatten().flatten();
    let targets: Vec<PathBuf> =
        targets.filter_map(|entry| fs::read_link(entry.path()).ok()).collect();
    let is_socket = |target: &PathBuf| target.to_string_lossy().starts_with("socket:");
    targets.iter().any(|it| it.starts_with(directory)) && targets.iter().any(is_socket)
}

/// Starts it with the scratch file in `directory`, and waits until it measures.
fn start(mut command: Command, directory: &Path) -> Child {
    command.arg("--scratch").arg(directory).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    eventually("it measures", || is_measuring(child.id(), directory).then_some(()));
    child
}

/// The scratch file has no name from the start, so that nothing could be left of it even where
/// nobody can clean up.
#[test]
fn nothing_is_left_after_an_interrupt() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL] {
        let directory = tempfile::tempdir().unwrap();
        // Whoever runs the tests in the background of a shell may have it ignored.
        let mut command = Command::new("env");
        command.arg("--default-signal=INT").arg(binary());
        command.args(["measure", "--full", "--sizes", "1KiB", "--rounds", "1000"]);
        let mut child = start(command, directory.path());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "it has no name");
        kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
        let status = eventually("it ends", || child.try_wait().unwrap());
        assert_eq!(status.signal(), Some(signal as i32), "the shell is told");
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        let expected = if signal == Signal::SIGKILL { "" } else { "interrupted: " };
        assert!(said.starts_with(expected) && said.lines().count() <= 1, "{said}");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}

/// A shell without job control has what it starts in the background ignore Ctrl-C.
#[test]
fn a_signal_that_is_to_be_ignored_is() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' INT; exec \"$@\"", "sh"]).arg(binary());
    command.args(TINY);
    let mut child = start(command, directory.path());
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
    let status = eventually("it ends", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(0));
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(said, "");
}

/// The page about zero copy names every way, with the copies that the program shows for it.
#[test]
fn the_page_has_every_way_with_its_copies() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/zero-copy.md");
    let page = fs::read_to_string(page).unwrap();
    for way in ways(Case::FileUncached) {
        let name = way.name.split(',').next().unwrap();
        let copies = way.method.copies(Case::FileUncached);
        let row = format!("| {name} | {} | {} |", copies.cpu, copies.dma);
        assert!(page.contains(&row), "{row}");
    }
    let (_, rest) = page.split_once("<!-- measure -->\n").unwrap();
    let (figures, _) = rest.split_once("<!-- /measure -->").unwrap();
    for case in Case::ALL {
        assert!(figures.contains(case.title()), "no figures: {}", case.title());
    }
}

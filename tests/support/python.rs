//! Servers of other projects, run by Python.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use spliceway::address::Address;

use super::eventually;
use super::tools::skip;

/// A Python that has `module`. Where there is none, says so; in CI, fails.
pub fn python_with(module: &str) -> Option<&'static str> {
    let has_module = |python: &&str| {
        let mut command = Command::new(python);
        command.args(["-c", &format!("import {module}")]).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    // The first one in PATH need not be the one that distribution packages belong to.
    let found = ["python3", "/usr/bin/python3"].into_iter().find(has_module);
    if found.is_none() {
        skip(&format!("no python3 has {module} (Debian: python3-{module})"));
    }
    found
}

/// A program in Python that runs until it is dropped.
pub struct Script {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Script {
    /// # Panics
    /// When it cannot be run.
    pub fn start(python: &str, program: &str, arguments: &[&str]) -> Script {
        let mut command = Command::new(python);
        command.args(["-c", program]).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("python can be run");
        let output = child.stdout.take().expect("the output is piped");
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let kept = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                kept.lock().expect("no reader panics").push(line);
            }
        });
        Script { child, lines }
    }

    /// What it has printed so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.lock().expect("no reader panics").clone()
    }

    /// Where it listens: its first line.
    ///
    /// # Panics
    /// When it does not say.
    pub fn address(&self) -> Address {
        let line = eventually("the script says where it listens", || self.lines().first().cloned());
        line.parse().expect("an address")
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // Both fail only for a child that has ended: what is wanted.
        let _killed = self.child.kill();
        let _status = self.child.wait();
    }
}

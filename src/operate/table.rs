//! The document of `/status`, as tables for people.

use serde_json::Value;

/// A table: cells are as wide as the widest of their column.
#[derive(Debug, Default)]
struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    fn with_head(head: &[&str]) -> Table {
        Table { rows: vec![head.iter().map(|it| (*it).to_owned()).collect()] }
    }

    fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    fn show(&self, into: &mut String) {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            into.push_str(&format!("  {}\n", line.trim_end()));
        }
    }
}

/// Everything that a glance should tell.
pub(super) fn show(status: &Value) -> String {
    let mut shown = summary(status);
    shown.push_str("\nListeners\n");
    listeners(status).show(&mut shown);
    shown.push_str("\nServers\n");
    servers(status).show(&mut shown);
    for note in list(&status["notes"]) {
        shown.push_str(&format!("\nNote: {}\n", text(note)));
    }
    shown
}

fn summary(status: &Value) -> String {
    let ready = match status["ready"].as_bool() {
        Some(true) => "ready".to_owned(),
        _ => format!("not ready ({})", text(&status["not_ready_because"])),
    };
    let (connections, pipes) = (&status["connections"], &status["pipes"]);
    let config = &status["config"];
    let reload = match &config["last_reload"] {
        Value::Null => String::new(),
        reload if reload["ok"] == true => ", reloaded".to_owned(),
        reload => format!("; the last reload failed: {}", text(&reload["message"])),
    };
    format!(
        "Spliceway {}, process {}, {}, {}, up for {}\n\
         {} of {} connections, {} pipes busy, {} idle\n\
         configuration {}{reload}\n",
        text(&status["version"]),
        text(&status["pid"]),
        text(&status["stage"]),
        ready,
        show_seconds(status["uptime_seconds"].as_u64().unwrap_or(0)),
        text(&connections["open"]),
        text(&connections["max"]),
        text(&pipes["busy"]),
        text(&pipes["idle"]),
        text(&config["generation"]),
    )
}

fn listeners(status: &Value) -> Table {
    let mut table = Table::with_head(&["NAME", "PROTOCOL", "BIND", "UPSTREAM", "RELAY"]);
    for listener in list(&status["listeners"]) {
        let bind: Vec<String> = list(&listener["bind"]).iter().map(text).collect();
        table.row(vec![
            text(&listener["name"]),
            text(&listener["protocol"]),
            bind.join(" "),
            text(&listener["upstream"]),
            text(&listener["relay"]["in_force"]),
        ]);
    }
    table
}

fn servers(status: &Value) -> Table {
    let head = ["UPSTREAM/SERVER", "STATE", "PROBES", "ORDER", "WEIGHT", "ACTIVE", "CONNECTIONS"];
    let mut table = Table::with_head(&head);
    for upstream in list(&status["upstreams"]) {
        for server in list(&upstream["servers"]) {
            let name = format!("{}/{}", text(&upstream["name"]), text(&server["name"]));
            let cells = ["state", "health", "order", "weight", "active", "connections"];
            table.row([name].into_iter().chain(cells.map(|cell| text(&server[cell]))).collect());
        }
    }
    table
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// As a person reads it; `-` for nothing.
fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The two largest units of it.
fn show_seconds(seconds: u64) -> String {
    let units = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];
    let first = units.iter().position(|(_, length)| seconds >= *length).unwrap_or(3);
    let mut left = seconds;
    let mut parts = Vec::new();
    for (unit, length) in units.iter().skip(first).take(2) {
        parts.push(format!("{}{unit}", left / length));
        left %= length;
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_two_units() {
        let check = |seconds, expected: &str| assert_eq!(show_seconds(seconds), expected);
        check(0, "0s");
        check(59, "59s");
        check(61, "1m 1s");
        check(3_600, "1h 0m");
        check(90_061, "1d 1h");
    }

    #[test]
    fn columns_are_aligned_and_nothing_trails() {
        let mut table = Table::with_head(&["A", "B"]);
        table.row(vec!["long".to_owned(), "x".to_owned()]);
        table.row(vec!["é".to_owned(), String::new()]);
        let mut shown = String::new();
        table.show(&mut shown);
        assert_eq!(shown, "  A     B\n  long  x\n  é\n");
    }
}

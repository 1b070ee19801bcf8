//! What `spliceway explain` and `spliceway check` print.

pub mod tls;
mod way;

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::capacity::{ListenerPlan, Machine, Plan};
use crate::config::raw::Origin;
use crate::config::units::show_size;
use crate::config::{Action, Config, ConfigError, Effective, Listener, Protocol, Route, Upstream};
use crate::load::Loaded;
use crate::tls::keeper::Keeper;

use way::{Clients, Way};

/// Values longer than this many characters do not widen their column.
const VALUE_WIDTH_MAX: usize = 36;

/// Each value in force with its origin, then which way the bytes of each listener will take and
/// why, then what the process will use of the machine.
pub fn as_text(loaded: &Loaded, plan: &Plan, machine: &Machine, keeper: &Keeper) -> String {
    let mut text = String::from("Values in force\n");
    let rows: Vec<[String; 3]> = loaded
        .effective
        .iter()
        .map(|effective| [effective.key.clone(), effective.value.clone(), origin(effective)])
        .collect();
    text.push_str(&columns(&rows));

    text.push_str("\nWhich way the bytes take\n");
    for (listener, plan) in loaded.config.listeners.iter().zip(&plan.listeners) {
        explain_listener(&mut text, listener, plan, &loaded.config, keeper);
    }
    explain_upstreams(&mut text, &loaded.config);

    text.push_str("\nWhat the process will use\n");
    text.push_str(&columns(&figures(plan, machine)));
    if !plan.notes.is_empty() {
        text.push_str("\nWhat is not as configured\n");
        for note in &plan.notes {
            line(&mut text, note);
        }
    }
    text
}

/// The same for programs.
pub fn as_json(loaded: &Loaded, plan: &Plan, machine: &Machine, keeper: &Keeper) -> String {
    let values: Vec<_> = loaded
        .effective
        .iter()
        .map(|effective| {
            json!({
                "key": effective.key,
                "value": effective.value,
                "origin": effective.origin.to_string(),
                "inherited_from": effective.inherited_from,
            })
        })
        .collect();
    let listeners = loaded.config.listeners.iter().zip(&plan.listeners);
    let listeners: Vec<_> = listeners
        .map(|(listener, plan)| listener_as_json(listener, plan, &loaded.config, keeper))
        .collect();
    let upstreams = loaded.config.upstreams.iter().zip(&plan.pool_idle_max);
    let pools: serde_json::Map<String, _> =
        upstreams.map(|(upstream, idle_max)| (upstream.name.clone(), json!(idle_max))).collect();
    let document = json!({
        "values": values,
        "listeners": listeners,
        "plan": {
            "workers": plan.workers,
            "connections_max": plan.connections_max,
            "pipe_memory_per_worker": plan.pipe_memory_per_worker,
            "buffer_memory_per_worker": plan.buffer_memory_per_worker,
            "pool_idle_max": pools,
        },
        "machine": { "kernel": machine.kernel, "cpus": machine.cpus },
        "notes": plan.notes,
    });
    format!("{document:#}\n")
}

/// What is wrong with files, each with the key that names it, as errors of the configuration.
pub fn file_errors(problems: Vec<(String, String)>, loaded: &Loaded) -> Vec<ConfigError> {
    let error = |(key, problem): (String, String)| {
        let written = loaded.effective.iter().find(|effective| effective.key == key);
        ConfigError {
            origin: written.map_or(Origin::Default, |effective| effective.origin.clone()),
            key,
            problem,
            expected: String::new(),
            nearest: None,
        }
    };
    problems.into_iter().map(error).collect()
}

/// Where the connections or requests of a listener go, and which way their bytes take.
fn explain_listener(
    text: &mut String,
    listener: &Listener,
    plan: &ListenerPlan,
    config: &Config,
    keeper: &Keeper,
) {
    let binds: Vec<String> = listener.bind.iter().map(ToString::to_string).collect();
    let binds = binds.join(", ");
    let Some(http) = listener.http() else {
        let upstream = listener.upstream().map_or("", |id| &config.upstreams[id.index()].name);
        let to = match &listener.protocol {
            Protocol::Sni(_) => String::new(),
            _ => format!(" -> {upstream}"),
        };
        line(text, &format!("{}: {binds}{to}", listener.name));
        explain_clients(text, listener, keeper);
        for about in tls::sni_lines(listener, &plan.relay, config) {
            line(text, &format!("    {about}"));
        }
        if let Some(way) = own_way(listener, plan, config) {
            line(text, &format!("    {}", way.as_text()));
        }
        return;
    };
    line(text, &format!("{}: {binds}, HTTP", listener.name));
    explain_clients(text, listener, keeper);
    let routes = http.router.patterns().iter().zip(&http.routes).zip(&plan.routes);
    for ((pattern, route), relay) in routes {
        line(text, &format!("    {pattern} -> {}", destination(route, config)));
        if let Some(relay) = relay {
            let way = Way::new(relay, clients_of(listener), upstream_of(route, config));
            line(text, &format!("        {}", way.as_text()));
        }
    }
    line(text, "    (heads, and what comes with them, are copied whatever the mode)");
}

/// The way of all bytes of a listener, where it is one.
fn own_way<'p>(listener: &Listener, plan: &'p ListenerPlan, config: &Config) -> Option<Way<'p>> {
    let upstream = listener.upstream().map(|id| &config.upstreams[id.index()]);
    let is_one = !matches!(listener.protocol, Protocol::Sni(_));
    is_one.then(|| Way::new(&plan.relay, clients_of(listener), upstream))
}

/// What becomes of the sessions of a listener's clients, where that is the same for all of them.
fn clients_of(listener: &Listener) -> Clients {
    match listener.tls {
        Some(_) => Clients::Terminated,
        None => Clients::Plain,
    }
}

fn upstream_of<'c>(route: &Route, config: &'c Config) -> Option<&'c Upstream> {
    route.action.forward().map(|forward| &config.upstreams[forward.upstream.index()])
}

/// What clients must bring along, and what they are shown.
fn explain_clients(text: &mut String, listener: &Listener, keeper: &Keeper) {
    if listener.proxy_protocol.is_some() {
        line(text, "    a PROXY header is required, from trusted proxies only");
    }
    for about in tls::listener_lines(listener, keeper) {
        line(text, &format!("    {about}"));
    }
}

/// What servers are told and asked for, where that is more than bytes.
fn explain_upstreams(text: &mut String, config: &Config) {
    for upstream in &config.upstreams {
        let tls = upstream.tls.as_ref().map(tls::upstream_line);
        let header = upstream.proxy_protocol;
        let header = header.map(|it| format!("a PROXY header {} goes first", it.label()));
        for about in header.into_iter().chain(tls) {
            line(text, &format!("upstream {}: {about}", upstream.name));
        }
    }
}

fn destination(route: &Route, config: &Config) -> String {
    match &route.action {
        Action::Forward(forward) => config.upstreams[forward.upstream.index()].name.clone(),
        Action::Redirect(redirect) => format!("a redirect, status {}", redirect.status),
        Action::Respond(respond) => format!("an answer, status {}", respond.status),
    }
}

fn listener_as_json(
    listener: &Listener,
    plan: &ListenerPlan,
    config: &Config,
    keeper: &Keeper,
) -> Value {
    let upstream = listener.upstream().map(|id| &config.upstreams[id.index()].name);
    let routes = listener.http().map(|http| {
        let routes = http.router.patterns().iter().zip(&http.routes).zip(&plan.routes);
        let routes = routes.map(|((pattern, route), plan)| {
            json!({
                "requests": pattern.to_string(),
                "destination": destination(route, config),
                "relay": plan.as_ref().map(|plan| {
                    Way::new(plan, clients_of(listener), upstream_of(route, config)).as_json()
                }),
            })
        });
        routes.collect::<Vec<_>>()
    });
    json!({
        "name": listener.name,
        "protocol": listener.protocol.label(),
        "upstream": upstream,
        "tls": tls::listener_as_json(listener, keeper),
        "sni": tls::sni_as_json(listener, &plan.relay, config),
        "relay": own_way(listener, plan, config).map(|way| way.as_json()),
        "routes": routes,
    })
}

/// One error a line, and how many there are.
pub fn errors(errors: &[ConfigError]) -> String {
    let mut text = String::new();
    for error in errors {
        text.push_str(&error.to_string());
        text.push('\n');
    }
    let count = match errors.len() {
        1 => "1 error in the configuration".to_owned(),
        count => format!("{count} errors in the configuration"),
    };
    text.push_str(&count);
    text.push('\n');
    text
}

/// What `check` says of a configuration that is right.
pub fn summary(files: &str, loaded: &Loaded) -> String {
    let plural = |count: usize, noun: &str| match count {
        1 => format!("1 {noun}"),
        _ => format!("{count} {noun}s"),
    };
    format!(
        "{files}: ok, {}, {}\n",
        plural(loaded.config.listeners.len(), "listener"),
        plural(loaded.config.upstreams.len(), "upstream")
    )
}

fn origin(effective: &Effective) -> String {
    match &effective.inherited_from {
        Some(key) => format!("{key}, {}", effective.origin),
        None => effective.origin.to_string(),
    }
}

fn figures(plan: &Plan, machine: &Machine) -> Vec<[String; 3]> {
    let splice = match &machine.splice {
        Ok(()) => "works".to_owned(),
        Err(words) => words.clone(),
    };
    let soft = match machine.pipe_user_pages_soft {
        0 => "no limit".to_owned(),
        pages => format!("{pages} pages of {}", show_size(u64::from(machine.page_size))),
    };
    let waived = if machine.pipe_limits_waived { ", waived for this process" } else { "" };
    let row = |name: &str, value: String, basis: String| [name.to_owned(), value, basis];
    vec![
        row("workers", plan.workers.to_string(), format!("CPUs to use: {}", machine.cpus)),
        row(
            "connections at once",
            plan.connections_max.to_string(),
            format!("RLIMIT_NOFILE: {}", machine.descriptors_max),
        ),
        row(
            "pipe memory a worker",
            show_size(plan.pipe_memory_per_worker),
            format!("fs.pipe-user-pages-soft: {soft}{waived}"),
        ),
        row("buffer memory a worker", show_size(plan.buffer_memory_per_worker), String::new()),
        row("splice", splice, format!("kernel {}", machine.kernel)),
    ]
}

/// Rows as aligned columns, indented.
fn columns(rows: &[[String; 3]]) -> String {
    let width = |column: usize, max: usize| {
        rows.iter().map(|row| row[column].chars().count()).filter(|w| *w <= max).max().unwrap_or(0)
    };
    let (first, second) = (width(0, usize::MAX), width(1, VALUE_WIDTH_MAX));
    rows.iter().fold(String::new(), |mut text, [key, value, origin]| {
        line(&mut text, format!("{key:first$}  {value:second$}  {origin}").trim_end());
        text
    })
}

fn line(text: &mut String, content: &str) {
    writeln!(text, "  {content}").expect("writing to a String never fails");
}

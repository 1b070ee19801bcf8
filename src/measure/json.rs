//! The results for programs. `schema.json` beside this file says what stands where.

use serde_json::{Map, Value, json};

use crate::measure::recommendation::Recommendation;
use crate::measure::results::{Counted, Dropped, FIGURES, Results, Row, Setting};

/// Goes up when a program that reads the document would have to change.
pub const VERSION: u32 = 1;

/// The schema of the document (JSON Schema, draft 2020-12).
pub const SCHEMA: &str = include_str!("schema.json");

/// The document.
pub fn document(results: &Results, recommendation: &Recommendation) -> Value {
    let advice = recommendation.advice.iter().map(|advice| {
        json!({
            "key": advice.key,
            "value": advice.value,
            "because": advice.because,
            "too_close_to_call": advice.close,
        })
    });
    json!({
        "version": VERSION,
        "setting": setting(&results.setting),
        "rows": results.rows.iter().map(row).collect::<Vec<Value>>(),
        "recommendation": {
            "advice": advice.collect::<Vec<Value>>(),
            "remarks": recommendation.remarks,
            "toml": recommendation.as_toml(results),
        },
    })
}

fn setting(setting: &Setting) -> Value {
    let (counted_by, disagreement, why_program) = match &setting.counted {
        Counted::ByTracepoint { disagreement } => ("tracepoint", Some(disagreement), None),
        Counted::ByProgram { because } => ("program", None, Some(because)),
    };
    let (dropped_by, why_not) = match &setting.dropped {
        Dropped::ByAdvice => (Some("posix_fadvise"), None),
        Dropped::ByControl => (Some("drop_caches"), None),
        Dropped::Not(because) => (None, Some(because)),
    };
    json!({
        "kernel": setting.kernel,
        "cpu": setting.cpu,
        "cpus": setting.cpus,
        "measured_thread_has_its_own_cpu": setting.keeps_apart,
        "ends_have_their_own_cpus": setting.ends_apart,
        "rounds": setting.rounds,
        "window_milliseconds": setting.window_milliseconds,
        "scratch": { "directory": setting.directory, "bytes": setting.scratch_bytes },
        "page_cache": { "dropped_by": dropped_by, "because": why_not },
        "system_calls": {
            "counted_by": counted_by,
            "because": why_program,
            "disagreement": disagreement,
        },
    })
}

fn row(row: &Row) -> Value {
    let copies = row.way.method.copies(row.case);
    json!({
        "case": row.case.label(),
        "way": row.way.key,
        "name": row.way.name,
        "bytes": row.bytes,
        "copies": { "cpu": copies.cpu, "dma": copies.dma },
        "rounds": row.rounds().len(),
        "figures": row.missing().is_none().then(|| figures(row)),
        "missing": row.missing(),
        "falls_short": row.falls_short,
        "remark": row.remark,
    })
}

fn figures(row: &Row) -> Value {
    let mut figures = Map::new();
    for figure in FIGURES {
        let summary = row
            .summary(figure)
            .map(|it| json!({ "median": it.median, "low": it.low, "high": it.high }));
        figures.insert(figure.0.to_owned(), json!(summary));
    }
    Value::Object(figures)
}

//! What is wrong with a configuration, for the person who wrote it.

use std::fmt;

use super::raw::Origin;

/// One thing that is wrong, where, and what would be right.
///
/// Shown in one line: `web.toml:7: relay.mode: found "fast"; expected "splice", "copy" or "auto"`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Where it was written.
    pub origin: Origin,
    /// The path of the key, such as `listeners.web.relay.mode`; empty for a whole file.
    pub key: String,
    /// What is wrong: `found "fast"`, `unknown key`, `missing`.
    pub problem: String,
    /// What would be right; empty where the problem says it.
    pub expected: String,
    /// The nearest of the words that would be right, when one is near.
    pub nearest: Option<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.problem)?;
        if !self.expected.is_empty() {
            write!(f, "; expected {}", self.expected)?;
        }
        if let Some(nearest) = &self.nearest {
            write!(f, "; did you mean \"{nearest}\"?")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// How alike two words must be for one to be offered instead of the other, from 0 to 1: a typo
/// or two in a word of usual length, not merely a few letters in common.
const LIKENESS_MIN: f64 = 0.6;

/// The candidate most like `word`, if one is like it at all.
pub(super) fn nearest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<String> {
    let word = word.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            (strsim::normalized_damerau_levenshtein(&word, &candidate.to_lowercase()), candidate)
        })
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, candidate)| candidate.to_owned())
}

/// Words as a sentence lists them: `"a", "b" or "c"`.
pub(super) fn alternatives<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    let quoted: Vec<String> = words.into_iter().map(|word| format!("\"{word}\"")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [head @ .., last] => format!("{} or {last}", head.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_near() {
        let check = |word: &str, expected: Option<&str>| {
            let keys = ["bind", "backlog", "protocol", "upstream", "pipe_size"];
            assert_eq!(nearest(word, keys).as_deref(), expected, "{word}");
        };
        check("backlgo", Some("backlog"));
        check("pipe-size", Some("pipe_size"));
        check("pipesize", Some("pipe_size"));
        check("UPSTREAM", Some("upstream"));
        check("upstreams", Some("upstream"));
        check("tls", None);
        check("", None);
    }

    #[test]
    fn alternatives_read_as_a_sentence() {
        assert_eq!(alternatives([]), "");
        assert_eq!(alternatives(["a"]), "\"a\"");
        assert_eq!(alternatives(["a", "b", "c"]), "\"a\", \"b\" or \"c\"");
    }
}

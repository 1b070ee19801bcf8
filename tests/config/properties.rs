//! What holds for any text.

use proptest::prelude::*;
use spliceway::load::load;

use super::{Case, VALID};

/// Text that is TOML more often than not, from the words of the configuration.
fn almost_toml() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "[relay]",
        "[listeners.web]",
        "[[listeners]]",
        "[upstreams.app]",
        "[upstreams.app.servers]",
        "mode",
        "bind",
        "servers",
        "upstream",
        "relay.mode",
        "=",
        " = ",
        "\n",
        "\n",
        "\n",
        "\"",
        "\"app\"",
        "\"127.0.0.1:80\"",
        "\"256KiB\"",
        "[",
        "]",
        "{",
        "}",
        ",",
        "1",
        "-1e9",
        "true",
        "2020-01-01",
        "'''",
        "\u{e4}",
        "\"a.b[-3]\"",
        "#",
        ".",
        "99999999999999999999",
    ]);
    prop::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever a file says, the answer is a config or errors that each name their place.
    #[test]
    fn no_text_panics_the_loader(
        text in prop_oneof![almost_toml(), "\\PC{0,80}"],
        extension in prop::sample::select(vec!["toml", "yaml", "json"]),
    ) {
        let name = format!("a.{extension}");
        let case = Case::file(&name, &text);
        match load(case.sources.clone()) {
            Ok(loaded) => prop_assert!(!loaded.config.listeners.is_empty()),
            Err(errors) => {
                prop_assert!(!errors.is_empty());
                for error in case.errors() {
                    prop_assert!(error.starts_with(&name), "{}", error);
                }
            }
        }
    }

    /// A size of any spelling reaches the config as it was meant.
    #[test]
    fn sizes_reach_the_config(mebibytes in 1u64..=1024) {
        let text = format!("{VALID}\n[relay]\npipe_memory = \"{mebibytes}MiB\"\n");
        let loaded = Case::file("a.toml", &text).loaded();
        prop_assert_eq!(loaded.config.memory.pipe_memory_max, mebibytes << 20);
    }
}

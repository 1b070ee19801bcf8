//! What holds for any text.

use proptest::prelude::*;
use spliceway::load::load;

use super::{Case, HTTP, VALID};

/// Text that is TOML more often than not, from the words of the configuration.
fn almost_toml() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "[[listeners.web.routes]]",
        "[listeners.web.request_headers]",
        "protocol = \"http\"",
        "routes",
        "host",
        "path",
        "methods",
        "headers",
        "redirect.to",
        "respond",
        "set.X-A",
        "remove",
        "forwarded.trust",
        "\"/a\"",
        "\"*.a\"",
        "\"{path}\"",
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

    /// Whatever stands where a route has text, nothing of it reaches a message unchecked: it is
    /// refused, or it is visible ASCII.
    #[test]
    fn no_text_of_a_route_breaks_a_message(text in "\\PC{0,12}|[ -~]{0,12}|.{0,4}", place in 0usize..6) {
        let quoted = serde_json::to_string(&text).unwrap();
        let keys = [
            format!("host = {quoted}, upstream = \"app\""),
            format!("path = {quoted}, strip_prefix = true, upstream = \"app\""),
            format!("host_header = {quoted}, upstream = \"app\", host = \"a\""),
            format!("redirect = {{ to = {quoted} }}, host = \"a\""),
            format!("respond = {{ headers = {{ X-A = {quoted} }} }}, host = \"a\""),
            format!("request_headers.add = {{ {quoted} = \"a\" }}, upstream = \"app\", path = \"/a\""),
        ];
        let text_of_file = HTTP.replace(
            "protocol",
            &format!("routes = [{{ {} }}]\nprotocol", keys[place]),
        );
        let case = Case::file("a.toml", &text_of_file);
        match load(case.sources.clone()) {
            Ok(_) => prop_assert!(text.bytes().all(|it| matches!(it, b' '..=b'~' | b'\t')), "{text:?}"),
            Err(errors) => prop_assert!(!errors.is_empty()),
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

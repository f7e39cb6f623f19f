//! Subscribe rules as JSON: what is read is shown as a text that is read as the same.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    if let Ok(rules) = protocol::rules::read(text) {
        let shown = serde_json::to_string(&protocol::rules::ShownRules(rules.clone())).expect("rules are JSON");
        assert_eq!(protocol::rules::read(&shown).expect("what is shown can be sent back"), rules);
    }
});

//! The page of limits holds every constant of every `limits.rs`, and the tests it names are there.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// All files below a folder that end like this.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = entries
        .flat_map(|path| {
            if path.is_dir() {
                files(&path, ending)
            } else {
                vec![path]
            }
        })
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect();
    found.sort();
    found
}

/// Names and values of a file's constants, as they are written.
fn constants(source: &str) -> BTreeMap<String, String> {
    let declared = source.split("const ").skip(1).filter_map(|rest| {
        let (name, rest) = rest.split_once(':')?;
        let (declared, _) = rest.split_once(';')?;
        let at = declared.find('=').filter(|at| !declared[..*at].contains('('))?;
        let value = &declared[at + 1..];
        let is_name = name
            .bytes()
            .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
            && name.len() > 1;
        is_name.then(|| (name.to_owned(), value.split_whitespace().collect::<Vec<_>>().join(" ")))
    });
    declared.collect()
}

/// The rows below a heading for this file: name, value, test.
fn rows(page: &str, file: &str) -> BTreeMap<String, (String, String)> {
    let section = page
        .split("\n## ")
        .find(|section| section.contains(&format!("\n`{file}`\n")));
    let lines = section
        .unwrap_or_default()
        .lines()
        .filter(|line| line.starts_with("| `"));
    lines
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(|cell| cell.trim()).collect();
            assert_eq!(cells.len(), 4, "four cells, none empty: {line}");
            let bare = |cell: &str| cell.trim_matches('`').to_owned();
            (bare(cells[0]), (bare(cells[1]), cells[3].to_owned()))
        })
        .collect()
}

#[test]
fn every_limit_is_on_the_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join("docs/limits.md")).unwrap();
    let crates = root.join("crates");
    let sources: Vec<String> = files(&crates, ".rs")
        .iter()
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let mut faults = Vec::new();
    let mut seen = 0;
    for path in files(&crates, "/limits.rs") {
        let file = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        let mut rows = rows(&page, &file);
        for (name, value) in constants(&std::fs::read_to_string(&path).unwrap()) {
            seen += 1;
            let Some((written, test)) = rows.remove(&name) else {
                faults.push(format!("docs/limits.md has no row for {name} of {file}"));
                continue;
            };
            if written != value {
                faults.push(format!("docs/limits.md says {written} of {name}, {file} says {value}"));
            }
            let named = test.trim_matches('`');
            let is_there = match test.strip_prefix("none: ") {
                Some(reason) => !reason.is_empty(),
                None => sources.iter().any(|source| source.contains(&format!("fn {named}("))),
            };
            if !is_there {
                faults.push(format!("the test {named} of {name} is not there"));
            }
        }
        faults.extend(
            rows.into_keys()
                .map(|name| format!("docs/limits.md has {name}, {file} has not")),
        );
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(seen > 100, "only {seen} constants were found");
}

#[test]
fn constants_are_read_over_several_lines() {
    let source =
        "/// One.\npub const ONE: usize =\n    64 * 1024;\nconst _: () = assert!(ONE > 1);\nconst TWO: R = 1..=2;";
    let expected = [("ONE", "64 * 1024"), ("TWO", "1..=2")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(constants(source), BTreeMap::from(expected));
}

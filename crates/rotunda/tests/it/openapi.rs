//! Our description of the API against the public one: every difference stands in docs/contract.md with its reason.
//!
//! The public document is not ours to ship: `testkit/data/public-api.txt` has what it says, a fact a line, and is
//! held against the document where that is beside the checkout.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::world::{World, authorization};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/api/twilio_video_v1.json");
const FACTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testkit/data/public-api.txt");
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/contract.md");

/// What a document says: places such as `CreateRoom form Type` and what stands there, word by word.
type Facts = BTreeMap<String, BTreeSet<String>>;

fn resolved<'a>(schema: &'a Value, document: &'a Value) -> &'a Value {
    let pointer = schema["$ref"]
        .as_str()
        .and_then(|reference| reference.strip_prefix('#'));
    pointer.map_or(schema, |pointer| document.pointer(pointer).unwrap())
}

/// What a schema demands, and what it is called if it is an object with a name.
fn words(schema: &Value, document: &Value) -> BTreeSet<String> {
    let name = schema["$ref"]
        .as_str()
        .and_then(|reference| reference.rsplit('/').next());
    let schema = resolved(schema, document);
    let kind = schema["type"].as_str().unwrap_or("anything");
    let name = name.or(schema["title"].as_str()).filter(|_| kind == "object");
    let mut words = BTreeSet::from([name.unwrap_or(kind).to_owned()]);
    for name in [
        "format",
        "pattern",
        "minLength",
        "maxLength",
        "minimum",
        "maximum",
        "default",
    ] {
        if !schema[name].is_null() {
            let value = schema[name]
                .as_str()
                .map_or_else(|| schema[name].to_string(), str::to_owned);
            words.insert(format!("{name}={value}"));
        }
    }
    if let Some(values) = schema["enum"].as_array() {
        words.extend(values.iter().map(|value| format!("enum:{}", value.as_str().unwrap())));
    }
    if schema["nullable"] == true {
        words.insert("null".to_owned());
    }
    if schema["type"] == "array" {
        words.extend(
            self::words(&schema["items"], document)
                .iter()
                .map(|word| format!("of-{word}")),
        );
    }
    words
}

/// The members of an object, below `place`, and of the objects in it; of objects with a name once.
fn members(place: &str, schema: &Value, document: &Value, facts: &mut Facts) {
    let object = resolved(schema, document);
    if object["format"] == "uri-map" {
        return; // The public document does not say what is in it.
    }
    for (name, member) in object["properties"].as_object().into_iter().flatten() {
        let place = format!("{place} {name}");
        let mut words = words(member, document);
        if object["required"]
            .as_array()
            .is_some_and(|required| required.contains(&name.as_str().into()))
        {
            words.insert("required".to_owned());
        }
        if facts.insert(place.clone(), words).is_some() {
            continue;
        }
        let of_list = &resolved(member, document)["items"];
        for inner in [member, of_list] {
            let named = inner["$ref"]
                .as_str()
                .and_then(|reference| reference.rsplit('/').next());
            members(named.unwrap_or(&place), inner, document, facts);
        }
    }
}

/// All that a document says.
fn facts(document: &Value) -> Facts {
    let mut facts = Facts::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let Some(id) = operation["operationId"].as_str() else {
                continue;
            };
            let mut about = BTreeSet::from([format!("{} {path}", method.to_uppercase())]);
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let mut words = words(&parameter["schema"], document);
                if parameter["required"] == true {
                    words.insert("required".to_owned());
                }
                let place = format!(
                    "{id} {} {}",
                    parameter["in"].as_str().unwrap(),
                    parameter["name"].as_str().unwrap()
                );
                facts.insert(place, words);
            }
            for (kind, form) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
                about.insert(format!("takes {kind}"));
                members(&format!("{id} form"), &form["schema"], document, &mut facts);
            }
            for (status, answer) in operation["responses"].as_object().unwrap() {
                about.insert(format!("answers {status}"));
                let Some(content) = answer["content"].as_object().filter(|_| status.starts_with('2')) else {
                    continue;
                };
                let schema = &content["application/json"]["schema"];
                let name = words(schema, document)
                    .into_iter()
                    .find(|word| !word.contains('='))
                    .unwrap();
                facts.insert(format!("{id} answer"), words(schema, document));
                for header in answer["headers"]
                    .as_object()
                    .into_iter()
                    .flat_map(|headers| headers.keys())
                {
                    facts
                        .entry(format!("{id} answer"))
                        .or_default()
                        .insert(format!("header:{header}"));
                }
                members(&name, schema, document, &mut facts);
            }
            facts.insert(id.to_owned(), about);
        }
    }
    facts
}

fn written(facts: &Facts) -> String {
    let line = |(place, words): (&String, &BTreeSet<String>)| {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        format!("{place}\t{}\n", words.join("\t"))
    };
    facts.iter().map(line).collect()
}

fn read(text: &str) -> Facts {
    let line = |line: &str| {
        let mut parts = line.split('\t').map(str::to_owned);
        (parts.next().unwrap(), parts.collect())
    };
    text.lines().map(line).collect()
}

/// A difference: the place, the word, and whether only we say it.
type Difference = (String, String, bool);

/// What a place belongs to: an operation or a resource.
fn subject(place: &str) -> &str {
    place.split(' ').next().unwrap()
}

/// What one says and the other does not. Of what only one has, nothing more is told.
fn differences(ours: &Facts, theirs: &Facts) -> BTreeSet<Difference> {
    let mut found = BTreeSet::new();
    for (here, there, only_here) in [(ours, theirs, true), (theirs, ours, false)] {
        let subjects: BTreeSet<&str> = there.keys().map(|place| subject(place)).collect();
        for (place, words) in here {
            match there.get(place) {
                Some(others) => {
                    found.extend(
                        words
                            .difference(others)
                            .map(|word| (place.clone(), word.clone(), only_here)),
                    );
                }
                None if place == subject(place) || subjects.contains(subject(place)) => {
                    found.insert((place.clone(), "all of it".to_owned(), only_here));
                }
                None => {}
            }
        }
    }
    found
}

/// A row of the page: places and words in backquotes, `*` for any of them.
#[derive(Debug)]
struct Row {
    line: String,
    places: Vec<String>,
    words: Vec<String>,
    only_here: bool,
}

impl Row {
    fn covers(&self, (place, word, only_here): &Difference) -> bool {
        let any = |patterns: &[String], text: &str| patterns.iter().any(|pattern| is_like(pattern, text));
        *only_here == self.only_here && any(&self.places, place) && any(&self.words, word)
    }
}

/// `*` stands for anything, once in a pattern.
fn is_like(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => {
            text.len() >= before.len() + after.len() && text.starts_with(before) && text.ends_with(after)
        }
    }
}

fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn rows() -> Vec<Row> {
    let line = |line: &str| {
        let cells: Vec<&str> = line.strip_prefix("| `")?.trim_end_matches('|').split(" | ").collect();
        assert_eq!(cells.len(), 4, "a row has place, who, what and why: {line}");
        assert!(cells[3].trim().len() > 10, "a reason is missing: {line}");
        let only_here = match cells[1] {
            "here" => true,
            "there" => false,
            other => panic!("neither here nor there: {other}"),
        };
        Some(Row {
            line: line.to_owned(),
            places: quoted(&format!("`{}", cells[0])),
            words: quoted(cells[2]),
            only_here,
        })
    };
    let page = std::fs::read_to_string(PAGE).unwrap();
    page.lines().filter_map(line).collect()
}

async fn ours() -> Value {
    let world = World::start().await;
    let answer = world.raw_unchecked("GET", "/openapi.json", &[], b"").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(answer.headers["access-control-allow-origin"], "*");
    let document = answer.json();
    assert_eq!(document["servers"][0]["url"], world.base());
    document
}

#[tokio::test]
async fn every_difference_to_the_public_document_is_on_the_page_and_every_row_occurs() {
    let theirs = read(&std::fs::read_to_string(FACTS).unwrap());
    let ours = facts(&ours().await);
    let differences = differences(&ours, &theirs);
    let rows = rows();
    let unexplained: Vec<_> = differences
        .iter()
        .filter(|one| !rows.iter().any(|row| row.covers(one)))
        .collect();
    assert!(unexplained.is_empty(), "not in docs/contract.md: {unexplained:#?}");
    let idle: Vec<_> = rows
        .iter()
        .filter(|row| !differences.iter().any(|one| row.covers(one)))
        .map(|row| &row.line)
        .collect();
    assert!(
        idle.is_empty(),
        "docs/contract.md has differences that there are not: {idle:#?}"
    );
}

#[tokio::test]
async fn what_is_not_there_is_named_and_answered_501() {
    let theirs = read(&std::fs::read_to_string(FACTS).unwrap());
    let world = World::start().await;
    let document = ours().await;
    let not_yet = document["x-rotunda-not-yet"].as_object().unwrap();
    let ours = facts(&document);
    for (id, about) in theirs.iter().filter(|(place, _)| *place == subject(place)) {
        if ours.contains_key(id) {
            continue;
        }
        let (method, path) = about.iter().find_map(|word| word.split_once(" /")).unwrap();
        let path = format!("/{path}");
        assert!(
            not_yet.contains_key(&path),
            "{id} is neither described nor named as not there yet"
        );
        let target = path.replace(['{', '}'], "");
        assert_eq!(
            world.raw(method, &target, &[authorization()], b"").await.error(),
            (501, 20501),
            "{target}"
        );
    }
}

#[tokio::test]
async fn the_document_names_the_public_url_and_every_reference_leads_somewhere() {
    let world = World::with(|settings| settings.public_url = Some("https://video.example.com".to_owned())).await;
    let answer = world.raw_unchecked("GET", "/openapi.json", &[], b"").await;
    let document = answer.json();
    assert_eq!(document["servers"][0]["url"], "https://video.example.com");
    let references: Vec<&str> = answer
        .text
        .split("\"$ref\":\"#")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert!(references.len() > 20);
    for reference in references {
        assert!(document.pointer(reference).is_some(), "{reference}");
    }
}

#[test]
fn the_facts_are_those_of_the_public_document_or_it_is_absent() {
    let Ok(document) = std::fs::read_to_string(DOCUMENT) else {
        println!("the public document is not beside this checkout: nothing to compare with");
        return;
    };
    let found = written(&facts(&serde_json::from_str(&document).unwrap()));
    if std::env::var_os("PUBLIC_API_WRITE").is_some() {
        std::fs::write(FACTS, &found).unwrap();
    }
    assert!(
        std::fs::read_to_string(FACTS).unwrap() == found,
        "run this test again with PUBLIC_API_WRITE=1 to take over what the document says"
    );
}

#[test]
fn differences_are_found_both_ways() {
    let facts = |text: &str| read(text);
    let theirs = facts("FetchRoom\tanswers 200\nFetchRoom query Page\tinteger\tminimum=0\nListRoom\tanswers 200\n");
    let ours = facts("FetchRoom\tanswers 200\nFetchRoom query Page\tinteger\tdefault=0\nFetchRoom query New\tstring\n");
    let expected = [
        ("FetchRoom query New", "all of it", true),
        ("FetchRoom query Page", "default=0", true),
        ("FetchRoom query Page", "minimum=0", false),
        ("ListRoom", "all of it", false),
    ];
    let expected = expected.map(|(place, word, only_here)| (place.to_owned(), word.to_owned(), only_here));
    assert_eq!(differences(&ours, &theirs), BTreeSet::from(expected));
    assert!(is_like("video.v1.room*", "video.v1.room sid") && !is_like("a*a", "a"));
}

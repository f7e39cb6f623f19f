//! The API's description as an OpenAPI 3.0 document, made of the operations that the router serves.

use std::collections::BTreeMap;

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use protocol::rest::{ErrorBody, schema};
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use super::base_url::BaseUrl;
use super::operation::{Operation, Parameter, Verb};
use super::router::{NOT_YET, operations};
use crate::config::Settings;

const ABOUT: &str = "Video rooms on your own machines. Every operation takes the Basic credentials of an account or \
of an API key. Times are UTC in whole seconds. Every member of a resource is always there. \
`x-rotunda-not-yet` names the paths of the API that are answered 501.";

/// The document without `servers`: it is the same for everybody who asks.
#[derive(Clone)]
pub(super) struct Description {
    /// JSON up to the brace that closes it.
    opened: String,
}

impl Description {
    /// Of a server with these settings.
    pub(super) fn new(settings: &Settings) -> Self {
        let mut opened = document(settings).to_string();
        opened.pop();
        Self { opened }
    }

    /// The whole document of a server at `url`.
    pub(super) fn at(&self, url: &str) -> String {
        format!("{},\"servers\":{}}}", self.opened, json!([{ "url": url }]))
    }
}

/// `GET /openapi.json`, without credentials.
pub(super) async fn serve(description: Description, base: BaseUrl) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], description.at(&base.of("")))
}

fn document(settings: &Settings) -> Value {
    let mut generator = schema::generator();
    let mut paths: Map<String, Value> = Map::new();
    for operation in operations(settings) {
        let verb = match operation.verb {
            Verb::Get => "get",
            Verb::Post => "post",
        };
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[verb] = described(&operation, &mut generator);
    }
    let error = generator.subschema_for::<ErrorBody>();
    let not_yet: BTreeMap<_, _> = NOT_YET.iter().copied().collect();
    json!({
        "openapi": "3.0.3",
        "info": {
            "title": "Rotunda",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "Apache 2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0.html" },
        },
        "paths": paths,
        "components": {
            "schemas": schema::components(generator),
            "responses": refusals(&error.to_value()),
            "headers": headers(),
            "securitySchemes": { "accountSid_authToken": { "type": "http", "scheme": "basic" } },
        },
        "security": [{ "accountSid_authToken": [] }],
        "x-rotunda-not-yet": not_yet,
    })
}

fn described(operation: &Operation, generator: &mut SchemaGenerator) -> Value {
    let answer = (operation.answer.schema)(generator);
    let mut answers = Map::new();
    let status = operation.answer.status;
    let headers = headers();
    let of_pages = headers.as_object().into_iter().flatten();
    let headers: Map<String, Value> = of_pages
        .filter(|(name, _)| name.starts_with("Access-Control-"))
        .map(|(name, _)| (name.clone(), json!({ "$ref": format!("#/components/headers/{name}") })))
        .collect();
    answers.insert(
        status.as_str().to_owned(),
        json!({
            "description": status.canonical_reason().unwrap_or_default(),
            "headers": headers,
            "content": { "application/json": { "schema": answer } },
        }),
    );
    answers.insert("400".to_owned(), bad_request(operation, generator));
    let addresses = operation.path.contains('{');
    for (code, name, _) in REFUSALS {
        let applies = match *code {
            "404" => addresses,
            "408" | "413" | "415" => operation.verb == Verb::Post,
            _ => true,
        };
        if applies {
            answers.insert(
                (*code).to_owned(),
                json!({ "$ref": format!("#/components/responses/{name}") }),
            );
        }
    }
    let mut parameters: Vec<Value> = path_parameters(operation.path);
    let mut described = json!({
        "operationId": operation.id,
        "description": operation.about,
        "tags": [tag(operation.path)],
        "responses": answers,
    });
    match operation.verb {
        Verb::Get => parameters.extend(operation.parameters.iter().map(in_query)),
        Verb::Post if !operation.parameters.is_empty() => described["requestBody"] = form(operation),
        Verb::Post => {}
    }
    described["parameters"] = parameters.into();
    described
}

/// The segment of the path that names the resource.
fn tag(path: &str) -> &str {
    path.rsplit('/')
        .find(|segment| !segment.starts_with('{'))
        .unwrap_or(path)
}

fn path_parameters(path: &str) -> Vec<Value> {
    let segments: Vec<&str> = path.split('/').collect();
    let variable = segments.windows(2).filter_map(|pair| {
        let name = pair[1].strip_prefix('{')?.strip_suffix('}')?;
        Some((pair[0], name))
    });
    variable
        .map(|(of, name)| {
            let text = json!({ "type": "string" });
            let track = json!({ "type": "string", "minLength": 34, "maxLength": 34, "pattern": "^MT[0-9a-fA-F]{32}$" });
            let (about, schema) = match of {
                "Rooms" => ("SID of a room, or the name of one in progress.", text),
                "Participants" => ("SID of a participant, or the identity of one who is there.", text),
                "PublishedTracks" => ("SID or name of a track.", text),
                _ => ("SID of a track.", track),
            };
            json!({ "name": name, "in": "path", "required": true, "description": about, "schema": schema })
        })
        .collect()
}

fn in_query(parameter: &Parameter) -> Value {
    json!({
        "name": parameter.name,
        "in": "query",
        "required": parameter.required,
        "description": parameter.about,
        "schema": parameter.schema,
    })
}

fn form(operation: &Operation) -> Value {
    let properties: Map<String, Value> = operation
        .parameters
        .iter()
        .map(|parameter| {
            let mut schema = parameter.schema.clone();
            schema["description"] = parameter.about.into();
            (parameter.name.to_owned(), schema)
        })
        .collect();
    let mut schema = json!({ "type": "object", "title": format!("{}Request", operation.id), "properties": properties });
    let required = operation.parameters.iter().filter(|parameter| parameter.required);
    let required: Vec<_> = required.map(|parameter| parameter.name).collect();
    let is_required = !required.is_empty();
    if is_required {
        schema["required"] = json!(required);
    }
    json!({
        "required": is_required,
        "content": {
            "application/x-www-form-urlencoded": { "schema": schema },
            "multipart/form-data": { "schema": schema },
        },
    })
}

/// What is wrong with a request, by numbers.
fn bad_request(operation: &Operation, generator: &mut SchemaGenerator) -> Value {
    let mut numbers = vec!["20001: a parameter is missing or cannot be understood".to_owned()];
    numbers.extend(
        operation
            .faults
            .iter()
            .map(|fault| format!("{}: {}", fault.code(), fault.message())),
    );
    let error = generator.subschema_for::<ErrorBody>();
    json!({
        "description": format!("Bad Request. {}.", numbers.join("; ")),
        "content": { "application/json": { "schema": error } },
    })
}

/// HTTP status, name and meaning of what any operation may be answered.
const REFUSALS: &[(&str, &str, &str)] = &[
    ("401", "Unauthorized", "20003: no credentials, or wrong ones."),
    ("404", "NotFound", "20404: the account has nothing at this path."),
    ("408", "RequestTimeout", "20001: the body did not arrive in time."),
    ("413", "PayloadTooLarge", "20001: the body is too long."),
    ("415", "UnsupportedMediaType", "20001: the body is no form."),
    (
        "429",
        "TooManyRequests",
        "20429: the account asks more often than it may.",
    ),
    ("500", "InternalServerError", "20500: the database failed."),
    (
        "503",
        "ServiceUnavailable",
        "20503: the server is too busy, or its database is away; try again.",
    ),
];

fn refusals(error: &Value) -> Value {
    let responses = REFUSALS.iter().map(|(status, name, about)| {
        let mut response = json!({ "description": about, "content": { "application/json": { "schema": error } } });
        match *status {
            "401" => {
                response["headers"] = json!({ "WWW-Authenticate": { "$ref": "#/components/headers/WWW-Authenticate" } })
            }
            "429" | "503" => {
                response["headers"] = json!({ "Retry-After": { "$ref": "#/components/headers/Retry-After" } })
            }
            _ => {}
        }
        ((*name).to_owned(), response)
    });
    Value::Object(responses.collect())
}

fn headers() -> Value {
    let text = json!({ "type": "string" });
    json!({
        "Access-Control-Allow-Origin": { "description": "Which pages may read this: any, or the one that asked.", "schema": text },
        "Access-Control-Allow-Methods": { "description": "Methods of the API.", "schema": text },
        "Access-Control-Allow-Headers": { "description": "Headers that a page may send.", "schema": text },
        "Access-Control-Allow-Credentials": { "description": "Only with a list of origins.", "schema": { "type": "boolean" } },
        "Access-Control-Expose-Headers": { "description": "Headers that a page may read.", "schema": text },
        "Retry-After": { "description": "Seconds until it is worth trying again.", "schema": { "type": "integer", "minimum": 1 } },
        "WWW-Authenticate": { "description": "Basic.", "schema": text },
    })
}

//! What the members of resources look like, for the API's description: SIDs, times, addresses, words. Only
//! their schemas exist; a member names one with `#[schemars(with = "schema::…")]` where its own type says less.

use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value};

use super::Date;

/// A generator of schemas as OpenAPI 3.0 writes them, of what is sent.
pub fn generator() -> SchemaGenerator {
    SchemaSettings::openapi3()
        .for_serialize()
        .with_transform(RecursiveTransform(whole_numbers))
        .into_generator()
}

/// The components that a generator has come across.
pub fn components(mut generator: SchemaGenerator) -> Map<String, Value> {
    generator.take_definitions(true)
}

/// Numbers are whole and never negative. Formats like `uint32` are not those of OpenAPI.
fn whole_numbers(schema: &mut Schema) {
    if schema
        .get("type")
        .is_some_and(|kind| kind == "integer" || *kind == serde_json::json!(["integer", "null"]))
    {
        schema.remove("format");
        schema.remove("minimum");
    }
}

macro_rules! members {
    ($($(#[$doc:meta])* $name:ident = $schema:tt;)+) => {$(
        $(#[$doc])*
        pub(super) struct $name;

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )+};
}

members! {
    /// `AC…`
    AccountSid = { "type": "string", "minLength": 34, "maxLength": 34, "pattern": "^AC[0-9a-fA-F]{32}$" };
    /// `RM…`
    RoomSid = { "type": "string", "minLength": 34, "maxLength": 34, "pattern": "^RM[0-9a-fA-F]{32}$" };
    /// `PA…`
    ParticipantSid = { "type": "string", "minLength": 34, "maxLength": 34, "pattern": "^PA[0-9a-fA-F]{32}$" };
    /// An absolute address.
    Url = { "type": "string", "format": "uri" };
    /// A method of callbacks.
    HttpMethod = { "type": "string", "format": "http-method", "enum": ["GET", "POST"] };
    /// States of a room.
    RoomStatus = { "type": "string", "enum": ["in-progress", "completed", "failed"] };
    /// Types of rooms.
    RoomType = { "type": "string", "enum": ["group", "go", "peer-to-peer", "group-small"] };
    /// Codecs of a room.
    VideoCodecs = { "type": "array", "items": { "type": "string", "enum": ["VP8", "H264"] } };
    /// `MT…`
    TrackSid = { "type": "string", "minLength": 34, "maxLength": 34, "pattern": "^MT[0-9a-fA-F]{32}$" };
    /// Kinds of tracks.
    TrackKind = { "type": "string", "enum": ["audio", "video", "data"] };
    /// Rules as they are shown.
    SubscribeRules = { "type": "array", "items": { "type": "object", "format": "subscribe-rule", "properties": {
        "type": { "type": "string" },
        "all": { "type": "boolean", "nullable": true },
        "publisher": { "type": "string", "nullable": true },
        "track": { "type": "string", "nullable": true },
        "kind": { "type": "string", "nullable": true },
        "priority": { "type": "string", "nullable": true }
    } } };
    /// States of a participant.
    ParticipantStatus = { "type": "string", "enum": ["connected", "disconnected", "reconnecting"] };
}

impl JsonSchema for Date {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Date".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "date-time" })
    }
}

/// Adds `links`, which a resource derives from its address when it is written.
pub(super) fn add_links(schema: &mut Schema, names: &[&str]) {
    let links = links(names);
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("links".to_owned(), links.to_value());
    }
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.push("links".into());
    }
}

/// Takes out a member.
pub(super) fn leave_out(schema: &mut Schema, member: &str) {
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.remove(member);
    }
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| name != member);
    }
}

/// A participant whose identity is its SID: without `links`, and without a word for one whose connection is lost.
pub(super) fn anonymize(schema: &mut Schema) {
    leave_out(schema, "links");
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        // Who it was is its SID now.
        if let Some(sid) = properties.get("sid").cloned() {
            properties.insert("identity".to_owned(), sid);
        }
        if let Some(status) = properties.get_mut("status") {
            status["enum"] = serde_json::json!(["connected", "disconnected"]);
        }
    }
}

/// An object of addresses with these names.
pub(super) fn links(names: &[&str]) -> Schema {
    let address = serde_json::json!({ "type": "string", "format": "uri" });
    let properties: Map<String, Value> = names.iter().map(|&name| (name.to_owned(), address.clone())).collect();
    json_schema!({
        "type": "object",
        "format": "uri-map",
        "description": "Absolute addresses of what belongs to it.",
        "properties": properties,
        "required": names,
    })
}

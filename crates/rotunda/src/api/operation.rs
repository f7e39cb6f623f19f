//! What an operation of the API is: its route and its description in one value, so that neither can be
//! without the other.

use std::ops::RangeInclusive;

use axum::extract::Extension;
use axum::handler::Handler;
use axum::http::StatusCode;
use axum::routing::{self, MethodRouter};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use super::error::Fault;
use super::limits::PAGE_SIZE_MAX;
use super::params::Declared;
use crate::app::App;

/// How an operation is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    /// Parameters stand in the query.
    Get,
    /// Parameters stand in a form.
    Post,
}

/// What a call that succeeds is answered with.
pub(super) struct Answer {
    /// The HTTP status.
    pub(super) status: StatusCode,
    /// The resource.
    pub(super) schema: fn(&mut SchemaGenerator) -> Schema,
}

impl Answer {
    /// `T` with this HTTP status.
    pub(super) fn of<T: JsonSchema>(status: StatusCode) -> Self {
        Self {
            status,
            schema: |generator| generator.subschema_for::<T>(),
        }
    }
}

/// An operation: what is called, what answers, and what there is to know before calling it.
pub(super) struct Operation {
    /// Its name in the public description of the API.
    pub(super) id: &'static str,
    /// How it is called.
    pub(super) verb: Verb,
    /// Its path, with the names that the public description gives to what is variable in it.
    pub(super) path: &'static str,
    /// What it does, in a sentence or a few.
    pub(super) about: &'static str,
    /// Those of its query or form.
    pub(super) parameters: Vec<Parameter>,
    /// Faults with a number of their own that it may answer.
    pub(super) faults: Vec<Fault>,
    /// What it answers.
    pub(super) answer: Answer,
    /// What runs.
    handler: MethodRouter<App>,
}

impl Operation {
    /// `GET path`.
    pub(super) fn get<H, T>(id: &'static str, path: &'static str, handler: H, answer: Answer) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        Self::new(id, Verb::Get, path, routing::get(handler), answer)
    }

    /// `POST path`.
    pub(super) fn post<H, T>(id: &'static str, path: &'static str, handler: H, answer: Answer) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        Self::new(id, Verb::Post, path, routing::post(handler), answer)
    }

    fn new(id: &'static str, verb: Verb, path: &'static str, handler: MethodRouter<App>, answer: Answer) -> Self {
        Self {
            id,
            verb,
            path,
            about: "",
            parameters: Vec::new(),
            faults: Vec::new(),
            answer,
            handler,
        }
    }

    /// What it does.
    pub(super) fn about(self, about: &'static str) -> Self {
        Self { about, ..self }
    }

    /// What it takes.
    pub(super) fn takes(self, parameters: impl IntoIterator<Item = Parameter>) -> Self {
        Self {
            parameters: parameters.into_iter().collect(),
            ..self
        }
    }

    /// What it refuses with a number of its own.
    pub(super) fn refuses(self, faults: &[Fault]) -> Self {
        Self {
            faults: faults.to_vec(),
            ..self
        }
    }

    /// What the router runs. In debug builds a handler that reads a parameter that is not described here
    /// panics, so that tests find it.
    pub(super) fn route(&self) -> MethodRouter<App> {
        let handler = self.handler.clone();
        if cfg!(debug_assertions) {
            let names = self.parameters.iter().map(|parameter| parameter.name).collect();
            handler.layer(Extension(Declared(names)))
        } else {
            handler
        }
    }
}

/// A parameter of a query or a form.
#[derive(Debug, Clone)]
pub(super) struct Parameter {
    /// Its name.
    pub(super) name: &'static str,
    /// What it means.
    pub(super) about: &'static str,
    /// What it looks like: a schema of OpenAPI 3.0.
    pub(super) schema: Value,
    /// Whether the operation says nothing without it.
    pub(super) required: bool,
}

impl Parameter {
    /// With any schema.
    pub(super) fn of(name: &'static str, schema: Value, about: &'static str) -> Self {
        Self {
            name,
            about,
            schema,
            required: false,
        }
    }

    /// Any text.
    pub(super) fn text(name: &'static str, about: &'static str) -> Self {
        Self::of(name, json!({ "type": "string" }), about)
    }

    /// True or false; false if it is left out.
    pub(super) fn flag(name: &'static str, about: &'static str) -> Self {
        Self::of(name, json!({ "type": "boolean", "default": false }), about)
    }

    /// A whole number.
    pub(super) fn number(name: &'static str, range: &RangeInclusive<u32>, default: u32, about: &'static str) -> Self {
        let schema = json!({ "type": "integer", "minimum": range.start(), "maximum": range.end(), "default": default });
        Self::of(name, schema, about)
    }

    /// One of these words.
    pub(super) fn word(name: &'static str, words: &[&str], about: &'static str) -> Self {
        Self::of(name, json!({ "type": "string", "enum": words }), about)
    }

    /// A moment or a day.
    pub(super) fn date(name: &'static str, about: &'static str) -> Self {
        Self::of(name, json!({ "type": "string", "format": "date-time" }), about)
    }

    /// It cannot be left out.
    pub(super) fn required(self) -> Self {
        Self { required: true, ..self }
    }
}

/// The parameters of all lists.
pub(super) fn page_parameters() -> [Parameter; 3] {
    let size = json!({ "type": "integer", "format": "int64", "minimum": 1, "maximum": PAGE_SIZE_MAX, "default": super::limits::PAGE_SIZE_DEFAULT });
    [
        Parameter::of(
            "PageSize",
            size,
            "Rows of a page at most. More than the maximum is taken as the maximum.",
        ),
        Parameter::of(
            "Page",
            json!({ "type": "integer", "minimum": 0, "default": 0 }),
            "The client's own counter. It is echoed and selects nothing.",
        ),
        Parameter::text(
            "PageToken",
            "Where the page begins: out of an address that a page before it gave.",
        ),
    ]
}

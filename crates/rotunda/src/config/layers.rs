//! Lays flags over environment over file over defaults, and remembers who wrote what.

use std::path::{Path, PathBuf};

use figment::providers::{Format, Serialized, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};

use super::{ConfigError, Raw};

const FLAGS: &str = "flags";
const ENVIRONMENT: &str = "environment";
const FILE: &str = "file";
const DEFAULTS: &str = "defaults";

/// Where environment variables come from: the process, or a test's table.
pub trait Environment {
    /// The variable's value; `None` when it is unset or empty.
    fn variable(&self, name: &str) -> Option<String>;
}

impl<F: Fn(&str) -> Option<String>> Environment for F {
    fn variable(&self, name: &str) -> Option<String> {
        self(name).filter(|value| !value.is_empty())
    }
}

/// The options of all layers, merged.
#[derive(Debug)]
pub struct Written {
    /// The values that won.
    pub raw: Raw,
    figment: Figment,
    file: Option<PathBuf>,
}

impl Written {
    /// Reads the file, if one was named, and merges.
    pub fn collect(
        flags: &Raw,
        environment: &dyn Environment,
        file: Option<&Path>,
        defaults: &Raw,
    ) -> Result<Self, ConfigError> {
        let mut figment = Figment::from(Layer::of(DEFAULTS, defaults)?);
        if let Some(path) = file {
            let text = std::fs::read_to_string(path)
                .map_err(|error| ConfigError::one(format!("--config: {} cannot be read: {error}", path.display())))?;
            figment = figment.merge(Layer::file(path, &text)?);
        }
        figment = figment
            .merge(Layer::environment(environment))
            .merge(Layer::of(FLAGS, flags)?);
        let raw = figment.extract().map_err(|error| ConfigError {
            faults: error.into_iter().map(|error| fault(&error, file)).collect(),
        })?;
        Ok(Self {
            raw,
            figment,
            file: file.map(Path::to_owned),
        })
    }

    /// How the one who wrote the option calls it, for messages.
    pub fn place(&self, name: &str) -> String {
        match self.figment.find_metadata(name).map(|metadata| metadata.name.as_ref()) {
            Some(FLAGS) => format!("--{}", name.replace('_', "-")),
            Some(ENVIRONMENT) => variable(name),
            Some(FILE) => in_file(name, self.file.as_deref()),
            _ => name.to_owned(),
        }
    }
}

/// The environment variable of an option.
fn variable(name: &str) -> String {
    format!("ROTUNDA_{}", name.to_uppercase())
}

fn in_file(name: &str, file: Option<&Path>) -> String {
    file.map_or_else(|| name.to_owned(), |path| format!("{name} in {}", path.display()))
}

/// One layer's values under its name.
struct Layer {
    name: &'static str,
    values: Dict,
}

impl Layer {
    fn of(name: &'static str, raw: &Raw) -> Result<Self, ConfigError> {
        let data = Serialized::defaults(raw)
            .data()
            .map_err(|error| ConfigError::one(error.to_string()))?;
        Ok(Self {
            name,
            values: data.into_values().next().unwrap_or_default(),
        })
    }

    fn file(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let data = Toml::string(text).data().map_err(|error| {
            let cause = error.to_string();
            let cause: Vec<_> = cause
                .lines()
                .filter(|line| !line.contains('|'))
                .map(str::trim)
                .filter(|line| !line.is_empty())
                .collect();
            ConfigError::one(format!(
                "--config: {} is not TOML: {}",
                path.display(),
                cause.join(": ")
            ))
        })?;
        Ok(Self {
            name: FILE,
            values: data.into_values().next().unwrap_or_default(),
        })
    }

    fn environment(environment: &dyn Environment) -> Self {
        let values = Raw::NAMES
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), Value::from(environment.variable(&variable(name))?))));
        Self {
            name: ENVIRONMENT,
            values: values.collect(),
        }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name)
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

/// One sentence for a value that has the wrong shape or name. Only a file can have those.
fn fault(error: &figment::Error, file: Option<&Path>) -> String {
    match &error.kind {
        figment::error::Kind::UnknownField(name, _) => format!(
            "{}: there is no such option; config.default.toml lists them all",
            in_file(name, file)
        ),
        kind => format!("{}: {kind}", in_file(&error.path.join("."), file)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::{List, Text};
    use super::*;

    fn none(_: &str) -> Option<String> {
        None
    }

    fn text(value: &str) -> Option<Text> {
        Some(Text(value.into()))
    }

    #[test]
    fn flags_over_environment_over_file_over_defaults() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("rotunda.toml");
        std::fs::write(
            &file,
            "http_addr = 'file'\nmedia_addr = 'file'\nmedia_region = 'file'\nsession_timeout_s = 9\n",
        )
        .unwrap();
        let environment = |name: &str| match name {
            "ROTUNDA_HTTP_ADDR" | "ROTUNDA_MEDIA_ADDR" => Some("environment".to_owned()),
            "ROTUNDA_ADVERTISE_ADDR" => Some("10.0.0.1,10.0.0.2".to_owned()),
            "ROTUNDA_AUTH_TOKEN" => Some("12345678901234567890123456789012".to_owned()),
            "ROTUNDA_LOG" => Some(String::new()),
            _ => None,
        };
        let flags = Raw {
            http_addr: text("flag"),
            ..Raw::default()
        };
        let written = Written::collect(&flags, &environment, Some(&file), &Raw::defaults()).unwrap();
        let raw = &written.raw;
        assert_eq!(raw.http_addr, text("flag"));
        assert_eq!(raw.media_addr, text("environment"));
        assert_eq!(raw.media_region, text("file"));
        assert_eq!(raw.session_timeout_s, text("9"));
        assert_eq!(raw.max_participants, text("1000"));
        assert_eq!(raw.log, text("info"), "an empty variable is no value");
        assert_eq!(
            raw.advertise_addr,
            Some(List(vec!["10.0.0.1".into(), "10.0.0.2".into()]))
        );
        assert_eq!(
            raw.auth_token.as_ref().unwrap().0,
            "12345678901234567890123456789012",
            "digits stay a text"
        );

        assert_eq!(written.place("http_addr"), "--http-addr");
        assert_eq!(written.place("media_addr"), "ROTUNDA_MEDIA_ADDR");
        assert_eq!(
            written.place("media_region"),
            format!("media_region in {}", file.display())
        );
        assert_eq!(written.place("max_participants"), "max_participants");
    }

    #[test]
    fn a_file_with_an_unknown_option_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("rotunda.toml");
        std::fs::write(&file, "http_adress = '127.0.0.1:1'\n").unwrap();
        let error = Written::collect(&Raw::default(), &none, Some(&file), &Raw::defaults()).unwrap_err();
        assert_eq!(
            error.faults,
            [format!(
                "http_adress in {}: there is no such option; config.default.toml lists them all",
                file.display()
            )]
        );
    }

    #[test]
    fn a_file_that_is_not_toml_or_not_there_is_told_in_one_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("rotunda.toml");
        std::fs::write(&file, "http_addr = \n").unwrap();
        for path in [file, dir.path().join("missing.toml")] {
            let error = Written::collect(&Raw::default(), &none, Some(&path), &Raw::defaults()).unwrap_err();
            assert_eq!(error.faults.len(), 1);
            assert!(
                error.faults[0].starts_with(&format!("--config: {} ", path.display())),
                "{error}"
            );
            assert_eq!(error.to_string().lines().count(), 1, "{error}");
        }
    }
}

//! The little of the REST interface that a run needs: rooms are made before and completed after.

use serde_json::Value;

/// An account of a server.
#[derive(Clone)]
pub struct Account {
    /// Where REST is, without `/v1`.
    pub url: String,
    /// `AC…`
    pub sid: String,
    /// Its token.
    pub auth_token: String,
}

/// Why REST did not do it.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    /// Nobody answered, or not in HTTP.
    #[error("asking {url}")]
    Request {
        /// Where.
        url: String,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// The server refused.
    #[error("{url} answered {status}: {body}")]
    Refused {
        /// Where.
        url: String,
        /// Of HTTP.
        status: u16,
        /// As it came.
        body: String,
    },
}

impl Account {
    /// Makes a room for so many; its SID.
    pub(crate) async fn create_room(
        &self,
        http: &reqwest::Client,
        name: &str,
        participants: u32,
    ) -> Result<String, RestError> {
        let participants = participants.to_string();
        let form = [
            ("UniqueName", name),
            ("MaxParticipants", &participants),
            ("Type", "group"),
        ];
        let room = self.post(http, &format!("{}/v1/Rooms", self.url), &form).await?;
        Ok(room["sid"].as_str().unwrap_or_default().to_owned())
    }

    /// Ends a room.
    pub(crate) async fn complete_room(&self, http: &reqwest::Client, sid: &str) -> Result<(), RestError> {
        let url = format!("{}/v1/Rooms/{sid}", self.url);
        self.post(http, &url, &[("Status", "completed")]).await.map(|_| ())
    }

    async fn post(&self, http: &reqwest::Client, url: &str, form: &[(&str, &str)]) -> Result<Value, RestError> {
        let failed = |source| RestError::Request {
            url: url.to_owned(),
            source,
        };
        let body: Vec<String> = form.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = http
            .post(url)
            .basic_auth(&self.sid, Some(&self.auth_token))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(body.join("&"));
        let answer = request.send().await.map_err(failed)?;
        let status = answer.status();
        let body = answer.text().await.map_err(failed)?;
        if !status.is_success() {
            return Err(RestError::Refused {
                url: url.to_owned(),
                status: status.as_u16(),
                body,
            });
        }
        Ok(serde_json::from_str(&body).unwrap_or_default())
    }
}

//! Every operation of the REST API, as the project's own table (rest.md section 1.5), for tests of what holds for all.

/// An operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    /// The HTTP method.
    pub method: &'static str,
    /// The path with its places in braces, as the published document writes them.
    pub path: &'static str,
    /// A form that is complete, so that nothing but the path can be refused; of a POST.
    pub form: &'static str,
}

const fn get(path: &'static str) -> Operation {
    Operation {
        method: "GET",
        path,
        form: "",
    }
}

const fn post(path: &'static str, form: &'static str) -> Operation {
    Operation {
        method: "POST",
        path,
        form,
    }
}

const fn delete(path: &'static str) -> Operation {
    Operation {
        method: "DELETE",
        path,
        form: "",
    }
}

/// Rules that are valid wherever rules are taken.
const RULES: &str = "Rules=%5B%7B%22type%22%3A%22include%22%2C%22all%22%3Atrue%7D%5D";

/// All operations, those of resources that are not there yet too.
pub const OPERATIONS: &[Operation] = &[
    get("/v1/Rooms"),
    post("/v1/Rooms", ""),
    get("/v1/Rooms/{Sid}"),
    post("/v1/Rooms/{Sid}", "Status=completed"),
    get("/v1/Rooms/{RoomSid}/Participants"),
    get("/v1/Rooms/{RoomSid}/Participants/{Sid}"),
    post("/v1/Rooms/{RoomSid}/Participants/{Sid}", "Status=disconnected"),
    post("/v1/Rooms/{RoomSid}/Participants/{Sid}/Anonymize", ""),
    get("/v1/Rooms/{RoomSid}/Participants/{ParticipantSid}/PublishedTracks"),
    get("/v1/Rooms/{RoomSid}/Participants/{ParticipantSid}/PublishedTracks/{Sid}"),
    get("/v1/Rooms/{RoomSid}/Participants/{ParticipantSid}/SubscribedTracks"),
    get("/v1/Rooms/{RoomSid}/Participants/{ParticipantSid}/SubscribedTracks/{Sid}"),
    get("/v1/Rooms/{RoomSid}/Participants/{ParticipantSid}/SubscribeRules"),
    post(
        "/v1/Rooms/{RoomSid}/Participants/{ParticipantSid}/SubscribeRules",
        RULES,
    ),
    get("/v1/Rooms/{RoomSid}/RecordingRules"),
    post("/v1/Rooms/{RoomSid}/RecordingRules", RULES),
    get("/v1/Rooms/{RoomSid}/Recordings"),
    get("/v1/Rooms/{RoomSid}/Recordings/{Sid}"),
    delete("/v1/Rooms/{RoomSid}/Recordings/{Sid}"),
    get("/v1/Rooms/{RoomSid}/Recordings/{Sid}/Media"),
    get("/v1/Rooms/{RoomSid}/Transcriptions"),
    post("/v1/Rooms/{RoomSid}/Transcriptions", ""),
    get("/v1/Rooms/{RoomSid}/Transcriptions/{Ttid}"),
    post("/v1/Rooms/{RoomSid}/Transcriptions/{Ttid}", "Status=stopped"),
    get("/v1/Recordings"),
    get("/v1/Recordings/{Sid}"),
    delete("/v1/Recordings/{Sid}"),
    get("/v1/Recordings/{Sid}/Media"),
    get("/v1/RecordingSettings/Default"),
    post("/v1/RecordingSettings/Default", "FriendlyName=x"),
    get("/v1/Compositions"),
    post("/v1/Compositions", "RoomSid={RoomSid}&AudioSources=*"),
    get("/v1/Compositions/{Sid}"),
    delete("/v1/Compositions/{Sid}"),
    get("/v1/Compositions/{Sid}/Media"),
    get("/v1/CompositionHooks"),
    post("/v1/CompositionHooks", "FriendlyName=x&AudioSources=*"),
    get("/v1/CompositionHooks/{Sid}"),
    post("/v1/CompositionHooks/{Sid}", "FriendlyName=x"),
    delete("/v1/CompositionHooks/{Sid}"),
    get("/v1/CompositionSettings/Default"),
    post("/v1/CompositionSettings/Default", "FriendlyName=x"),
];

"""Steps of the PyPI helper library against a server at ROTUNDA_URL; each prints JSON."""

import json
import os
import sys

from twilio.request_validator import RequestValidator
from twilio.rest import Client

client = Client(os.environ["API_KEY_SID"], os.environ["API_KEY_SECRET"], os.environ["ACCOUNT_SID"])
client.video.base_url = os.environ["ROTUNDA_URL"]


def shown(row):
    return {
        "sid": row.sid,
        "room_sid": row.room_sid,
        "identity": row.identity,
        "status": row.status,
        "ended": row.end_time is not None,
        "duration": row.duration,
    }


def tracks(rows):
    return [{"sid": row.sid, "name": row.name, "kind": row.kind, "enabled": row.enabled} for row in rows]


def rules(row):
    return {"participant_sid": row.participant_sid, "rules": row.rules, "created": row.date_created is not None}


def main(step, room, *args):
    participant = client.video.v1.rooms(room).participants(args[0]) if args else None
    if step == "published":
        return tracks(participant.published_tracks.list(page_size=1))
    if step == "published-one":
        return tracks([participant.published_tracks(args[1]).fetch()])[0]
    if step == "subscribed":
        rows = participant.subscribed_tracks.list(page_size=1)
        return [{**track, "publisher_sid": row.publisher_sid} for track, row in zip(tracks(rows), rows)]
    if step == "rules":
        return rules(participant.subscribe_rules.fetch())
    if step == "replace-rules":
        return rules(participant.subscribe_rules.update(rules=json.loads(args[1])))
    if step == "list":
        return [shown(row) for row in client.video.v1.rooms(room).participants.list(page_size=int(args[0]))]
    if step == "fetch":
        return shown(client.video.v1.rooms(room).participants(args[0]).fetch())
    if step == "disconnect":
        return shown(client.video.v1.rooms(room).participants(args[0]).update(status="disconnected"))
    if step == "complete":
        return {"status": client.video.v1.rooms(room).update(status="completed").status}
    if step == "validate":
        # Each request of the list on standard input: with the account's auth token, and with another one.
        tokens = [os.environ["AUTH_TOKEN"], "another one"]
        return [
            [RequestValidator(token).validate(one["url"], one["fields"], one["signature"]) for token in tokens]
            for one in json.load(sys.stdin)
        ]
    raise SystemExit(f"no step {step}")


print(json.dumps(main(*sys.argv[1:])))

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


def main(step, room, *args):
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

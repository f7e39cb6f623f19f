"""A walk over the REST API with the PyPI helper library; see clients.test.mjs."""

import json
import os
import sys

from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.rest import Client

ROTUNDA_URL, ACCOUNT_SID, API_KEY_SID, API_KEY_SECRET = (
    os.environ[name] for name in ("ROTUNDA_URL", "ACCOUNT_SID", "API_KEY_SID", "API_KEY_SECRET")
)

# docs/clients.md
client = Client(API_KEY_SID, API_KEY_SECRET, ACCOUNT_SID)
client.video.base_url = ROTUNDA_URL
# end

name = sys.argv[1]
seen = {}


def step(what, call):
    """What a step gives, or the code of its error."""
    try:
        seen[what] = call()
    except TwilioRestException as error:
        seen[what] = error.code
    except TwilioException as error:
        # A list that is refused tells the answer alone.
        seen[what] = json.loads(error.args[1].text)["code"]


rooms = client.video.v1.rooms
sid = rooms.create(unique_name=name, empty_room_timeout=1, video_codecs=["VP8"]).sid
print(sid, flush=True)
sys.stdin.readline()

participants = rooms(name).participants
ana = participants("ana")
step("fetched", lambda: rooms(name).fetch().sid == sid)
step("listed", lambda: len(rooms.list(unique_name=name)))
step("paged", lambda: [row.identity for row in participants.list(page_size=1)])
step("participant", lambda: ana.fetch().status)
step("published", lambda: [track.kind for track in ana.published_tracks.list(page_size=1)])
step("named", lambda: ana.published_tracks(ana.published_tracks.list()[0].name).fetch().kind)
step("subscribed", lambda: [track.kind for track in ana.subscribed_tracks.list(page_size=1)])
step("rules", lambda: [rule["type"] for rule in ana.subscribe_rules.fetch().rules])
step(
    "replaced",
    lambda: [rule["type"] for rule in ana.subscribe_rules.update(rules=[{"type": "exclude", "all": True}]).rules],
)
ben = participants("ben").fetch().sid
step("disconnected", lambda: participants("ben").update(status="disconnected").status)
step("anonymized", lambda: participants(ben).anonymize().update().identity == ben)
step("completed", lambda: rooms(name).update(status="completed").status)
step("afterwards", lambda: len(rooms(sid).participants.list(page_size=1)))
step("gone", lambda: rooms(name).fetch().sid)
print(json.dumps(seen))

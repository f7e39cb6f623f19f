// Draws the call screen with people who are not there, for work on its looks; never part of a build.
import "@fontsource-variable/inter/wght.css";
import "../src/style.css";
import { Answer } from "../src/answer";
import { CallView } from "../src/callview";

const people = ["Ada Moreau", "Bo", "Chidi Okafor", "Dana", "Emil", "Fay"].slice(0, Number(new URLSearchParams(location.search).get("people") ?? 4));
const room = `RM${"4c".repeat(16)}`;
const rows = people.map((identity, i) => row(identity, i, new Date(Date.now() - 90_000 + i * 9_000)));
const answer = new Answer("daily", async (path) => ({ status: 200, body: page(path) }));
const devices = { microphone: true, camera: true, muted: false, cameraOff: false };
const view: CallView = new CallView("daily", answer, {
  toggleMicrophone: () => draw({ muted: !devices.muted }),
  toggleCamera: () => draw({ cameraOff: !devices.cameraOff }),
  leave: () => location.reload(),
});

document.getElementById("app")!.replaceChildren(view.element);
people.forEach((name, i) => {
  const tile = view.addPerson(name, name, i === 0);
  if (i % 4 !== 2) tile.setVideo(painting(i));
  tile.setMuted(i === 1);
  tile.setReconnecting(i === 3);
});
draw({});
setTimeout(() => Object.assign(rows.at(-1) ?? {}, { status: "reconnecting" }), 3000);

function draw(change: Partial<typeof devices>): void {
  Object.assign(devices, change);
  view.renderDevices(devices);
}

function painting(i: number): HTMLVideoElement {
  const canvas = Object.assign(document.createElement("canvas"), { width: 640, height: 400 });
  const brush = canvas.getContext("2d")!;
  const sky = brush.createLinearGradient(0, 0, 640, 400);
  sky.addColorStop(0, `hsl(${i * 70 + 20} 45% 60%)`);
  sky.addColorStop(1, `hsl(${i * 70 + 70} 40% 35%)`);
  const video = Object.assign(document.createElement("video"), { autoplay: true, muted: true, srcObject: canvas.captureStream(10) });
  setInterval(() => {
    brush.fillStyle = sky;
    brush.fillRect(0, 0, 640, 400);
  }, 100);
  return video;
}

function page(path: string): unknown {
  const status = new URLSearchParams(path.split("?")[1]).get("Status") ?? "connected";
  const url = `${location.origin}${path}${path.includes("?") ? "&" : "?"}PageSize=50&Page=0`;
  return {
    participants: rows.filter((one) => one.status === status),
    meta: { page: 0, page_size: 50, first_page_url: url, previous_page_url: null, url, next_page_url: null, key: "participants" },
  };
}

function row(identity: string, i: number, since: Date) {
  const sid = `PA${String(i).repeat(4)}${"9f".repeat(14)}`;
  const date = since.toISOString().replace(/\.\d+/, "");
  const url = `${location.origin}/v1/Rooms/${room}/Participants/${sid}`;
  const links = { published_tracks: `${url}/PublishedTracks`, subscribed_tracks: `${url}/SubscribedTracks` };
  return { sid, room_sid: room, account_sid: `AC${"1a".repeat(16)}`, status: "connected", identity, date_created: date, date_updated: date, start_time: date, end_time: null, duration: null, url, links };
}

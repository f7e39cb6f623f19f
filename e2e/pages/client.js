// A participant that tests drive: joins with the unmodified SDK and reports what it sees and hears.
"use strict";

// Peer connections and sockets are noted, not changed, before the SDK takes them: it copies from
// their prototypes, so these stay the browser's own.
const peerConnections = [];
const moments = [];
const mark = (what) => moments.push({ what, at: wallClock() });
window.RTCPeerConnection = noting(window.RTCPeerConnection, (connection) => {
  peerConnections.push(connection);
  connection.addEventListener("signalingstatechange", () => connection.signalingState === "stable" && mark("described"));
  connection.addEventListener("iceconnectionstatechange", () => connection.iceConnectionState === "connected" && mark("reachable"));
  connection.addEventListener("connectionstatechange", () => connection.connectionState === "connected" && mark("secured"));
});
window.WebSocket = noting(window.WebSocket, (socket) => {
  mark("tried");
  socket.addEventListener("open", () => mark("open"));
  socket.addEventListener("message", ({ data }) => {
    const { type, body } = JSON.parse(data);
    if (type === "welcome" || body?.type === "synced") mark(body?.type ?? type);
  });
});

function noting(Native, note) {
  return new Proxy(Native, {
    construct(target, args) {
      const made = Reflect.construct(target, args);
      note(made);
      return made;
    },
  });
}

const faults = [];
window.addEventListener("error", (event) => faults.push(`error: ${event.message}`));
window.addEventListener("unhandledrejection", (event) => faults.push(`unhandled rejection: ${event.reason}`));
document.write(`<script src="/sdk/${new URLSearchParams(location.search).get("sdk")}.js"><\/script>`);

const PLAIN_AUDIO = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };

function wallClock() {
  return performance.timeOrigin + performance.now();
}

/** What tests call, by name, through `page.evaluate`; everything in and out is JSON. */
window.h = {
  room: null,
  events: [],
  data: [],
  local: {},
  probes: new Map(),

  /** Connects; `{ok: true, …}` or `{ok: false, error}` with class, code and message. */
  async join({ token, wsServer, name, audio = true, video = true, data = false, options = {} }) {
    const tracks = [];
    if (audio) tracks.push((this.local.audio = await Twilio.Video.createLocalAudioTrack({ ...PLAIN_AUDIO, name: "microphone" })));
    if (video) tracks.push((this.local.video = await Twilio.Video.createLocalVideoTrack({ name: "camera", ...(video === true ? {} : video) })));
    if (data) tracks.push((this.local.data = new Twilio.Video.LocalDataTrack({ name: "chat" })));
    try {
      this.attachRoom(await Twilio.Video.connect(token, { name, tracks, wsServer, insights: false, ...options }));
    } catch (error) {
      tracks.forEach((track) => track.stop?.());
      return { ok: false, error: describe(error) };
    }
    return { ok: true, at: wallClock(), ...this.me() };
  },

  me() {
    const { room } = this;
    return {
      roomSid: room.sid,
      roomName: room.name,
      state: room.state,
      sid: room.localParticipant.sid,
      identity: room.localParticipant.identity,
      tracks: [...room.localParticipant.tracks.values()].map(({ trackSid, trackName, kind, isTrackEnabled }) => ({ sid: trackSid, name: trackName, kind, enabled: isTrackEnabled })),
    };
  },

  attachRoom(room) {
    this.room = room;
    const note = (event, fields = {}) => this.events.push({ event, at: wallClock(), ...fields });
    const who = ({ sid, identity }) => ({ participant: sid, identity });
    room.on("disconnected", (_room, error) => note("disconnected", { error: error ? describe(error) : null }));
    room.on("reconnecting", (error) => note("reconnecting", { error: error ? describe(error) : null }));
    room.on("reconnected", () => note("reconnected"));
    for (const event of ["participantConnected", "participantDisconnected", "participantReconnecting", "participantReconnected"]) {
      room.on(event, (participant) => note(event, who(participant)));
    }
    for (const event of ["trackPublished", "trackUnpublished", "trackSubscribed", "trackUnsubscribed", "trackEnabled", "trackDisabled", "trackSubscriptionFailed"]) {
      room.on(event, (...args) => {
        const participant = args.at(-1);
        const publication = args.find((arg) => arg.trackSid !== undefined) ?? args[0];
        note(event, { ...who(participant), track: publication.trackSid ?? publication.sid, kind: publication.kind });
      });
    }
    room.localParticipant.on("trackPublicationFailed", (error, track) => note("trackPublicationFailed", { kind: track.kind, ...describe(error) }));
    room.on("trackMessage", (data, track, participant) => this.data.push({ from: participant.identity, track: track.sid, ...describeData(data) }));
  },

  /** The room as this page sees it. */
  view() {
    if (!this.room) return null;
    return {
      state: this.room.state,
      participants: [...this.room.participants.values()].map((participant) => ({
        sid: participant.sid,
        identity: participant.identity,
        state: participant.state,
        tracks: [...participant.tracks.values()].map(({ trackSid, trackName, kind, isTrackEnabled, isSubscribed }) => ({
          sid: trackSid, name: trackName, kind, enabled: isTrackEnabled, subscribed: isSubscribed,
        })),
      })),
    };
  },

  publication(sid) {
    const all = [this.room.localParticipant, ...this.room.participants.values()];
    return all.map((participant) => participant.tracks.get(sid)).find(Boolean);
  },

  /** Puts instruments on a track by its SID; a remote one plays in the page from then on. */
  async watch(sid) {
    const { track } = this.publication(sid);
    const element = track.attach();
    document.body.append(element);
    element.width = 80;
    if (track.kind === "video") {
      element.muted = true;
      element.play().catch(() => {});
      this.probes.set(sid, new PictureProbe(element));
    } else {
      if (track === this.local.audio) element.muted = true;
      this.probes.set(sid, await SoundProbe.on(track.mediaStreamTrack));
    }
  },

  /** Watches all pictures there are and will be, also what replaces a track after a resume. */
  async watchPictures() {
    const watch = async (sid) => {
      this.unwatch(sid);
      await this.watch(sid);
    };
    this.room.on("trackSubscribed", (track) => track.kind === "video" && watch(track.sid));
    for (const participant of this.room.participants.values()) {
      for (const { trackSid, kind, isSubscribed } of participant.tracks.values()) if (kind === "video" && isSubscribed) await watch(trackSid);
    }
  },

  unwatch(sid) {
    this.probes.get(sid)?.close();
    this.probes.delete(sid);
  },

  /** What the instruments on a track show now. */
  read(sid) {
    return this.probes.get(sid)?.read() ?? null;
  },

  /** When frames of a picture came since a moment, in milliseconds since the epoch. */
  framesSince(sid, since) {
    return this.probes.get(sid).frames.filter((time) => time >= since);
  },

  /** The inbound RTP statistics of a remote track, and its codec's MIME type. */
  async inbound(sid) {
    const id = this.publication(sid)?.track?.mediaStreamTrack.id;
    for (const connection of peerConnections) {
      if (connection.connectionState === "closed") continue;
      const reports = await connection.getStats();
      for (const report of reports.values()) {
        if (report.type === "inbound-rtp" && report.trackIdentifier === id) return { ...report, codec: reports.get(report.codecId)?.mimeType };
      }
    }
    return null;
  },

  /** The SDK's own statistics, flattened to what tests ask for. */
  async stats() {
    const [report] = await this.room.getStats();
    return JSON.parse(JSON.stringify(report));
  },

  setEnabled(kind, enabled) {
    if (enabled) this.local[kind].enable();
    else this.local[kind].disable();
  },

  setPriority(kind, priority) {
    const publications = [...this.room.localParticipant.tracks.values()];
    publications.find((publication) => publication.kind === kind).setPriority(priority);
  },

  unpublish(kind) {
    this.room.localParticipant.unpublishTrack(this.local[kind]);
  },

  async publish(kind) {
    this.local[kind] ??= kind === "data" ? new Twilio.Video.LocalDataTrack({ name: "chat" }) : undefined;
    const { trackSid } = await this.room.localParticipant.publishTrack(this.local[kind]);
    return trackSid;
  },

  send(text) {
    this.local.data.send(text);
  },

  sendBytes(bytes) {
    this.local.data.send(new Uint8Array(bytes).buffer);
  },

  leave() {
    this.room.disconnect();
    return wallClock();
  },

  /** The ICE user name fragment this page offers now. */
  ufrag() {
    const live = peerConnections.filter((connection) => connection.connectionState !== "closed").at(-1);
    return /a=ice-ufrag:(\S+)/.exec(live?.localDescription?.sdp ?? "")?.[1] ?? null;
  },

  /** When a socket was `tried`, `open`, greeted by `welcome`, `synced`; a connection `described`, `reachable`, `secured`. */
  moments(since = 0) {
    return moments.filter(({ at }) => at >= since);
  },

  faults() {
    return faults;
  },

  names() {
    return this.events.map(({ event }) => event);
  },
};

function describe(error) {
  return { class: error.constructor.name, name: error.name, code: error.code ?? null, message: error.message };
}

function describeData(data) {
  return typeof data === "string" ? { text: data } : { bytes: [...new Uint8Array(data)] };
}

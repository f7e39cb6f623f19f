// A call through the unmodified SDK: connects, and keeps the view showing what the room says.
import {
  connect,
  type ConnectOptions,
  type RemoteParticipant,
  type RemoteTrack,
  type RemoteTrackPublication,
  type Room,
} from "twilio-video";
import type { CallView } from "./callview";
import type { Devices } from "./devices";
import { announce } from "./dom";
import type { Tile } from "./tiles";

const LOCAL = "local";

/** Joins a room on this page's own server. Rejects with the SDK's error. */
export function connectHere(token: string, room: string, devices: Devices): Promise<Room> {
  const scheme = location.protocol === "https:" ? "wss:" : "ws:";
  // `wsServer` is not in the SDK's typings; `insights: false` keeps it from calling its vendor.
  const options: ConnectOptions & { wsServer: string } = {
    name: room,
    tracks: devices.tracks(),
    wsServer: `${scheme}//${location.host}/signaling`,
    insights: false,
  };
  return connect(token, options);
}

/** Binds a joined room to its view; `ended` gets the SDK's error, or null for an end without one. */
export class Call {
  private readonly own: Tile;
  private leaving = false;

  constructor(
    private readonly room: Room,
    private readonly view: CallView,
    private readonly devices: Devices,
    ended: (error: unknown, left: boolean) => void,
  ) {
    this.own = view.addPerson(LOCAL, room.localParticipant.identity, true);
    this.renderOwn();
    room.participants.forEach((participant) => this.addRemote(participant));
    room.on("participantConnected", (participant: RemoteParticipant) => this.addRemote(participant));
    room.on("participantDisconnected", (participant: RemoteParticipant) => view.removePerson(participant.sid));
    room.on("participantReconnecting", (participant: RemoteParticipant) => view.person(participant.sid)?.setReconnecting(true));
    room.on("participantReconnected", (participant: RemoteParticipant) => view.person(participant.sid)?.setReconnecting(false));
    room.on("reconnecting", () => view.setBanner("The connection was lost. Reconnecting…"));
    room.on("reconnected", () => view.setBanner(null));
    room.on("disconnected", (_room: Room, error?: unknown) => {
      window.removeEventListener("pagehide", this.leave);
      ended(error ?? null, this.leaving);
    });
    window.addEventListener("pagehide", this.leave);
  }

  readonly leave = (): void => {
    this.leaving = true;
    this.room.disconnect();
  };

  toggleMicrophone(): void {
    this.devices.setMuted(!this.devices.muted);
    this.renderOwn();
    announce(this.devices.muted ? "You are muted" : "You are not muted");
  }

  async toggleCamera(): Promise<void> {
    try {
      await this.devices.setCameraOff(!this.devices.cameraOff);
      announce(this.devices.cameraOff ? "Your camera is off" : "Your camera is on");
    } catch {
      announce("Your camera did not start again. Another program may be using it.");
    }
    this.renderOwn();
  }

  private renderOwn(): void {
    const { microphone, camera, muted, cameraOff } = this.devices;
    this.own.setVideo(camera && !cameraOff ? (camera.attach() as HTMLMediaElement) : null);
    this.own.setMuted(!microphone || muted);
    this.view.renderDevices({ microphone: microphone !== null, camera: camera !== null, muted, cameraOff });
  }

  private addRemote(participant: RemoteParticipant): void {
    const tile = this.view.addPerson(participant.sid, participant.identity, false);
    tile.setReconnecting(participant.state === "reconnecting");
    const renderMuted = (): void => tile.setMuted(![...participant.audioTracks.values()].some((publication) => publication.isTrackEnabled));
    const renderEnabled = (publication: RemoteTrackPublication): void => {
      if (publication.kind === "video") tile.setShowing(publication.isTrackEnabled);
      renderMuted();
    };
    renderMuted();
    participant.tracks.forEach((publication) => {
      if (publication.track) showTrack(publication.track, tile);
    });
    participant.on("trackPublished", renderMuted);
    participant.on("trackUnpublished", renderMuted);
    participant.on("trackSubscribed", (track: RemoteTrack) => showTrack(track, tile));
    participant.on("trackUnsubscribed", (track: RemoteTrack) => hideTrack(track, tile));
    participant.on("trackEnabled", renderEnabled);
    participant.on("trackDisabled", renderEnabled);
  }
}

function showTrack(track: RemoteTrack, tile: Tile): void {
  if (track.kind === "video") {
    tile.setVideo(track.attach() as HTMLMediaElement);
    tile.setShowing(track.isEnabled);
  } else if (track.kind === "audio") {
    tile.addAudio(track.attach() as HTMLMediaElement);
  }
}

function hideTrack(track: RemoteTrack, tile: Tile): void {
  if (track.kind === "data") return;
  (track.detach() as unknown as HTMLMediaElement[]).forEach((element) => element.remove());
  if (track.kind === "video") tile.setVideo(null);
}

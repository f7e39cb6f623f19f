// Camera and microphone before and during a call: what can be had is taken, what cannot is said.
import { createLocalAudioTrack, createLocalVideoTrack, type LocalAudioTrack, type LocalVideoTrack } from "twilio-video";
import { explainDevice, insecureContext } from "./words";

/** A person's own tracks; null is a device that there is not, or that was refused. */
export class Devices {
  microphone: LocalAudioTrack | null = null;
  camera: LocalVideoTrack | null = null;
  muted = false;
  cameraOff = false;
  /** What to tell the person about devices that are missing, one sentence each. */
  notices: string[] = [];

  /** Opens both devices, each on its own, so that one that is missing does not cost the other. */
  async open(): Promise<void> {
    this.notices = [];
    if (!navigator.mediaDevices?.getUserMedia) {
      this.notices.push(insecureContext());
      return;
    }
    const [microphone, camera] = await Promise.allSettled([
      createLocalAudioTrack({ name: "microphone" }),
      createLocalVideoTrack({ name: "camera", width: 1280, height: 720, frameRate: 30 }),
    ]);
    if (microphone.status === "fulfilled") this.microphone = microphone.value;
    else this.notices.push(explainDevice(microphone.reason, "microphone"));
    if (camera.status === "fulfilled") this.camera = camera.value;
    else this.notices.push(explainDevice(camera.reason, "camera"));
  }

  setMuted(muted: boolean): void {
    this.muted = muted;
    if (muted) this.microphone?.disable();
    else this.microphone?.enable();
  }

  /** Off stops the capture too, so that the camera's light goes out. Throws where it does not start again. */
  async setCameraOff(off: boolean): Promise<void> {
    if (!this.camera) return;
    if (off) {
      this.camera.disable();
      this.camera.stop();
    } else {
      await this.camera.restart();
      this.camera.enable();
    }
    this.cameraOff = off;
  }

  tracks(): (LocalAudioTrack | LocalVideoTrack)[] {
    return [this.microphone, this.camera].filter((track) => track !== null);
  }

  close(): void {
    for (const track of this.tracks()) track.stop();
    this.microphone = null;
    this.camera = null;
  }
}

/** Calls back with the loudness of a track, 0 to 1, ten times a second, until the returned function is called. */
export function meter(track: MediaStreamTrack, onLevel: (level: number) => void): () => void {
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  analyser.fftSize = 512;
  context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
    onLevel(Math.min(1, Math.sqrt(power) * 4));
  }, 100);
  return () => {
    clearInterval(timer);
    void context.close();
  };
}

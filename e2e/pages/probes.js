// Instruments on a media track: colour, size, frames and flashes of a picture; pitch, level and beeps of a sound.
"use strict";

/** Watches a video element; times are milliseconds since the epoch. */
class PictureProbe {
  constructor(element) {
    this.element = element;
    this.frames = [];
    this.flashes = [];
    this.colour = null;
    this.size = null;
    this.bright = true;
    this.canvas = Object.assign(document.createElement("canvas"), { width: 8, height: 8 });
    this.brush = this.canvas.getContext("2d", { willReadFrequently: true });
    this.watch();
  }

  watch() {
    this.element.requestVideoFrameCallback((now, metadata) => {
      if (this.closed) return;
      const time = performance.timeOrigin + (metadata.expectedDisplayTime ?? now);
      this.frames.push(time);
      if (this.frames.length > 4000) this.frames.splice(0, 2000);
      this.size = [metadata.width, metadata.height];
      this.sample(time);
      this.watch();
    });
  }

  sample(time) {
    this.brush.drawImage(this.element, 0, 0, 8, 8);
    const [red, green, blue] = this.brush.getImageData(4, 4, 1, 1).data;
    const bright = Math.min(red, green, blue) > 150;
    if (bright && !this.bright) this.flashes.push(time);
    if (!bright) this.colour = [red, green, blue];
    this.bright = bright;
  }

  read() {
    return { colour: this.colour, size: this.size, frameCount: this.frames.length, lastFrame: this.frames.at(-1) ?? 0, flashes: this.flashes.slice(-20) };
  }

  close() {
    this.closed = true;
    this.element.remove();
  }
}

/** Watches an audio track; a remote one must also play in an element, or Chromium gives no samples. */
class SoundProbe {
  static async on(mediaStreamTrack) {
    SoundProbe.context ??= new AudioContext({ sampleRate: 48000 });
    SoundProbe.ready ??= SoundProbe.context.audioWorklet.addModule("/beep-worklet.js");
    await SoundProbe.ready;
    await SoundProbe.context.resume();
    return new SoundProbe(SoundProbe.context, mediaStreamTrack);
  }

  constructor(context, track) {
    this.beeps = [];
    this.offsets = [];
    this.source = context.createMediaStreamSource(new MediaStream([track]));
    this.analyser = context.createAnalyser();
    this.analyser.fftSize = 8192;
    this.analyser.smoothingTimeConstant = 0;
    this.worklet = new AudioWorkletNode(context, "beep");
    this.worklet.port.onmessage = ({ data }) => this.hear(data);
    this.source.connect(this.analyser);
    this.source.connect(this.worklet);
    // Pulled only when connected onwards; the worklet's output is silence.
    this.worklet.connect(context.destination);
  }

  hear({ clock, beep }) {
    if (clock !== undefined) {
      // The least delayed of the last messages maps the audio clock to the wall clock.
      this.offsets.push(performance.timeOrigin + performance.now() - clock * 1000);
      if (this.offsets.length > 60) this.offsets.shift();
    } else {
      this.beeps.push(beep);
    }
  }

  read() {
    const bins = new Float32Array(this.analyser.frequencyBinCount);
    this.analyser.getFloatFrequencyData(bins);
    const hertzPerBin = this.analyser.context.sampleRate / this.analyser.fftSize;
    let peak = Math.ceil(200 / hertzPerBin);
    for (let i = peak; i * hertzPerBin < 2000; i++) if (bins[i] > bins[peak]) peak = i;
    const offset = Math.min(...this.offsets);
    return {
      hertz: peak * hertzPerBin,
      decibels: Number.isFinite(bins[peak]) ? bins[peak] : -200,
      beeps: this.beeps.slice(-20).map((beep) => beep * 1000 + offset),
    };
  }

  close() {
    this.source.disconnect();
    this.worklet.disconnect();
  }
}

// Tells when a track's sound turns loud, in the audio clock, and where that clock stands.
const LOUD = 0.2;
const HOLD_S = 0.3;
const CLOCK_EVERY_BLOCKS = 40;

registerProcessor(
  "beep",
  class extends AudioWorkletProcessor {
    loudUntil = 0;
    blocks = 0;

    process([[samples]]) {
      if (this.blocks++ % CLOCK_EVERY_BLOCKS === 0) this.port.postMessage({ clock: currentTime });
      if (!samples) return true;
      const at = samples.findIndex((sample) => Math.abs(sample) > LOUD);
      if (at >= 0) {
        const time = currentTime + at / sampleRate;
        if (time > this.loudUntil) this.port.postMessage({ beep: time });
        this.loudUntil = time + HOLD_S;
      }
      return true;
    }
  },
);

// How far a call moves a beep against the flash that it was made with.
import { median } from "./until.mjs";

/** Beyond this an event is not taken for the one that was sent; the events are 1,000 ms apart. */
const LATEST_MS = 900;
/** Two pages' clocks may differ by a little, which would make a quick event seem early. */
const EARLIEST_MS = -50;

/**
 * Holds what was seen and heard against what was sent: `{picture, sound, skew}`, median latencies
 * of the last events and their difference, in milliseconds; null before there are three of each.
 * The files that Chromium plays as camera and microphone start at moments of their own, so only
 * this difference says what the way through the server did.
 */
export function lipSync(sent, received) {
  const pictures = latencies(sent.flashes, received.flashes);
  const sounds = latencies(sent.beeps, received.beeps);
  if (pictures.length < 3 || sounds.length < 3) return null;
  const [picture, sound] = [median(pictures), median(sounds)].map(Math.round);
  return { picture, sound, skew: sound - picture };
}

function latencies(sent, received) {
  return received.slice(-7).flatMap((at) => {
    const candidates = sent.map((from) => at - from).filter((gap) => gap >= EARLIEST_MS && gap <= LATEST_MS);
    return candidates.length ? [Math.min(...candidates)] : [];
  });
}

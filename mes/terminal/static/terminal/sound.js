// Tells outcomes apart by ear: high beep accepted, low double refused, tick duplicate, two soft ones waiting.

const LOUD = 0.4;
const SOFT = 0.1;
// [hertz, begins after s, lasts s, loudness]
const SOUNDS = {
  accept: [[1318, 0, 0.12, LOUD]],
  refuse: [[196, 0, 0.18, LOUD], [196, 0.26, 0.18, LOUD]],
  tick: [[880, 0, 0.03, LOUD]],
  queued: [[523, 0, 0.07, SOFT], [523, 0.14, 0.07, SOFT]],
};
let context = null;

// Browsers allow sound only after a key or touch; a scan's own keys count.
export function unlockSound() {
  context ??= new AudioContext();
  if (context.state === "suspended") void context.resume();
}

export function play(name) {
  if (!context) return;
  for (const [hertz, after, lasts, loudness] of SOUNDS[name] ?? []) beep(hertz, after, lasts, loudness);
}

function beep(hertz, after, lasts, loudness) {
  const tone = new OscillatorNode(context, { type: "square", frequency: hertz });
  const volume = new GainNode(context, { gain: loudness });
  tone.connect(volume).connect(context.destination);
  tone.start(context.currentTime + after);
  tone.stop(context.currentTime + after + lasts);
}

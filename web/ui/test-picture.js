// A picture and a tone to publish without a camera: a clock to read delay from, shapes whose steps show lost frames,
// and a flash that comes with the beep, to see whether sound and picture stay together.

const FRAMES_PER_SECOND = 30;
const TONE_HZ = 440;
const BEEP_HZ = 880;
const BEEP_MS = 120;
const VOLUME = 0.12;
const BARS = ["#d9d4c7", "#c9a04e", "#5fa7a5", "#6f9a63", "#9a6a94", "#b25b4c", "#4c6192"];

/** Starts the picture; answers `{ stream, stop() }`. */
export function startTestPicture({ name, width = 960, height = 540 }) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { alpha: false });
  const began = performance.now();
  let frame = 0;
  const draw = () => drawFrame(context, { name, frame: frame++, elapsed: performance.now() - began });
  draw();

  const ticker = new Worker(new URL("ticker.js", import.meta.url));
  ticker.onmessage = draw;
  ticker.postMessage(FRAMES_PER_SECOND);

  const tone = startTone();
  const picture = canvas.captureStream(FRAMES_PER_SECOND);
  const [track] = picture.getVideoTracks();
  if ("contentHint" in track) track.contentHint = "motion";
  const stream = new MediaStream([track, ...tone.tracks]);
  return {
    stream,
    stop() {
      ticker.terminate();
      tone.stop();
      for (const each of stream.getTracks()) each.stop();
    },
  };
}

/** A soft steady tone with a beep on every full second of the wall clock. */
function startTone() {
  const audio = new AudioContext();
  const destination = audio.createMediaStreamDestination();
  const oscillator = new OscillatorNode(audio, { frequency: TONE_HZ });
  const gain = new GainNode(audio, { gain: VOLUME });
  oscillator.connect(gain).connect(destination);
  oscillator.start();
  const beep = () => {
    const now = audio.currentTime;
    oscillator.frequency.setValueAtTime(BEEP_HZ, now);
    oscillator.frequency.setValueAtTime(TONE_HZ, now + BEEP_MS / 1000);
    timer = setTimeout(beep, 1000 - (Date.now() % 1000));
  };
  let timer = setTimeout(beep, 1000 - (Date.now() % 1000));
  // Browsers keep sound off until the person has done something on the page.
  const resume = () => audio.resume().catch(() => {});
  resume();
  addEventListener("pointerdown", resume);
  addEventListener("keydown", resume);
  return {
    tracks: destination.stream.getAudioTracks(),
    stop() {
      clearTimeout(timer);
      removeEventListener("pointerdown", resume);
      removeEventListener("keydown", resume);
      audio.close().catch(() => {});
    },
  };
}

function drawFrame(context, { name, frame, elapsed }) {
  const { width, height } = context.canvas;
  const unit = height / 18;
  const ground = context.createLinearGradient(0, 0, width, height);
  ground.addColorStop(0, "#1b2230");
  ground.addColorStop(1, "#3a2c36");
  context.fillStyle = ground;
  context.fillRect(0, 0, width, height);

  BARS.forEach((colour, index) => {
    context.fillStyle = colour;
    context.fillRect((width * index) / BARS.length, height - 2 * unit, width / BARS.length + 1, 2 * unit);
  });
  drawOrbits(context, elapsed / 1000, unit);
  drawDial(context, elapsed / 1000, unit);

  const now = new Date();
  const clock = `${now.toTimeString().slice(0, 8)}.${String(now.getMilliseconds()).padStart(3, "0")}`;
  context.fillStyle = "#f2ede4";
  context.textBaseline = "alphabetic";
  context.font = `600 ${2.1 * unit}px ui-monospace, Menlo, Consolas, monospace`;
  context.fillText(clock, 1.4 * unit, 4 * unit);
  context.font = `${unit}px system-ui, sans-serif`;
  context.fillText(name, 1.4 * unit, 6 * unit);
  context.fillStyle = "#b9b4ac";
  context.fillText(`frame ${frame}`, 1.4 * unit, 7.6 * unit);
  if (now.getMilliseconds() < BEEP_MS) {
    context.fillStyle = "#ffffff";
    context.beginPath();
    context.arc(width - 2.2 * unit, 2.2 * unit, unit, 0, 2 * Math.PI);
    context.fill();
  }
}

function drawOrbits(context, seconds, unit) {
  const { width, height } = context.canvas;
  for (let index = 0; index < 5; index++) {
    const angle = seconds * (0.7 + index * 0.23) + index * 1.3;
    const x = width * (0.42 + 0.34 * Math.sin(angle));
    const y = height * (0.56 + 0.24 * Math.sin(2 * angle + index));
    const glow = context.createRadialGradient(x, y, 0, x, y, 1.9 * unit);
    glow.addColorStop(0, BARS[index + 1]);
    glow.addColorStop(1, "rgb(0 0 0 / 0%)");
    context.fillStyle = glow;
    context.beginPath();
    context.arc(x, y, 1.9 * unit, 0, 2 * Math.PI);
    context.fill();
  }
}

/** A hand that goes round once in two seconds. */
function drawDial(context, seconds, unit) {
  const { width, height } = context.canvas;
  const [x, y, radius] = [width - 5 * unit, height / 2, 3.4 * unit];
  context.strokeStyle = "#e8c79a";
  context.lineWidth = unit / 6;
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.stroke();
  const angle = seconds * Math.PI - Math.PI / 2;
  context.lineWidth = unit / 3;
  context.lineCap = "round";
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(x + 0.85 * radius * Math.cos(angle), y + 0.85 * radius * Math.sin(angle));
  context.stroke();
}

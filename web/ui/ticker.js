// A worker that only ticks: browsers slow the timers of hidden pages down to one a second, and those of workers not.
onmessage = ({ data: framesPerSecond }) => {
  setInterval(() => postMessage(null), 1000 / framesPerSecond);
};

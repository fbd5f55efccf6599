// Keys of the page. Layers, overlays and modes change here, in the browser; the rest is told to the server.
let before = layers.active;
const modes = { v: 0, p: 1, e: 2, a: 3, d: 4 };
document.addEventListener("keydown", (event) => {
  const path = event.composedPath();
  if (path.some((node) => ["INPUT", "TEXTAREA", "SELECT"].includes(node.tagName))) return;
  const key = event.key.toLowerCase();
  if ((event.ctrlKey || event.metaKey) && key === "z") {
    command.value = `undo ${Date.now()}`;
  } else if ((event.ctrlKey || event.metaKey) && key === "s") {
    command.value = `save ${Date.now()}`;
  } else if (event.ctrlKey || event.metaKey || event.altKey) {
    return;
  } else if (key >= "1" && key <= "5") {
    if (Number(key) - 1 !== layers.active) [before, layers.active] = [layers.active, Number(key) - 1];
  } else if (key === " ") {
    [before, layers.active] = [layers.active, before === layers.active ? 1 : before];
  } else if (key === "m") {
    overlays.active = overlays.active.includes(0)
      ? overlays.active.filter((n) => n !== 0) : [...overlays.active, 0];
  } else if (key === "t") {
    overlays.active = overlays.active.includes(1)
      ? overlays.active.filter((n) => n !== 1) : [...overlays.active, 1];
  } else if (key in modes) {
    mode.active = modes[key];
  } else if (key === "," || key === ".") {
    const place = threshold.categories.indexOf(threshold.value) + (key === "." ? 1 : -1);
    if (place >= 0 && place < threshold.categories.length) threshold.value = threshold.categories[place];
  } else if (key === "n" || key === "b") {
    command.value = `${key === "n" ? "next" : "previous"} ${Date.now()}`;
  } else return;
  event.preventDefault();
});

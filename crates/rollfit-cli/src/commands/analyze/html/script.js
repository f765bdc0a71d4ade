// The page is whole without this: it adds the choice of light or dark, quicker tips, and opens what is folded to print.
"use strict";

const root = document.documentElement;
document.getElementById("scheme").addEventListener("click", () => {
  const dark = root.dataset.scheme ? root.dataset.scheme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.scheme = dark ? "light" : "dark";
});

const tip = document.createElement("div");
tip.id = "tip";
tip.hidden = true;
document.body.append(tip);

// A title is shown at once instead of after the browser's pause; it is taken from its mark meanwhile, lest it be shown twice.
let shown = null;
function show(group) {
  if (shown) shown.group.prepend(shown.title);
  const title = group && group.querySelector(":scope > title");
  shown = title ? { group, title } : null;
  if (title) {
    tip.textContent = title.textContent;
    title.remove();
  }
  tip.hidden = !title;
}
document.addEventListener("pointerover", (event) => {
  const group = event.target.closest("svg g");
  if (!shown || shown.group !== group) show(group);
});
document.addEventListener("pointermove", (event) => {
  if (tip.hidden) return;
  const left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
  const below = event.clientY + 18;
  const top = below + tip.offsetHeight > innerHeight ? event.clientY - tip.offsetHeight - 10 : below;
  tip.style.left = `${Math.max(8, left)}px`;
  tip.style.top = `${top}px`;
});

// Not the hundreds of points over time, which would take pages.
const ROWS_PRINTED_MAX = 60;
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) {
    details.open = details.querySelectorAll("tr").length <= ROWS_PRINTED_MAX;
  }
});

"use strict";
// Fetches the changing part every two seconds and replaces only what differs: a selection stays.
const EVERY = 2000, HIDDEN = 15000, PATIENCE = 5000;
const gone = document.getElementById("gone");
let answered = Date.now(), timer;

function morph(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeName !== fresh.nodeName || old.childNodes.length !== fresh.childNodes.length) {
    old.replaceWith(document.importNode(fresh, true));
  } else if (old.nodeType === Node.TEXT_NODE) {
    old.data = fresh.data;
  } else {
    for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name)) old.removeAttribute(name);
    for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    [...old.childNodes].forEach((child, index) => morph(child, fresh.childNodes[index]));
  }
}

async function refresh() {
  try {
    const answer = await fetch("live", { signal: AbortSignal.timeout(PATIENCE), cache: "no-store" });
    if (!answer.ok) throw new Error(`HTTP status ${answer.status}`);
    const live = document.createElement("template");
    live.innerHTML = (await answer.json()).html;
    const main = document.createElement("main");
    main.id = "live";
    main.append("\n", live.content, "\n");
    morph(document.getElementById("live"), main);
    answered = Date.now();
    gone.hidden = true;
  } catch (error) {
    gone.textContent = `The exporter has not answered for ${Math.round((Date.now() - answered) / 1000)} s: the page is outdated (${error.message})`;
    gone.hidden = false;
  }
  timer = setTimeout(refresh, document.hidden ? HIDDEN : EVERY);
}

document.addEventListener("click", async ({ target }) => {
  const text = target.dataset.copy;
  if (!text) return;
  try {
    await navigator.clipboard.writeText(text);
    target.textContent = "copied";
  } catch {
    getSelection().selectAllChildren(target.previousElementSibling);
  }
});
document.addEventListener("visibilitychange", () => {
  clearTimeout(timer);
  timer = setTimeout(refresh, document.hidden ? HIDDEN : 0);
});
document.documentElement.classList.add("live");
timer = setTimeout(refresh, EVERY);

// The list of runs by keyboard, and the button that compares.
import { isTyping, resetForm, watchForm } from "./view.js";

const search = document.getElementById("search");
const filters = document.getElementById("filters");
const pick = document.getElementById("pick");
const rows = Array.from(document.querySelectorAll("#runs tbody tr"));
let current = -1;

watchForm(filters);

function ticks() {
  return rows.filter((row) => row.querySelector("input").checked);
}

function showTicks() {
  const button = document.getElementById("compare");
  const count = ticks().length;
  button.disabled = count < 2;
  button.textContent = count < 2 ? "Tick two runs to compare them" : `Compare ${count} runs`;
}

function select(place) {
  if (current >= 0) rows[current].removeAttribute("aria-selected");
  current = place;
  rows[current].setAttribute("aria-selected", "true");
}

function move(place) {
  if (!rows.length) return;
  select(Math.max(0, Math.min(place, rows.length - 1)));
  rows[current].querySelector("th a").focus({ preventScroll: true });
  rows[current].scrollIntoView({ block: "nearest" });
}

// The row that has the focus is the one that the keys are about, however it came there.
document.addEventListener("focusin", (event) => {
  const place = rows.indexOf(event.target.closest("#runs tbody tr"));
  if (place >= 0) select(place);
});

const KEYS = {
  j: () => move(current + 1),
  k: () => move(current - 1),
  x: () => current >= 0 && rows[current].querySelector("input").click(),
  c: () => pick && ticks().length > 1 && pick.requestSubmit(),
  "/": () => search.select(),
};

document.addEventListener("keydown", (event) => {
  const isBox = event.target.type === "checkbox" && !event.ctrlKey && !event.metaKey && !event.altKey;
  if ((isTyping(event) && !isBox) || !KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
});

if (pick) {
  pick.addEventListener("change", showTicks);
  // A page that comes back from the history has its ticks only now.
  window.addEventListener("pageshow", showTicks);
  // And the address is its state, not what was chosen in it last.
  window.addEventListener("pageshow", (event) => event.persisted && resetForm(filters));
  showTicks();
}

// ── runs that go on ─────────────────────────────────────────────────────────────────────────────

const FOLLOW_MS = 2000;
const MOST = 20; // as the server answers for

/** Put what is new into a row: its box and its name stay, and so does a cell that has the focus. */
function refresh(row, text) {
  const page = new DOMParser().parseFromString(`<table>${text}</table>`, "text/html");
  const next = page.querySelector("tr");
  let isWhole = true;
  [...next.cells].slice(2).forEach((cell, place) => {
    const old = row.cells[place + 2];
    if (old.outerHTML === cell.outerHTML) return;
    if (old.contains(document.activeElement)) isWhole = false;
    else old.replaceWith(cell);
  });
  if (isWhole && next.dataset.run === undefined) delete row.dataset.run;
}

async function follow() {
  const followed = rows.filter((row) => row.dataset.run !== undefined).slice(0, MOST);
  if (!followed.length) return;
  let wait = FOLLOW_MS;
  if (!document.hidden) {
    const query = new URLSearchParams(location.search);
    for (const row of followed) query.append("run", row.dataset.run);
    try {
      const answer = await fetch(`/running?${query}`, { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.statusText);
      const texts = await answer.json();
      for (const row of followed) {
        if (texts[row.dataset.run] !== undefined) refresh(row, texts[row.dataset.run]);
      }
    } catch {
      wait *= 5; // the server is away
    }
  }
  setTimeout(follow, wait);
}

setTimeout(follow, FOLLOW_MS);

// The page of marks by keyboard; its counts follow what is marked.
import { isTyping } from "./view.js";

let newest = 0; // the last request for the page

function rows() {
  return Array.from(document.querySelectorAll("#marks tbody tr"));
}

function selected() {
  return document.querySelector('#marks tr[aria-selected="true"]');
}

function select(row) {
  if (!row) return;
  for (const other of rows()) other.removeAttribute("aria-selected");
  row.setAttribute("aria-selected", "true");
}

function move(step) {
  const all = rows();
  if (!all.length) return;
  const place = all.indexOf(selected());
  const next = all[place < 0 ? 0 : Math.max(0, Math.min(place + step, all.length - 1))];
  next.focus({ preventScroll: true });
  next.scrollIntoView({ block: "nearest" });
}

document.addEventListener("focusin", (event) => select(event.target.closest("#marks tbody tr")));
document.addEventListener("click", (event) => {
  const row = event.target.closest("#marks tbody tr");
  if (row && !event.target.closest("a")) row.focus({ preventScroll: true });
});
document.addEventListener("keydown", (event) => {
  if (isTyping(event) || document.querySelector("dialog[open]")) return;
  if (event.key === "j") move(1);
  else if (event.key === "k") move(-1);
  else if (event.key === "Enter" && event.target.matches("#marks tbody tr")) {
    event.target.querySelector("th a").click();
  } else return;
  event.preventDefault();
});

/** Score and agreement are of the marks as they were: they are computed again when asked for. */
function offerFigures() {
  const content = document.getElementById("content");
  if (!content || document.getElementById("outdated")) return;
  const line = document.createElement("p");
  line.className = "note";
  line.id = "outdated";
  line.setAttribute("role", "status");
  line.textContent = "The figures below are of the marks before: ";
  const link = document.createElement("a");
  link.href = location.pathname;
  link.textContent = "compute them again";
  line.append(link);
  content.before(line);
}

/** One request for marks that follow each other at once. */
let timer = 0;
document.addEventListener("marked", () => {
  offerFigures();
  clearTimeout(timer);
  timer = setTimeout(renewCounts, 150);
});

async function renewCounts() {
  const number = ++newest;
  const answer = await fetch(location.href);
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const counts = fresh.getElementById("mark-counts");
  if (!answer.ok || !counts || number !== newest) return;
  document.getElementById("mark-counts").replaceWith(counts);
  // Another's record that was marked has a row of one's own now.
  for (const row of fresh.querySelectorAll("#marks [data-own][data-trial-id]")) {
    const own = `#marks [data-own][data-trial-id="${CSS.escape(row.dataset.trialId)}"]`;
    if (!document.querySelector(own)) document.querySelector("#marks tbody").prepend(row);
  }
}
